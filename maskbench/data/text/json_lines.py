"""Read pairs of sentences from JSON lines: one object a line, with the sentences under two of its keys.

The keys may stand in an object under `translation`, as in `{"translation": {"de": "...", "en": "..."}}`, which
the library `datasets` writes. A key that stands twice in an object is an error, since JSON does not say which
of its values is meant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maskbench.data.text.text_files import read_text
from maskbench.errors import CorpusError
from maskbench.text import count_of

NESTED_KEY: Final = "translation"
"""The key of an object that holds the sentences by language."""


def read_json_lines(path: Path, src: str, tgt: str) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Return the source and the target of every line, and notes on how the file was read.

    The first line decides for all lines where they stand: under `src` and `tgt`, or, if it has neither key,
    under these keys in the object `translation`, or under "src" and "tgt" in the one place or the other.

    Args:
        path: the file.
        src, tgt: the keys of the source and the target.

    Raises:
        CorpusError: a line is not one JSON object, has a key twice, lacks a key, or has something else than a
            line of text under it; with `file:line`.
    """
    keys = _Keys((src, tgt), is_nested=False)
    pairs = []
    text = read_text(path)
    for number, line in enumerate(text.lines, start=1):
        place = f"{path}:{number}"
        value = _json_object(line, place, number)
        if number == 1:
            keys = _find_keys(value, src, tgt)
        pairs.append(keys.read(value, place))
    return pairs, text.notes


@dataclass(frozen=True)
class _Keys:
    """Where the source and the target of every line stand."""

    names: tuple[str, str]
    is_nested: bool

    def read(self, value: dict[str, Any], place: str) -> tuple[str, str]:
        """Return the source and the target of a line."""
        inside = ""
        if self.is_nested:
            inside = f" in {NESTED_KEY!r}"
            held = value.get(NESTED_KEY)
            if not isinstance(held, dict):
                found = _json_name(held) if NESTED_KEY in value else f"no such key{_list_keys(value)}"
                raise CorpusError(f"{place}: {NESTED_KEY!r} must be an object, as in line 1, found {found}")
            value = held
        for name in self.names:
            if name not in value:
                raise CorpusError(
                    f"{place}: there is no key {name!r}{inside}{_list_keys(value)}; src and tgt of the experiment file"
                    " name the keys"
                )
        return _sentence(value, self.names[0], place), _sentence(value, self.names[1], place)


def _find_keys(value: dict[str, Any], src: str, tgt: str) -> _Keys:
    """Return where the sentences of the first line, and so of all lines, stand."""
    nested = value.get(NESTED_KEY)
    for names in ((src, tgt), ("src", "tgt")):
        if names[0] in value or names[1] in value:
            return _Keys(names, is_nested=False)
        if isinstance(nested, dict) and (names[0] in nested or names[1] in nested):
            return _Keys(names, is_nested=True)
    return _Keys(
        (src, tgt) if isinstance(nested, dict) else ("src", "tgt"), is_nested=isinstance(nested, dict)
    )


class _DoubledKey(ValueError):
    """An object has a key twice."""


def _refuse_doubled_keys(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in items:
        if key in found:
            raise _DoubledKey(key)
        found[key] = value
    return found


def _json_object(line: str, place: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_refuse_doubled_keys)
    except json.JSONDecodeError as error:
        empty = "the line is empty" if not line.strip() else f"{error.msg} at character {error.pos + 1}"
        raise CorpusError(
            f"{place}: not valid JSON: {empty}; every line must be one object{_advice(line, number)}"
        ) from error
    except _DoubledKey as error:
        key = str(error)[:60]
        raise CorpusError(
            f"{place}: the key {key!r} stands twice in one object, so it is not known which value is meant; remove one"
        ) from error
    except (RecursionError, ValueError) as error:
        raise CorpusError(
            f"{place}: not JSON that can be read: nested too deeply, or too long a number"
        ) from error
    if not isinstance(value, dict):
        raise CorpusError(
            f"{place}: expected a JSON object, found {_json_name(value)}; such as"
            f' {{"src": "...", "tgt": "..."}}{_advice(line, number)}'
        )
    return value


def _advice(line: str, number: int) -> str:
    """Return, in brackets, what may be wrong with a line, or with the file; empty if there is no sign of it."""
    text = line.strip()
    if not text:
        return " (remove the line)"
    if returns := text.count("\r"):
        return f" (the line holds {count_of(returns, 'carriage return')}, which end no line)"
    if text.endswith("},"):
        return " (remove the comma after the object)"
    if number == 1 and text.startswith("["):
        return " (is the file one JSON list? Write its objects on lines of their own: jq -c '.[]' OLD > NEW)"
    if number == 1 and text.startswith("{") and not text.endswith("}"):
        return " (is an object spread over lines? Write each on one line: jq -c . OLD > NEW)"
    return ""


def _sentence(value: dict[str, Any], key: str, place: str) -> str:
    text = value[key]
    if not isinstance(text, str):
        advice = {type(None): '; write "" for a side without text', dict: "", list: ""}
        end = advice.get(type(text), "; put it into quotation marks if it is text")
        raise CorpusError(f"{place}: the value of {key!r} must be a string, found {_json_name(text)}{end}")
    odd = next(
        (name for mark, name in (("\n", "a line end"), ("\0", "a NUL character")) if mark in text), None
    )
    if odd is None and any("\ud800" <= character <= "\udfff" for character in text):
        odd = "half of a surrogate pair, which is no character"
    if odd:
        raise CorpusError(
            f"{place}: the value of {key!r} holds {odd}; a sentence is one line of text, so put a space in its place"
        )
    return text


def _list_keys(value: dict[str, Any]) -> str:
    found = ", ".join(repr(str(key)[:30]) for key in list(value)[:5]) or "none"
    return f" (keys of this line: {found})"


def _json_name(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return "NaN, no number"
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
