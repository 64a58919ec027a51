"""The `arms` of an experiment file: the short form, the long form, and grids.

    none: []                                                    a list of placements
    no-positions: {masks: [...], set: {model.positions: none}}  whatever else differs
    tuned: {masks: [...], init_from: runs/other/none}           trained on from another run's weights
    window: {grid: {radius: [1, 2]}, masks: [{..., radius: $radius}]}   one arm per combination

An arm of a grid is shown as `window(radius=1)` and stored as `window-radius-1`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from maskbench.config.parsing.nodes import Node, Override
from maskbench.config.parsing.problems import Place, ProblemReport, replace_unprintable, shorten
from maskbench.config.parsing.validation import check_keys, format_value, must_be, unknown_key_message
from maskbench.config.resolve.overrides import ARM_SECTIONS, read_overrides
from maskbench.config.schema.names import check_name, slugify
from maskbench.registry import did_you_mean

MAX_ARMS = 256

START_KEYS = ("init_from", "train_only")
LONG_FORM_KEYS = ("masks", "grid", "set", "streams", *START_KEYS, "title")
_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST_TITLE = 120

Values = tuple[tuple[str, Node], ...]
"""One combination of a grid: each key with its value."""


@dataclass(frozen=True, slots=True)
class ArmDraft:
    """An arm as the file has it; its placements are checked against each panel's model later."""

    name: str
    family: str
    """Its key in the file: the arms of one grid share it."""
    title: str
    place: Place
    masks: Node
    """A list."""
    changes: tuple[Override, ...] = ()
    streams: Node | None = None
    start: Node | None = None
    """A mapping that holds what the arm says of `init_from` and `train_only`."""


def read_arms(node: Node, report: ProblemReport) -> list[ArmDraft]:
    """Return the arms in file order, grids expanded; what is wrong is noted."""
    if not must_be("mapping", node, "arms", report):
        return []
    if not node.entries:
        report.add(node.place, "arms must name at least one arm, such as none: []")
    drafts: list[ArmDraft] = []
    for name, entry in node.entries.items():
        try:
            check_name(name)
        except ValueError as error:
            report.add(entry.key_place, f"arm {shorten(name)!r} {error}")
            continue
        drafts += _read_arm(ArmDraft(name, name, name, entry.key_place, entry.node), report)
        if len(drafts) > MAX_ARMS:
            report.add(entry.key_place, f"there are more than {MAX_ARMS} arms")
            return []
    return _distinct(drafts, report)


def _distinct(drafts: list[ArmDraft], report: ProblemReport) -> list[ArmDraft]:
    """Return the arms whose folder and title no earlier arm has."""
    kept: list[ArmDraft] = []
    for draft in drafts:
        folder = next((other for other in kept if other.name == draft.name), None)
        title = next((other for other in kept if other.title == draft.title), None)
        if folder:
            message = (
                f"arms {folder.title!r} and {draft.title!r} would share the folder {draft.name!r}; rename one"
            )
            report.add(draft.place, message)
        elif title:
            report.add(draft.place, f"arms {title.name!r} and {draft.name!r} have the same title")
        else:
            kept.append(draft)
    return kept


def _read_arm(draft: ArmDraft, report: ProblemReport) -> list[ArmDraft]:
    """Return the arms that one entry stands for; its `masks` are still the whole entry."""
    node = draft.masks
    if isinstance(node.value, tuple):
        return _without_references(draft, report)
    if not isinstance(node.value, dict):
        hint = f"; write '{draft.name}: []' for an arm without masks" if node.value is None else ""
        message = (
            f"arm {draft.name!r} must be a list of placements or a mapping, got {format_value(node)}{hint}"
        )
        report.add(node.place, message)
        return []
    check_keys(node, f"arm {draft.name!r}", LONG_FORM_KEYS, report)
    if not {"masks", "set", "streams", *START_KEYS} & node.entries.keys():
        report.add(node.place, f"arm {draft.name!r} says nothing; give it masks, set or streams")
        return []
    return _read_long_form(draft, report)


def _read_long_form(draft: ArmDraft, report: ProblemReport) -> list[ArmDraft]:
    node, what = draft.masks, f"arms.{draft.name}"
    masks = node.get("masks") or Node(node.place, ())
    if not must_be("list", masks, f"{what}.masks", report):
        masks = Node(masks.place, ())
    changes: tuple[Override, ...] = ()
    if (settings := node.get("set")) and must_be("mapping", settings, f"{what}.set", report):
        changes = tuple(read_overrides(settings, f"{what}.set", ARM_SECTIONS, report))
    start = node.filter_keys(lambda key: key in START_KEYS)
    draft = replace(draft, masks=masks, changes=changes, streams=node.get("streams"), start=start)
    grid, title = node.get("grid"), node.get("title")
    if grid is None:
        if title is not None:
            draft = replace(draft, title=_title(title, draft.name, report))
        return _without_references(draft, report)
    if title is not None:
        report.add(
            title.place, f"{what}.title: the arms of a grid are titled by their values; leave title out"
        )
    return _expand(draft, grid, report)


def _title(node: Node, name: str, report: ProblemReport) -> str:
    text = node.value
    if (
        isinstance(text, str)
        and 0 < len(text) <= _LONGEST_TITLE
        and replace_unprintable(text) == text
        and text.strip() == text
    ):
        return text
    message = f"arms.{name}.title must be text of 1 to {_LONGEST_TITLE} characters on one line, got {format_value(node)}"
    report.add(node.place, message)
    return name


def _references(draft: ArmDraft) -> Iterator[tuple[str, Node]]:
    """Yield every `$name` that stands for a grid value."""
    places = [
        draft.masks,
        *(change.node for change in draft.changes),
        *(node for node in (draft.streams, draft.start) if node),
    ]
    for node in itertools.chain.from_iterable(place.walk() for place in places):
        if isinstance(node.value, str) and (match := _REFERENCE.fullmatch(node.value)):
            yield match.group(1), node


def _without_references(draft: ArmDraft, report: ProblemReport) -> list[ArmDraft]:
    for name, node in _references(draft):
        message = f"${shorten(name)} stands for a grid value, but arm {draft.name!r} has no grid"
        report.add_unreadable(node.place, message)
    return [draft]


def _expand(draft: ArmDraft, grid: Node, report: ProblemReport) -> list[ArmDraft]:
    """Return one arm per combination of the grid's values."""
    what = f"arms.{draft.name}.grid"
    if not must_be("mapping", grid, what, report):
        return []
    used = dict(_references(draft))
    for name, node in used.items():
        if name not in grid.entries:
            hint = did_you_mean(name, grid.entries)
            report.add_unreadable(node.place, f"${shorten(name)} is no key of {what}{hint}")
    if not grid.entries:
        report.add(grid.place, f"{what} has no keys")
        return []
    for key, entry in grid.entries.items():
        if not must_be("list", entry.node, f"{what}.{key}", report):
            return []
        if not entry.node.items:
            report.add(entry.node.place, f"{what}.{key} is an empty list")
        if key not in used:
            report.add(
                entry.key_place, f"grid key {shorten(key)!r} is not used; write ${key} where its value goes"
            )
    n_arms = math.prod(len(entry.node.items) for entry in grid.entries.values())
    if n_arms > MAX_ARMS:
        report.add(grid.place, f"{what} makes {n_arms} arms; at most {MAX_ARMS} are allowed")
        return []
    axes = [[(key, value) for value in entry.node.items] for key, entry in grid.entries.items()]
    return [_at(draft, values) for values in itertools.product(*axes)]


def _at(draft: ArmDraft, values: Values) -> ArmDraft:
    """Return the arm of one combination."""
    title = f"{draft.name}({', '.join(f'{key}={_spell(value)}' for key, value in values)})"
    at = dict(values)

    def fill(node: Node) -> Node:
        match = _REFERENCE.fullmatch(node.value) if isinstance(node.value, str) else None
        return at.get(match.group(1), node) if match else node

    return replace(
        draft,
        name=slugify(title),
        title=title,
        masks=draft.masks.replace_scalars(fill),
        changes=tuple(replace(c, node=c.node.replace_scalars(fill)) for c in draft.changes),
        streams=draft.streams.replace_scalars(fill) if draft.streams else None,
        start=draft.start.replace_scalars(fill) if draft.start else None,
    )


def _spell(node: Node) -> str:
    """Return a value as a title shows it."""
    if isinstance(node.value, str):
        return replace_unprintable(node.value)
    return json.dumps(node.to_python(), ensure_ascii=False).replace('"', "")


def select_arms(drafts: list[ArmDraft], wanted: list[tuple[str, Place]], report: ProblemReport) -> set[str]:
    """Return the names of the wanted arms; the key of a grid stands for all its arms, a title for its arm."""
    names: set[str] = set()
    for text, place in wanted:
        found = {draft.name for draft in drafts if text in (draft.name, draft.family, draft.title)}
        if not found:
            known = dict.fromkeys(name for draft in drafts for name in (draft.name, draft.family))
            report.add(place, unknown_key_message(text, "arms", known).replace("unknown key", "no arm", 1))
        names |= found
    return names
