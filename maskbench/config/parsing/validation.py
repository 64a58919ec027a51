"""Validate a part of the file with a pydantic model; error messages use the names of the file.

Each message has the place of the key or value, the rule, the value, and a hint if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import ProblemReport, shorten
from maskbench.config.parsing.yaml_reader import resolve_scalar
from maskbench.registry import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
NodePath = tuple[str | int, ...]

_RULES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "finite_number": "must be a finite number",
    "too_short": "must have at least {min_length} element(s)",
    "too_long": "must have at most {max_length} element(s)",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} character(s)",
    "string_pattern_mismatch": "must match {pattern}",
    "none_required": "must be empty",
} | {f"{kind}_type": "must be a list" for kind in ("list", "tuple", "set", "frozen_set", "iterable")}
_RULES |= {f"{kind}_type": "must be a mapping" for kind in ("dict", "model", "model_attributes", "dataclass")}
_OF_SEVERAL = ("missing", "cross_field")
"""Kinds of errors that another key of the same mapping can remove."""
_OWN_WORDS = ("value_error", "assertion_error")
# A reason that continues a sentence after the name of the setting: "train.select must be ...".
_PREDICATE = re.compile(r"(must|is|has|names|holds)\b")


@dataclass(frozen=True, slots=True)
class _FieldError:
    """One of pydantic's errors, and the path of its value in the file."""

    path: NodePath
    details: ErrorDetails

    @property
    def is_about_a_key(self) -> bool:
        return self.details["type"] in ("missing", "extra_forbidden")


def format_value(node: Node | None) -> str:
    """Return a value as error messages quote it."""
    value = node.value if node else None
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else shorten(repr(value))


def unknown_key_message(key: str, what: str, allowed: Iterable[str]) -> str:
    """Return the error message for a key that `what` does not have."""
    known = list(allowed)
    return f"unknown key {shorten(key)!r} in {what}{did_you_mean(key, known)} (allowed: {', '.join(known)})"


def check_keys(node: Node, what: str, allowed: Iterable[str], report: ProblemReport) -> None:
    """Report every key of the mapping that is not allowed."""
    known = list(allowed)
    for key, entry in node.entries.items():
        if key not in known:
            report.add(entry.key_place, unknown_key_message(key, what, known))


def must_be(kind: str, node: Node, what: str, report: ProblemReport) -> bool:
    """Return whether `node` is of `kind`, "mapping" or "list"; if not, report it."""
    fits = isinstance(node.value, dict if kind == "mapping" else tuple)
    if not fits:
        report.add(node.place, f"{what} must be a {kind}, got {format_value(node)}")
    return fits


def validate(
    model: type[Model],
    node: Node,
    what: str,
    report: ProblemReport,
    also_allowed: tuple[str, ...] = (),
    only: Set[str] | None = None,
) -> Model | None:
    """Return `node` as an instance of `model`; if it is invalid, report every error and return None.

    Args:
        model: the pydantic model of the mapping.
        node: the part of the file.
        what: the name of that part in messages, for instance `train`.
        report: receives the errors.
        also_allowed: keys that the user may write there besides the fields of the model.
        only: report only what is wrong with the values of these keys, each on its own; None: everything.
    """
    if not must_be("mapping", node, what, report):
        return None
    try:
        return model.model_validate(node.to_python())
    except ValidationError as refusal:
        errors = [_FieldError(_path(node, details), details) for details in refusal.errors(include_url=False)]
    if only is not None:
        errors = [e for e in errors if e.path and e.path[0] in only and e.details["type"] not in _OF_SEVERAL]
    # Group the errors of each value; drop those that only repeat that something inside the value is wrong.
    paths = [error.path for error in errors]
    groups: dict[NodePath, list[_FieldError]] = {}
    for error in errors:
        path = error.path
        if error.is_about_a_key or not any(p[: len(path)] == path and p != path for p in paths):
            groups.setdefault(path, []).append(error)
    for path, group in groups.items():
        error = group[0]
        if error.is_about_a_key:
            allowed = (*also_allowed, *model.model_fields) if len(path) == 1 else ()
            _add_key_error(error, node, what, allowed, report)
            continue
        found = find_node(node, path)
        # If a default clashes with a value of the file, report it at that value.
        clashing_key = error.details.get("ctx", {}).get("at")
        clashing = node.get(clashing_key) if clashing_key else None
        place = ((found if path else None) or clashing or node).place
        report.add(place, f"{_format_path(what, path)}{_describe(group, found)}")
    return None


def find_node(node: Node, path: NodePath) -> Node | None:
    """Return the node at `path`; None if there is none."""
    current: Node | None = node
    for step in path:
        if current is None:
            return None
        if isinstance(step, int):
            current = current.items[step] if 0 <= step < len(current.items) else None
        else:
            current = current.get(step)
    return current


def _path(node: Node, details: ErrorDetails) -> NodePath:
    """Return the path in the file: pydantic's path without the names of union members."""
    path: list[str | int] = []
    current: Node | None = node
    for i, step in enumerate(details["loc"]):
        below = find_node(current, (step,)) if current else None
        is_last = i + 1 == len(details["loc"])
        is_absent_key = is_last and (details["type"] == "missing" or i == 0)
        if below is not None or is_absent_key:
            path.append(step)
            current = below
    return tuple(path)


def _add_key_error(
    error: _FieldError, node: Node, what: str, allowed: tuple[str, ...], report: ProblemReport
) -> None:
    *above, last = error.path or ("?",)
    parent = find_node(node, tuple(above)) or node
    where, key = _format_path(what, tuple(above)), str(last)
    if error.details["type"] == "missing":
        report.add(parent.place, f"missing key {key!r} in {where}")
        return
    entry = parent.entries.get(key)
    message = (
        unknown_key_message(key, where, allowed) if allowed else f"unknown key {shorten(key)!r} in {where}"
    )
    report.add(entry.key_place if entry else parent.place, message)


def _format_path(what: str, path: NodePath) -> str:
    return what + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _describe(group: list[_FieldError], node: Node | None) -> str:
    """Return the message after the name of the setting: the rules, the value, a hint."""
    rules = list(dict.fromkeys(_rule(error.details) for error in group))
    text = ", or ".join(rules)
    if not _PREDICATE.match(text):
        return f": {text}"
    if node is None or ", got " in text:
        return f" {text}"
    return f" {text}, got {format_value(node)}{_hint(group[0].details, node)}"


def _rule(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _OWN_WORDS:
        return str(context.get("error", error["msg"]))
    if kind not in _RULES:
        return error["msg"].replace("Input should be", "must be", 1)
    # Format floats without trailing zeros and integers with a comma every three digits.
    bounds = {
        name: f"{value:g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
        for name, value in context.items()
    }
    return _RULES[kind].format(**bounds)


def _hint(error: ErrorDetails, node: Node) -> str:
    """Return advice on what to write instead; empty if there is none."""
    kind, value = error["type"], node.value
    if kind == "literal_error" and isinstance(value, str):
        return did_you_mean(value, re.findall("'([^']*)'", str(error.get("ctx", {}).get("expected", ""))))
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "on", "no", "off"):
        return f"; write {str(value.lower() in ('yes', 'on')).lower()}"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        for candidate, advice in (
            (value, "write it without quotes"),
            (value.replace("_", ""), "write it without underscores"),
            (value.lstrip("0"), "write it without leading zeros"),
        ):
            # Give no advice if the number is too large to be read.
            with suppress(ValueError):
                number = resolve_scalar(candidate)
                if isinstance(number, int | float) and not isinstance(number, bool):
                    return f"; {advice}"
    return ""
