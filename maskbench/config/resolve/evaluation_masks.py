"""Which masks `evaluate.masks` names, besides a run's own.

    evaluate: {masks: [own, none, window, {no-cross: [{site: cross, mask: window, radius: 0}]}]}

`own` is the run's own masks. An arm's name means that arm's masks, the key of a grid those of all its arms, and `none`
no masks at all, unless an arm is called that. A mapping gives masks that no arm has a name. A resolved file uses that
for arms that `quick` leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maskbench.config.parsing.nodes import Node, Override, set_by_path
from maskbench.config.parsing.problems import ProblemReport, shorten
from maskbench.config.parsing.validation import format_value, must_be
from maskbench.config.resolve.arms import ArmDraft
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.config.schema.names import check_name
from maskbench.registry import did_you_mean

OWN, NONE = "own", "none"


@dataclass(frozen=True, slots=True)
class NamedMasks:
    """Masks with a name."""

    name: str
    masks: Node
    """A list of placements."""
    what: str
    """How messages call them."""


def read_evaluation_masks(
    tree: Node, arms: Sequence[ArmDraft], report: ProblemReport
) -> tuple[Node, Mapping[str, NamedMasks]]:
    """Return the file with every item of `evaluate.masks` written out as a name, and whose masks those are.

    What is wrong is noted, but for what is no list or holds neither names nor mappings: that the schema says.
    """
    evaluate = tree.get("evaluate")
    node = evaluate.get("masks") if evaluate else None
    # Where the arms have problems, what they lend cannot be told.
    if evaluate is None or node is None or not isinstance(node.value, tuple) or not arms:
        return tree, {}
    names: list[Node] = []
    named_masks: dict[str, NamedMasks] = {}
    for item in node.items:
        if item.value == OWN or not isinstance(item.value, str | dict):
            names.append(item)
            continue
        found = _named(item, arms, report) if isinstance(item.value, str) else _described(item, arms, report)
        lent = {lender.name: lender for lender in found}
        # What nobody lends is in the report; that it is missing from the list must not be said as well.
        names += [Node(item.place, name) for name in lent or item.entries] or [item]
        named_masks |= lent
    place = evaluate.entries["masks"].key_place
    return set_by_path(tree, Override("evaluate.masks", place, Node(node.place, tuple(names)))), named_masks


def _named(item: Node, arms: Sequence[ArmDraft], report: ProblemReport) -> Iterator[NamedMasks]:
    """Yield the arms that a name means: the arm of that name, the arms of a grid, or the arm of that title."""
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


def _described(item: Node, arms: Sequence[ArmDraft], report: ProblemReport) -> Iterator[NamedMasks]:
    """Yield the masks that stand in `evaluate.masks` themselves."""
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


@dataclass(frozen=True, slots=True)
class Lending:
    """Gives every arm of a panel the masks that it is to be evaluated under."""

    checks: RegistryValidator
    named_masks: Mapping[str, NamedMasks]
    checked: dict[tuple[str, ModelConfig], tuple[PlacementConfig, ...]]
    """What has been checked, by name and the model that it is for."""

    def to(self, arm: str, model: ModelConfig) -> dict[str, tuple[PlacementConfig, ...]]:
        """Return all the masks by name, checked against the arm's model; what does not fit it is noted."""
        return {name: self._placements(lender, arm, model) for name, lender in self.named_masks.items()}

    def _placements(self, lender: NamedMasks, arm: str, model: ModelConfig) -> tuple[PlacementConfig, ...]:
        key = (lender.name, model)
        if key not in self.checked:
            what = f"evaluate.masks, in the model of {arm!r}: {lender.what}"
            self.checked[key] = tuple(self.checks.arm(lender.masks.items, what, model))
        return self.checked[key]
