"""Expand the short forms of a placement before it is validated.

    {site: encoder_input, mask: bert}                        a preset: a strategy with some of its options
    {site: encoder_self, any: [{mask: window}, {not: ...}]}  a combination, in place of {mask: any, of: [...]}

An expanded value has the place of its short form, so that an error points there.
"""

from __future__ import annotations

from typing import Any

from maskbench import registry
from maskbench.config.parsing.nodes import MappingEntry, Node
from maskbench.config.parsing.problems import Place, ProblemReport
from maskbench.config.parsing.validation import must_be

COMBINING = ("any", "all", "not")
"""Strategies that combine the masks in their option `of`; in a placement, each name may itself be a key."""


def get_preset_name(node: Node) -> str:
    """Return the preset that a placement's `mask` names; "" if it names none."""
    name = node.get("mask")
    return name.value if name and isinstance(name.value, str) and name.value in registry.PRESETS else ""


def is_list_of_masks(node: Node) -> bool:
    """Return whether the value of an option `of` is a list of masks."""
    return any({"mask", *COMBINING} & part.entries.keys() for part in node.items)


def expand_shorthand(node: Node, what: str, report: ProblemReport) -> Node:
    """Return a placement, or a part of a combination, with the strategy's own name as its `mask`.

    Options in the file override those of a preset. Parts of a combination are not expanded.

    Args:
        node: a mapping.
        what: its name in messages.
        report: receives the problems of the short form itself.
    """
    if "mask" not in node.entries:
        node = _without_combining_key(node, what, report)
    if not get_preset_name(node):
        return node
    preset = registry.PRESETS[get_preset_name(node)]
    place = node.entries["mask"].node.place
    options = {key: MappingEntry(place, _at(place, value)) for key, value in preset.options.items()}
    mask = MappingEntry(node.entries["mask"].key_place, Node(place, preset.mask))
    return Node(node.place, {**options, **node.entries, "mask": mask})


def _without_combining_key(node: Node, what: str, report: ProblemReport) -> Node:
    """Return `any: [...]` as `mask: any, of: [...]`."""
    words = [key for key in node.entries if key in COMBINING]
    if not words:
        return node
    for key in (*words[1:], *(["of"] if "of" in node.entries else [])):
        message = (
            f"{what}: {words[0]!r} says already what is combined; put {key!r} inside it, or leave it out"
        )
        report.add(node.entries[key].key_place, message)
    word, entry = words[0], node.entries[words[0]]
    # A single part may be written without the list.
    parts = Node(entry.node.place, (entry.node,)) if isinstance(entry.node.value, dict) else entry.node
    must_be("list", parts, f"{what}.{word}", report)
    rest = {key: other for key, other in node.entries.items() if key not in (*words, "of")}
    mask = MappingEntry(entry.key_place, Node(entry.key_place, word))
    return Node(node.place, {**rest, "mask": mask, "of": MappingEntry(entry.key_place, parts)})


def _at(place: Place, value: Any) -> Node:
    """Return Python data as a node, every value at `place`."""
    if isinstance(value, dict):
        return Node(place, {key: MappingEntry(place, _at(place, inner)) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return Node(place, tuple(_at(place, inner) for inner in value))
    return Node(place, value)
