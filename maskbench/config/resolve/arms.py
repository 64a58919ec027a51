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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from maskbench.config.parsing.nodes import MappingEntry, Node, Override
from maskbench.config.parsing.problems import Place, ProblemReport, replace_unprintable, shorten
from maskbench.config.parsing.validation import check_keys, format_value, must_be, unknown_key_message
from maskbench.config.resolve.overrides import ARM_SECTIONS, read_overrides
from maskbench.config.schema.names import check_name, slugify
from maskbench.registry import did_you_mean

MAX_ARMS = 256

START_KEYS = ("init_from", "train_only")
LONG_FORM_KEYS = ("masks", "grid", "set", "streams", *START_KEYS, "title")
_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_MAX_TITLE_LENGTH = 120


@dataclass(frozen=True, slots=True)
class ArmDraft:
    """An arm as written in the file; its placements are validated later, against each panel's model."""

    name: str
    """Name of the arm and of its folder."""
    family: str
    """The arm's key in the file; all arms of one grid have the same."""
    title: str
    place: Place
    masks: Node
    """A list of placements."""
    overrides: tuple[Override, ...] = ()
    """Dotted keys and values of its `set`."""
    streams: Node | None = None
    start: Node | None = None
    """A mapping of its `init_from` and `train_only`."""

    def nodes(self) -> list[Node]:
        """Return every part of the arm in which `$key` is replaced by a grid value."""
        optional = (self.streams, self.start)
        return [self.masks, *(o.node for o in self.overrides), *(node for node in optional if node)]

    def map_scalars(self, replace_scalar: Callable[[Node], Node]) -> ArmDraft:
        """Return the arm with `replace_scalar` applied to every scalar of its `nodes`."""
        return replace(
            self,
            masks=self.masks.replace_scalars(replace_scalar),
            overrides=tuple(replace(o, node=o.node.replace_scalars(replace_scalar)) for o in self.overrides),
            streams=self.streams.replace_scalars(replace_scalar) if self.streams else None,
            start=self.start.replace_scalars(replace_scalar) if self.start else None,
        )


def read_arms(node: Node, report: ProblemReport) -> list[ArmDraft]:
    """Return the arms in file order with grids expanded; add problems to the report."""
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
        drafts += _read_arm(name, entry, report)
        if len(drafts) > MAX_ARMS:
            report.add(entry.key_place, f"there are more than {MAX_ARMS} arms")
            return []
    by_name: dict[str, ArmDraft] = {}
    by_title: dict[str, ArmDraft] = {}
    for draft in drafts:
        if other := by_name.get(draft.name):
            titles = f"{other.title!r} and {draft.title!r}"
            report.add(draft.place, f"arms {titles} would share the folder {draft.name!r}; rename one")
        elif other := by_title.get(draft.title):
            report.add(draft.place, f"arms {other.name!r} and {draft.name!r} have the same title")
        else:
            by_name[draft.name] = by_title[draft.title] = draft
    return list(by_name.values())


def _read_arm(name: str, entry: MappingEntry, report: ProblemReport) -> list[ArmDraft]:
    """Return the arms of one key of `arms`: one per combination with a grid, none if it cannot be read."""
    node, what = entry.node, f"arms.{name}"
    draft = ArmDraft(name, name, name, entry.key_place, node)
    grid = None
    if isinstance(node.value, dict):
        check_keys(node, f"arm {name!r}", LONG_FORM_KEYS, report)
        if not {"masks", "set", "streams", *START_KEYS} & node.entries.keys():
            report.add(node.place, f"arm {name!r} says nothing; give it masks, set or streams")
            return []
        masks = node.get("masks") or Node(node.place, ())
        if not must_be("list", masks, f"{what}.masks", report):
            masks = Node(masks.place, ())
        overrides: tuple[Override, ...] = ()
        if (settings := node.get("set")) and must_be("mapping", settings, f"{what}.set", report):
            overrides = tuple(read_overrides(settings, f"{what}.set", ARM_SECTIONS, report))
        grid, title = node.get("grid"), node.get("title")
        if title is not None and grid is not None:
            message = "the arms of a grid are titled by their values; leave title out"
            report.add(title.place, f"{what}.title: {message}")
        draft = replace(
            draft,
            title=name if title is None or grid is not None else _read_title(title, name, report),
            masks=masks,
            overrides=overrides,
            streams=node.get("streams"),
            start=node.filter_keys(lambda key: key in START_KEYS),
        )
    elif not isinstance(node.value, tuple):
        hint = f"; write '{name}: []' for an arm without masks" if node.value is None else ""
        got = f"got {format_value(node)}{hint}"
        report.add(node.place, f"arm {name!r} must be a list of placements or a mapping, {got}")
        return []
    if grid is not None:
        return _expand_grid(draft, grid, report)
    for key, reference in _find_references(draft):
        message = f"${shorten(key)} stands for a grid value, but arm {name!r} has no grid"
        report.add_unreadable(reference.place, message)
    return [draft]


def _read_title(node: Node, name: str, report: ProblemReport) -> str:
    """Return an arm's title; if it is not one line of text, report it and return the arm's name."""
    text = node.value
    is_short = isinstance(text, str) and 0 < len(text) <= _MAX_TITLE_LENGTH
    if isinstance(text, str) and is_short and replace_unprintable(text) == text.strip() == text:
        return text
    rule = f"must be text of 1 to {_MAX_TITLE_LENGTH} characters on one line"
    report.add(node.place, f"arms.{name}.title {rule}, got {format_value(node)}")
    return name


def _find_references(draft: ArmDraft) -> Iterator[tuple[str, Node]]:
    """Yield the key of every `$key` in an arm, and the scalar that contains it."""
    for node in itertools.chain.from_iterable(part.walk() for part in draft.nodes()):
        if isinstance(node.value, str) and (match := _REFERENCE.fullmatch(node.value)):
            yield match.group(1), node


def _expand_grid(draft: ArmDraft, grid: Node, report: ProblemReport) -> list[ArmDraft]:
    """Return one arm per combination of the grid's values, each `$key` replaced by its value."""
    what = f"arms.{draft.name}.grid"
    if not must_be("mapping", grid, what, report):
        return []
    used = dict(_find_references(draft))
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
            hint = f"write ${key} where its value goes"
            report.add(entry.key_place, f"grid key {shorten(key)!r} is not used; {hint}")
    n_arms = math.prod(len(entry.node.items) for entry in grid.entries.values())
    if n_arms > MAX_ARMS:
        report.add(grid.place, f"{what} makes {n_arms} arms; at most {MAX_ARMS} are allowed")
        return []
    drafts = []
    for values in itertools.product(*(entry.node.items for entry in grid.entries.values())):
        combination = dict(zip(grid.entries, values, strict=True))

        def fill_in(node: Node, combination: dict[str, Node] = combination) -> Node:
            match = _REFERENCE.fullmatch(node.value) if isinstance(node.value, str) else None
            return combination.get(match.group(1), node) if match else node

        settings = ", ".join(f"{key}={_format_grid_value(value)}" for key, value in combination.items())
        title = f"{draft.name}({settings})"
        drafts.append(replace(draft.map_scalars(fill_in), name=slugify(title), title=title))
    return drafts


def _format_grid_value(node: Node) -> str:
    """Return a grid value as text for an arm's title: `1`, `[1, 2]`, `{per: run}`."""
    if isinstance(node.value, str):
        return replace_unprintable(node.value)
    return json.dumps(node.to_python(), ensure_ascii=False).replace('"', "")


def select_arms(drafts: list[ArmDraft], wanted: list[tuple[str, Place]], report: ProblemReport) -> set[str]:
    """Return the names of the wanted arms; the key of a grid selects all its arms, a title its arm."""
    names: set[str] = set()
    for text, place in wanted:
        found = {draft.name for draft in drafts if text in (draft.name, draft.family, draft.title)}
        if not found:
            known = dict.fromkeys(name for draft in drafts for name in (draft.name, draft.family))
            report.add(place, unknown_key_message(text, "arms", known).replace("unknown key", "no arm", 1))
        names |= found
    return names
