"""Which of sacreBLEU's tokenisers can cut the references of a corpus into tokens.

BLEU counts matching sequences of tokens. Of a text written without blanks, a tokeniser for European languages makes
one token per sentence, and a translation with one wrong character then has no match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

LONG_TOKEN: Final = 20
"""Letters of a line that is taken for a whole sentence if it is one token, in a script with blanks."""


class _Script(NamedTuple):
    """A script that is written without blanks between words."""

    letters: str
    """Its letters, as the inside of a character class."""
    word_letters: float
    """More letters per token than this, on average, and the tokens are no words."""


_SCRIPTS: Final = {
    "Chinese characters": _Script(
        "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff", 3.0
    ),
    "kana": _Script("\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f", 4.0),
    "Thai": _Script("\u0e00-\u0e7f", 8.0),
    "Lao": _Script("\u0e80-\u0eff", 8.0),
    "Tibetan": _Script("\u0f00-\u0fff", 8.0),
    "Burmese": _Script("\u1000-\u109f", 8.0),
    "Khmer": _Script("\u1780-\u17ff", 8.0),
}
_CHINESE: Final = "Chinese characters"


def advise_tokenizer(references: Sequence[str], tokenizer: str) -> str | None:
    """Return a clause if the tokeniser cannot cut the references; it names the tokeniser to set.

    Args:
        tokenizer: a value of `evaluate.bleu_tokenize`.
    """
    if tokenizer == "char":
        return None
    text = "\n".join(references)
    letters = sum(map(str.isalpha, text))
    counts = _count_letters(text)
    better = "zh" if counts[_CHINESE] and not counts["kana"] else "char"
    if tokenizer == "zh":
        text = re.sub(f"[{_SCRIPTS[_CHINESE].letters}]", " ", text)
        counts[_CHINESE] = 0
    uncut, main = sum(counts.values()), max(counts, key=lambda name: counts[name])
    if uncut and 2 * uncut >= letters:
        tokens = [token for token in text.split() if any(_count_letters(token).values())]
        if uncut / len(tokens) > _SCRIPTS[main].word_letters:
            return _advice(tokenizer, f"mostly {main}, {uncut / len(tokens):.1f} to a token", better)
    lines = [line.split() for line in text.split("\n") if sum(map(str.isalpha, line)) >= LONG_TOKEN]
    whole = sum(len(tokens) == 1 for tokens in lines)
    if lines and 2 * whole >= len(lines):
        return _advice(tokenizer, f"{whole} of {len(lines)} longer lines have none", better)
    return None


def _count_letters(text: str) -> dict[str, int]:
    return {name: len(re.findall(f"[{script.letters}]", text)) for name, script in _SCRIPTS.items()}


def _advice(tokenizer: str, why: str, better: str) -> str:
    return (
        f"bleu_tokenize {tokenizer} cuts at blanks, and the references are written without blanks between words"
        f" ({why}): one wrong character makes a whole sentence wrong; set evaluate.bleu_tokenize: {better}"
        " (chrf needs no tokens)"
    )
