"""Checks a part of the file against a model and says what is wrong in the user's words.

pydantic finds the mistakes; here each one gets the place of its key or value, the rule, the value, and a hint where
one is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import Place, ProblemReport, shorten
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
_OWN_WORDS = ("value_error", "assertion_error")
# A reason that reads on after the name of the setting: "train.select must be ...".
_PREDICATE = re.compile(r"(must|is|has|names|holds)\b")


@dataclass(frozen=True, slots=True)
class _Mistake:
    """One of pydantic's complaints, with the path it has in the file."""

    path: NodePath
    error: ErrorDetails

    @property
    def is_about_a_key(self) -> bool:
        return self.error["type"] in ("missing", "extra_forbidden")


def format_value(node: Node | None) -> str:
    """Return the value as a message quotes it."""
    value = node.value if node else None
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else shorten(repr(value))


def unknown_key_message(key: str, what: str, allowed: Iterable[str]) -> str:
    """Return the message for a key that `what` does not have."""
    known = list(allowed)
    return f"unknown key {shorten(key)!r} in {what}{did_you_mean(key, known)} (allowed: {', '.join(known)})"


def check_keys(node: Node, what: str, allowed: Iterable[str], report: ProblemReport) -> None:
    """Note every key of the mapping that is not allowed."""
    known = list(allowed)
    for key, entry in node.entries.items():
        if key not in known:
            report.add(entry.key_place, unknown_key_message(key, what, known))


def must_be(kind: str, node: Node, what: str, report: ProblemReport) -> bool:
    """Whether `node` is a "mapping" or a "list"; if not, that is noted."""
    fits = isinstance(node.value, dict if kind == "mapping" else tuple)
    if not fits:
        report.add(node.place, f"{what} must be a {kind}, got {format_value(node)}")
    return fits


def validate(
    model: type[Model], node: Node, what: str, report: ProblemReport, also_allowed: tuple[str, ...] = ()
) -> Model | None:
    """Return the model made of `node`; None, and every mistake in the report, if it does not fit.

    Args:
        model: what the mapping should be.
        node: the part of the file.
        what: how messages call that part, for instance `train`.
        report: receives the mistakes.
        also_allowed: keys beside the model's fields that the user may write there.
    """
    if not must_be("mapping", node, what, report):
        return None
    try:
        return model.model_validate(node.to_python())
    except ValidationError as error:
        mistakes = [_Mistake(_path(node, details), details) for details in error.errors(include_url=False)]
    for path, group in _grouped(mistakes).items():
        mistake = group[0]
        if mistake.is_about_a_key:
            allowed = (*also_allowed, *model.model_fields) if len(path) == 1 else ()
            _add_key_mistake(mistake, node, what, allowed, report)
        else:
            text = _describe(group, find_node(node, path))
            report.add(_place(node, mistake), f"{_name(what, path)}{text}")
    return None


def find_node(node: Node, path: NodePath) -> Node | None:
    """Return what is at `path`, None where the path leads nowhere."""
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
    """Return the path in the file: pydantic's, without the names it gives the members of a union."""
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


def _grouped(mistakes: list[_Mistake]) -> dict[NodePath, list[_Mistake]]:
    """Gather what is said of one value; drop what only repeats that something inside it is wrong."""
    paths = [mistake.path for mistake in mistakes]
    groups: dict[NodePath, list[_Mistake]] = {}
    for mistake in mistakes:
        path = mistake.path
        if mistake.is_about_a_key or not any(p[: len(path)] == path and p != path for p in paths):
            groups.setdefault(path, []).append(mistake)
    return groups


def _add_key_mistake(
    mistake: _Mistake, node: Node, what: str, allowed: tuple[str, ...], report: ProblemReport
) -> None:
    *above, last = mistake.path or ("?",)
    parent = find_node(node, tuple(above)) or node
    where, key = _name(what, tuple(above)), str(last)
    if mistake.error["type"] == "missing":
        report.add(parent.place, f"missing key {key!r} in {where}")
        return
    entry = parent.entries.get(key)
    message = (
        unknown_key_message(key, where, allowed) if allowed else f"unknown key {shorten(key)!r} in {where}"
    )
    report.add(entry.key_place if entry else parent.place, message)


def _place(node: Node, mistake: _Mistake) -> Place:
    """Return the place of the value; a default that clashes has the place of what it clashes with."""
    at = mistake.error.get("ctx", {}).get("at")
    found = find_node(node, mistake.path) if mistake.path else None
    other = node.get(at) if at else None
    return (found or other or node).place


def _name(what: str, path: NodePath) -> str:
    return what + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _describe(group: list[_Mistake], node: Node | None) -> str:
    """Return what follows the name of the setting: the rules, the value, a hint."""
    rules = list(dict.fromkeys(_rule(mistake.error) for mistake in group))
    text = ", or ".join(rules)
    if not _PREDICATE.match(text):
        return f": {text}"
    if node is None or ", got " in text:
        return f" {text}"
    return f" {text}, got {format_value(node)}{_hint(group[0].error, node)}"


def _rule(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _OWN_WORDS:
        return str(context.get("error", error["msg"]))
    if kind not in _RULES:
        return error["msg"].replace("Input should be", "must be", 1)
    return _RULES[kind].format(**{name: _spell(value) for name, value in context.items()})


def _spell(bound: Any) -> str:
    """Return what a rule demands, numbers without a needless point and with thousands apart."""
    if isinstance(bound, float):
        return f"{bound:g}"
    return f"{bound:,}" if isinstance(bound, int) else str(bound)


def _hint(error: ErrorDetails, node: Node) -> str:
    """Return what to write instead, where that can be told."""
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
        return _number_hint(value)
    return ""


def _number_hint(text: str) -> str:
    for candidate, advice in (
        (text, "write it without quotes"),
        (text.replace("_", ""), "write it without underscores"),
        (text.lstrip("0"), "write it without leading zeros"),
    ):
        if _is_number(candidate):
            return f"; {advice}"
    return ""


def _is_number(text: str) -> bool:
    try:
        value: Any = resolve_scalar(text)
    except ValueError:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool)
