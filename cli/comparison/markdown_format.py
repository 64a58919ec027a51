"""A comparison as GitHub-flavoured Markdown: a heading, the table, the sentences. Everything from files is text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from maskbench.comparison.results import Comparison
from maskbench.comparison.text.footnotes import arm_notes, method, warnings
from maskbench.comparison.text.number_format import scale_of
from maskbench.comparison.text.sentences import baseline_title, headline, noise_sentences, verdict_sentences
from maskbench.text import sanitize

from .cells import Written, p_heading, written

# A backslash takes its meaning from any punctuation (CommonMark 2.4). Bare addresses are links and dollars formulas on
# GitHub.
_MEANT = re.compile(r"://|(?<=www)\.|[\\`*_{}\[\]<>|~&#$@]", re.IGNORECASE)
_BEGINS_A_LIST = re.compile(r"^(\s*\d*)([-+=.)])")


def to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return every panel under a heading of its own."""
    return "\n\n".join("\n".join(_panel(comparison)) for comparison in comparisons) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is within a line, a cell or a heading."""
    return _MEANT.sub(lambda found: f"\\{found[0]}", sanitize(text).strip())


def line(text: str) -> str:
    """Return text that Markdown shows as it is where a line or a list item begins with it."""
    return _BEGINS_A_LIST.sub(r"\1\\\2", escaped(text))


def _panel(comparison: Comparison) -> Iterator[str]:
    name = comparison.experiment
    yield f"## {escaped(f'{name} / {comparison.panel}' if comparison.panel else name)}"
    yield ""
    question = comparison.question.strip().split("\n\n")[0]
    if question:
        yield f"*{escaped(question).strip()}*"
        yield ""
    yield f"**{escaped(headline(comparison))}**"
    yield ""
    yield _settings(comparison)
    yield ""
    for alarm in comparison.alarms:
        yield f"> **{escaped(alarm)}**"
        yield ""
    yield from _table(comparison)
    yield ""
    for sentence in (*verdict_sentences(comparison), *noise_sentences(comparison), *arm_notes(comparison)):
        yield f"- {line(sentence)}"
    for sentence in method(comparison):
        yield f"- {line(sentence)}"
    for warning in warnings(comparison):
        yield f"- **warning:** {escaped(warning)}"
    yield ""
    yield _code(comparison.signature)


def _settings(comparison: Comparison) -> str:
    settings, scale = comparison.settings, scale_of(comparison)
    direction = "higher" if settings.info.higher_is_better else "lower"
    words = f"{settings.metric}{scale.unit} ({direction} is better), baseline {baseline_title(comparison)}"
    if settings.min_effect is not None:
        words += f", min_effect {scale.number(settings.min_effect)}"
    return line(words)


def _table(comparison: Comparison) -> Iterator[str]:
    headings = (
        "arm",
        "n",
        "mean ± sd",
        f"difference [{comparison.settings.level} %]",
        p_heading(comparison),
        "wins",
    )
    yield _row(escaped(text) for text in (*headings, "verdict", "cost"))
    yield "| :-- | --: | --: | --: | --: | --: | :-- | --: |"
    for row in written(comparison):
        yield _row(escaped(text) for text in _cells(row))


def _cells(row: Written) -> tuple[str, ...]:
    mean = f"{row.mean} ± {row.sd}" if row.sd else row.mean
    difference = f"{row.difference} {row.interval}".strip()
    return row.arm, row.n, mean, difference, row.p, row.wins, row.verdict, row.cost


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Return text as code, in more backticks than it holds itself."""
    words = sanitize(text)
    fence = "`" * (max(map(len, re.findall("`+", words)), default=0) + 1)
    pad = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{fence}{pad}{words}{pad}{fence}"
