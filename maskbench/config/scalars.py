"""Which plain words of a YAML file are numbers, booleans and nulls.

The core schema of YAML 1.2, a little stricter: decimal and 0x integers, JSON-like floats with or without a fraction
(`1e-3`, `.5`, `2.`), `true`, `false`, `null` and `~`. Everything else is text: `no`, `on`, `1:30`, `2026-01-31`,
`1_000`, and also `010`, which YAML 1.1 reads as eight and YAML 1.2 as ten. A setting that wants a number refuses
such text, so nothing is ever guessed.
"""

from __future__ import annotations

import re

from maskbench.config.parsing.nodes import Scalar

_DIGITS = "(?:0|[1-9][0-9]*)"
_DECIMAL = re.compile(rf"[-+]?{_DIGITS}")
_HEX = re.compile("0x[0-9a-fA-F]+")
_FLOAT = re.compile(rf"[-+]?(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NULL, _TRUE, _FALSE = ({word, word.capitalize(), word.upper()} for word in ("null", "true", "false"))
# Longer literals are never meant, and turning thousands of digits into a number takes quadratic time.
_LONGEST_NUMBER = 40


def resolve(text: str) -> Scalar:
    """Return what an unquoted `text` stands for.

    Raises:
        ValueError: it is a number larger or longer than any setting can mean.
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
