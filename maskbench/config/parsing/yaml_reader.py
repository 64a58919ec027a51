"""A strict YAML reader: it refuses ambiguous input and keeps the place of every value.

PyYAML's `SafeLoader` runs no code, but it reads `1e-3` as text and `no` as False, keeps the last of two equal
keys, lets a few aliases stand for billions of values, and fails with a dozen exception types. So only its
parser is used: this module builds a tree of `Node` from its events, and limits depth, aliases and repeated
keys as it goes.

An error that makes the rest unreadable is raised at once. Any other error (a repeated key, a tag, a number
too long) is added to the report and shown together with the errors of the settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from maskbench.config.parsing.nodes import MappingEntry, Node, Scalar
from maskbench.config.parsing.problems import Place, ProblemReport, shorten
from maskbench.errors import ConfigError

_DIGITS = "(?:0|[1-9][0-9]*)"
_DECIMAL = re.compile(rf"[-+]?{_DIGITS}")
_HEX = re.compile("0x[0-9a-fA-F]+")
_FLOAT = re.compile(rf"[-+]?(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NULL, _TRUE, _FALSE = ({word, word.capitalize(), word.upper()} for word in ("null", "true", "false"))
# Converting thousands of digits to a number takes quadratic time.
_LONGEST_NUMBER = 40


def resolve_scalar(text: str) -> Scalar:
    """Return the value of an unquoted scalar.

    Raises:
        ValueError: it is a number beyond 64 bits or of more than 40 characters.
    """
    if text in ("", "~") or text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    is_int = _DECIMAL.fullmatch(text) or _HEX.fullmatch(text)
    if not is_int and not _FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1)) if _SPECIAL.fullmatch(text) else text
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long (at most {_LONGEST_NUMBER})")
    if not is_int:
        return float(text)
    number = int(text, 16 if "x" in text else 10)
    if not -(2**63) <= number < 2**63:
        raise ValueError("a whole number must fit into 64 bits")
    return number


MAX_DEPTH = 32
MAX_EXPANDED = 100_000
"""Maximum number of values of a file after its aliases are expanded."""

# The C parser is twenty times as fast; both yield the same events.
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_yaml(text: str, report: ProblemReport, option: str = "") -> Node:
    """Return the tree of the one YAML document in `text`.

    Args:
        text: what to read.
        report: receives problems that do not end the reading.
        option: the command-line option the text comes from; empty for the file of the report.

    Raises:
        ConfigError: this is not YAML, not one document, or beyond the limits.
    """
    try:
        return _Composer(report, option).compose(text)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark, option) if mark else Place(option)
        context = f"{error.context}: " if error.context else ""
        raise report.fail(place, f"not valid YAML: {context}{error.problem}") from None
    except Exception as error:
        # PyYAML lets KeyError, IndexError, RecursionError and others escape on malformed input.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise report.fail(Place(option), f"not valid YAML: {reason}") from None


def _place(mark: Any, option: str) -> Place:
    return Place(option) if option else Place(line=mark.line + 1, column=mark.column + 1)


@dataclass(slots=True)
class _Composer:
    """Builds the tree from the parser's events."""

    report: ProblemReport
    option: str
    anchors: dict[str, tuple[Place, Node | None]] = field(default_factory=dict)
    """Place and value of each anchor; the value is None until it is complete."""
    has_aliases: bool = False

    def compose(self, text: str) -> Node:
        """Return the tree of the only document in `text`."""
        events = iter(yaml.parse(text, Loader=PARSER))
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    message = "a second document starts here; one document is expected"
                    raise self.report.fail(self.place(event), message)
                root = self.node(next(events), events, depth=0)
        if root is None:
            if self.option:
                return Node(Place(self.option), None)
            raise self.report.fail(Place(), "is empty; an experiment needs name, corpus and arms")
        return root

    def place(self, event: yaml.Event) -> Place:
        return _place(event.start_mark, self.option)

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        """Return the node that starts with `event`; its further events are read from `events`."""
        place = self.place(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if depth > MAX_DEPTH:
            raise self.report.fail(place, f"is nested more than {MAX_DEPTH} levels deep")
        assert isinstance(event, yaml.NodeEvent)
        self.open_anchor(event.anchor, place)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(place, self.scalar(event))
        else:
            assert isinstance(event, yaml.CollectionStartEvent)
            self.refuse_tag(event.tag, place)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            node = Node(place, (self.mapping if is_mapping else self.sequence)(events, depth + 1))
        if event.anchor:
            self.anchors[event.anchor] = (place, node)
        if self.has_aliases and node.size > MAX_EXPANDED:
            raise self.too_many(place)
        return node

    def too_many(self, place: Place) -> ConfigError:
        line = f" (line {place.line})" if place.line else ""
        return self.report.fail(place, f"aliases expand to more than {MAX_EXPANDED} nodes{line}")

    def open_anchor(self, anchor: str | None, place: Place) -> None:
        if not anchor:
            return
        if anchor in self.anchors:
            first = self.anchors[anchor][0]
            raise self.report.fail(place, f"anchor '&{shorten(anchor)}' is given twice{_first(first)}")
        self.anchors[anchor] = (place, None)

    def alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        """Return the node an alias refers to."""
        place, name = self.place(event), str(event.anchor)
        if name not in self.anchors:
            raise self.report.fail(
                place, f"alias '*{shorten(name)}' has no anchor '&{shorten(name)}' before it"
            )
        self.has_aliases = True
        node = self.anchors[name][1]
        if node is None:
            raise self.report.fail(place, f"alias '*{shorten(name)}' stands for a value it is part of")
        if node.size > MAX_EXPANDED:
            raise self.too_many(place)
        if depth + node.height > MAX_DEPTH:
            raise self.report.fail(place, f"aliases nest values more than {MAX_DEPTH} levels deep")
        return node

    def refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag:
            written = shorten(tag.replace("tag:yaml.org,2002:", "!!", 1))
            self.report.add_unreadable(place, f"tag {written!r} is not allowed; write the value without it")

    def scalar(self, event: yaml.ScalarEvent) -> Scalar:
        """Return the value of a scalar; quoted ones are text."""
        place, text = self.place(event), str(event.value)
        self.refuse_tag(event.tag, place)
        if _SURROGATE.search(text):
            self.report.add_unreadable(place, "half a surrogate pair is not a character")
            return ""
        if not event.implicit[0]:
            return text
        try:
            value = resolve_scalar(text)
        except ValueError as error:
            self.report.add_unreadable(place, str(error))
            return 0
        if isinstance(value, float) and not -float("inf") < value < float("inf"):
            self.report.add_unreadable(place, f"must be a finite number, got {shorten(text)}")
            return 0.0
        return value

    def sequence(self, events: Iterator[yaml.Event], depth: int) -> tuple[Node, ...]:
        """Read events up to the end of the list and return its elements."""
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.node(event, events, depth))
        return tuple(items)

    def mapping(self, events: Iterator[yaml.Event], depth: int) -> dict[str, MappingEntry]:
        """Read events up to the end of the mapping; return its entries, of equal keys the first."""
        entries: dict[str, MappingEntry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self.key(event, events, depth)
            place = self.place(event)
            value = self.node(next(events), events, depth)
            if key is None:
                continue
            if key in entries:
                self.report.add(place, f"key {shorten(key)!r} is given twice{_first(entries[key].key_place)}")
                continue
            entries[key] = MappingEntry(place, value)
        return entries

    def key(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> str | None:
        """Return a key as written; if it is not plain text, report it and return None."""
        place = self.place(event)
        if not isinstance(event, yaml.ScalarEvent):
            self.node(event, events, depth)
            self.report.add(place, "a key must be plain text")
            return None
        self.open_anchor(event.anchor, place)
        self.refuse_tag(event.tag, place)
        text = str(event.value)
        if event.anchor:
            self.anchors[event.anchor] = (place, Node(place, text))
        if text == "<<" and event.implicit[0]:
            self.report.add(place, "merge keys (<<) are not supported; write the keys out")
            return None
        if _SURROGATE.search(text):
            self.report.add(place, "half a surrogate pair is not a character")
            return None
        return text


def _first(place: Place) -> str:
    return f"; the first is in line {place.line}" if place.line else ""
