"""`--fail-unless`: verdicts that a script or CI demands, such as `dynamic better` or `dynamic not worse`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from maskbench.comparison.checks.retired import describe_missing_arm
from maskbench.comparison.results import ArmResult, Comparison
from maskbench.comparison.text.sentences import verdict_sentence
from maskbench.errors import ConfigError
from maskbench.registry import did_you_mean
from maskbench.statistics.verdict import Verdict

EXIT_CODE = 6
"""Of `maskbench compare` when a demand is not met."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_UNTESTED: tuple[Verdict, ...] = ("not testable", "unusable")


@dataclass(frozen=True, slots=True)
class Demand:
    """The parsed value of one `--fail-unless`."""

    text: str
    """As the user wrote it."""
    arm: str
    """Name or title."""
    verdicts: frozenset[Verdict]
    """What is allowed."""


def unmet_demands(demands: Sequence[str], comparisons: Sequence[Comparison]) -> list[str]:
    """Return a sentence for every demand that is not met in some panel that has its arm.

    Raises:
        ConfigError: a demand names no arm beside the baseline, or no verdict.
    """
    parsed = [_parsed(text, comparisons) for text in demands]
    return [sentence for demand in parsed for sentence in _shortfalls(demand, comparisons)]


def alarm_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the alarms of all panels: they put numbers in doubt by which a demand may be met."""
    return [f"alarm: {comparison.name}: {alarm}" for comparison in comparisons for alarm in comparison.alarms]


def _shortfalls(demand: Demand, comparisons: Sequence[Comparison]) -> Iterator[str]:
    judged = [(row, c) for c in comparisons for row in _judged(c) if demand.arm in (row.arm, row.title)]
    for row, comparison in judged:
        if row.verdict not in demand.verdicts:
            yield f"not met: {demand.text!r} in {comparison.name}: {verdict_sentence(row, comparison)}"


def _judged(comparison: Comparison) -> list[ArmResult]:
    return [row for row in comparison.rows if row.verdict is not None]


def _parsed(text: str, comparisons: Sequence[Comparison]) -> Demand:
    arms = dict.fromkeys(name for c in comparisons for row in _judged(c) for name in (row.arm, row.title))
    words = text.strip()
    # A title may hold spaces, so the longest matching name wins.
    fitting = [name for name in arms if re.match(re.escape(name) + r"\s", words)]
    if not fitting:
        raise ConfigError(_no_such_arm(words, list(arms), comparisons))
    arm = max(fitting, key=len)
    return Demand(words, arm, _verdicts(words, words[len(arm) :].strip()))


def _no_such_arm(words: str, arms: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    asked = words.split()[0] if words else ""
    if words in arms:
        return f"--fail-unless {words!r} lacks a verdict, such as {f'{words} better'!r}"
    if asked in {name for c in comparisons for row in c.rows for name in (row.arm, row.title)}:
        return f"--fail-unless {words!r}: {asked} is the baseline, which gets no verdict"
    retired = [one for c in comparisons for one in c.retired]
    # The words hold a title, which may have spaces, and a verdict.
    asked = next(
        (name for one in retired for name in (one.arm, one.title) if f"{words} ".startswith(f"{name} ")),
        asked,
    )
    return f"--fail-unless {words!r}: {describe_missing_arm(asked, arms, retired, 'arms with a verdict')}"


def _verdicts(words: str, wanted: str) -> frozenset[Verdict]:
    """Read `better`, `better|equivalent` or `not worse`.

    A `not` demand never allows `not testable` and `unusable`: an untested arm is not shown to be anything.
    """
    named = wanted.replace("_", " ")
    negated = (
        named not in VERDICTS and named.startswith("not ") and named.split("|")[0].strip() not in VERDICTS
    )
    parts = [part.strip() for part in named.removeprefix("not " if negated else "").split("|")]
    for part in parts:
        if part not in VERDICTS:
            hint = did_you_mean(part, VERDICTS)
            raise ConfigError(
                f"--fail-unless {words!r}: no verdict is called {part!r}{hint} (verdicts: {', '.join(VERDICTS)})"
            )
    given = frozenset(verdict for verdict in VERDICTS if verdict in parts)
    return frozenset(VERDICTS) - given - frozenset(_UNTESTED) if negated else given
