"""Resolve `evaluate.masks`: the masks a run is evaluated under.

    evaluate: {masks: [own, none, window, {no-cross: [{site: cross, mask: window, radius: 0}]}]}

`own` is the run's own masks. An arm's name means that arm's masks, the key of a grid those of all its arms.
`none` means no masks, unless an arm has that name. A mapping defines masks that no arm has; a resolved file
uses it for arms that `quick` leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maskbench.config.parsing.nodes import Node, Override, set_by_path
from maskbench.config.parsing.problems import ProblemReport, shorten
from maskbench.config.parsing.validation import format_value, must_be
from maskbench.config.resolve.arms import ArmDraft
from maskbench.config.schema.names import check_name
from maskbench.registry import did_you_mean

OWN, NONE = "own", "none"


@dataclass(frozen=True, slots=True)
class NamedMasks:
    """Masks under which a run can be evaluated, with their name."""

    name: str
    masks: Node
    """A list of placements."""
    what: str
    """Their key in the file for messages, such as `arms.window`."""


def read_evaluation_masks(
    tree: Node, arms: Sequence[ArmDraft], report: ProblemReport
) -> tuple[Node, Mapping[str, NamedMasks]]:
    """Return the file with every item of `evaluate.masks` replaced by names, and the masks of each name.

    Problems are added to the report, except those that the schema reports: a value that is no list, and an
    item that is neither a name nor a mapping.
    """
    evaluate = tree.get("evaluate")
    node = evaluate.get("masks") if evaluate else None
    # Without any readable arm, names cannot be checked.
    if evaluate is None or node is None or not isinstance(node.value, tuple) or not arms:
        return tree, {}
    names: list[Node] = []
    named_masks: dict[str, NamedMasks] = {}
    for item in node.items:
        if item.value == OWN or not isinstance(item.value, str | dict):
            names.append(item)
            continue
        found = (
            _find_arms(item, arms, report)
            if isinstance(item.value, str)
            else _read_mapping(item, arms, report)
        )
        masks = {named.name: named for named in found}
        # An item with problems stays in the list, so that the schema does not report an empty list as well.
        names += [Node(item.place, name) for name in masks or item.entries] or [item]
        named_masks |= masks
    place = evaluate.entries["masks"].key_place
    return set_by_path(tree, Override("evaluate.masks", place, Node(node.place, tuple(names)))), named_masks


def _find_arms(item: Node, arms: Sequence[ArmDraft], report: ProblemReport) -> Iterator[NamedMasks]:
    """Yield the masks of the arms with that name; if none, that grid key; if none, that title."""
    text = str(item.value)
    for key in ("name", "family", "title"):
        found = [arm for arm in arms if getattr(arm, key) == text]
        if found:
            yield from (NamedMasks(arm.name, arm.masks, f"arms.{arm.family}") for arm in found)
            return
    if text == NONE:
        yield NamedMasks(NONE, Node(item.place, ()), NONE)
        return
    known = list(dict.fromkeys([OWN, NONE, *(name for arm in arms for name in (arm.name, arm.family))]))
    message = f"evaluate.masks: there is no arm {shorten(text)!r}{did_you_mean(text, known)}"
    report.add(item.place, f"{message} (there are: {', '.join(known)})")


def _read_mapping(item: Node, arms: Sequence[ArmDraft], report: ProblemReport) -> Iterator[NamedMasks]:
    """Yield the masks that an item of `evaluate.masks` defines itself."""
    taken = {OWN, *(name for arm in arms for name in (arm.name, arm.family))}
    for name, entry in item.entries.items():
        try:
            check_name(name)
        except ValueError as error:
            report.add(entry.key_place, f"evaluate.masks: {shorten(name)!r} {error}")
            continue
        if name in taken:
            message = f"evaluate.masks: {name!r} has masks already; give these another name"
            report.add(entry.key_place, message)
        elif must_be("list", entry.node, f"evaluate.masks.{name}", report):
            yield NamedMasks(name, entry.node, f"evaluate.masks.{name}")
    if not item.entries:
        report.add(item.place, f"evaluate.masks must hold names of arms, got {format_value(item)}")
