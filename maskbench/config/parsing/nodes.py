"""The tree of an experiment file: every value with the place where it is written.

Trees are immutable. An override returns a new tree that copies only the path to the new value and shares the
rest. Every value keeps its place, so an error about it can show its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from maskbench.config.parsing.problems import Place

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """A key's place in a mapping, and its value."""

    key_place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place: a scalar, a mapping or a list."""

    place: Place
    value: Scalar | dict[str, MappingEntry] | tuple[Node, ...]
    size: int = field(init=False, compare=False)
    """Number of values in this tree; an aliased value counts at every use."""
    height: int = field(init=False, compare=False)
    """Number of levels below this one; 0 without children."""

    def __post_init__(self) -> None:
        children = list(self.children())
        object.__setattr__(self, "size", 1 + sum(child.size for child in children))
        object.__setattr__(self, "height", 1 + max((child.height for child in children), default=-1))

    def children(self) -> Iterator[Node]:
        """Yield the values of a mapping or the elements of a list."""
        if isinstance(self.value, dict):
            yield from (entry.node for entry in self.value.values())
        elif isinstance(self.value, tuple):
            yield from self.value

    @property
    def entries(self) -> dict[str, MappingEntry]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The elements of a list; empty for anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    def get(self, key: str) -> Node | None:
        """Return the value of `key`; None if this is no mapping or has no such key."""
        entry = self.entries.get(key)
        return entry.node if entry else None

    def to_python(self) -> Any:
        """Return the value as dictionaries, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: entry.node.to_python() for key, entry in self.value.items()}
        if isinstance(self.value, tuple):
            return [child.to_python() for child in self.value]
        return self.value

    def walk(self) -> Iterator[Node]:
        """Yield this node and everything below it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def filter_keys(self, keep: Callable[[str], bool]) -> Node:
        """Return a mapping at the same place with the keys that `keep` accepts."""
        return Node(self.place, {key: entry for key, entry in self.entries.items() if keep(key)})

    def replace_scalars(self, replace: Callable[[Node], Node]) -> Node:
        """Return the tree with `replace` applied to every scalar."""
        if isinstance(self.value, dict):
            changed = {
                k: MappingEntry(e.key_place, e.node.replace_scalars(replace)) for k, e in self.value.items()
            }
            return Node(self.place, changed)
        if isinstance(self.value, tuple):
            return Node(self.place, tuple(child.replace_scalars(replace) for child in self.value))
        return replace(self)


@dataclass(frozen=True, slots=True)
class Override:
    """A value for a dotted key such as `train.steps`, and the place of the key."""

    key: str
    key_place: Place
    node: Node

    @property
    def root(self) -> str:
        """The first part of the key: `train` for `train.steps`."""
        return self.key.partition(".")[0]


def empty_mapping(place: Place) -> Node:
    """Return an empty mapping."""
    return Node(place, {})


def set_by_path(tree: Node, change: Override) -> Node:
    """Return `tree` with the value of `change` at its dotted key; create missing mappings on the way.

    List elements are addressed by index. Where the file itself has dotted keys, as in a panel, the rest of
    the path is one key: `panels.small.corpus.pairs` is the key `corpus.pairs` of the panel `small`.

    Raises:
        ValueError: a value on the path is no mapping, or a list without that element; the message names it.
    """
    return _set_below(tree, _split_key(change.key), change)


def _split_key(key: str) -> list[str]:
    """Split a dotted key into the keys of the nested mappings."""
    path = key.split(".")
    whole = (
        1 if path[0] == "quick" else 2 if path[0] == "panels" else 3 if path[2:3] == ["set"] else len(path)
    )
    return path[:whole] + ([".".join(path[whole:])] if path[whole:] else [])


def _set_below(tree: Node, path: list[str], change: Override) -> Node:
    if not path:
        return change.node
    key, rest = path[0], path[1:]
    if isinstance(tree.value, tuple):
        items = tree.value
        if not key.isdecimal() or int(key) >= len(items):
            raise ValueError(f"{key!r} is no element of a list of {len(items)}; they are counted from 0")
        i = int(key)
        return Node(tree.place, (*items[:i], _set_below(items[i], rest, change), *items[i + 1 :]))
    if not isinstance(tree.value, dict):
        raise ValueError(f"there is no {'.'.join(path)!r} in what is not a mapping")
    old = tree.value.get(key)
    child = _set_below(old.node if old else empty_mapping(change.key_place), rest, change)
    # A key on the way keeps its place; the last one has the place of the override.
    place = old.key_place if old and rest else change.key_place
    return Node(tree.place, tree.value | {key: MappingEntry(place, child)})
