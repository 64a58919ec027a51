"""A calibration as terminal text: each question, how many pairs answer it, and the answer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from maskbench.comparison.calibration import Calibration, NoiseFloor, SingleSeedRisk
from maskbench.comparison.text.number_format import Scale, scale_of
from maskbench.text import sanitize

WIDTH = 80
_ANSWER = 54
"""The column at which answers stand."""

_NOTE = (
    "Two runs here share no random number. In a comparison the arms of a seed share theirs, so their differences can "
    "be smaller than these; how much smaller, the pairing gain of every arm says: in `maskbench report`, and in "
    "`maskbench compare -f json`."
)


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """Yield the lines of a panel's calibration, at most `WIDTH` columns wide, apart from long names."""
    scale = scale_of(calibration.comparison)
    place = f" / {calibration.panel}" if calibration.panel else ""
    yield sanitize(f"{calibration.experiment}{place}: the baseline against itself")
    yield sanitize(f"{calibration.metric}{scale.unit}")
    yield ""
    if calibration.floor is None:
        yield "Too few runs are finished: it takes three to see how far runs lie apart."
    else:
        yield from _floor(calibration.floor, scale)
        yield from _single_seed(calibration.single_seed, calibration.floor, scale)
    yield from _tests(calibration)
    if calibration.floor is not None:
        yield ""
        yield from textwrap.wrap(_NOTE, WIDTH)


def _floor(floor: NoiseFloor, scale: Scale) -> Iterator[str]:
    yield f"Two runs that differ by chance alone ({floor.runs} runs, {floor.pairs} pairs, {floor.independent} of them"
    yield "without a run in common) lie apart by"
    yield _row("  standard deviation of the difference", scale.number(floor.sd))
    yield _row("  on average", scale.number(floor.mean_absolute))
    yield _row("  at most", scale.number(floor.largest))


def _single_seed(found: SingleSeedRisk | None, floor: NoiseFloor, scale: Scale) -> Iterator[str]:
    yield ""
    if found is None:
        yield "The file has no compare.min_effect, so it cannot be said what counts as a winner;"
        yield "give one, for example with --set compare.min_effect=0.01"
        return
    yield f"Comparing one seed of each, with {scale.number(found.min_effect)} as the difference that matters:"
    seen = _share(found.false_winners, floor.pairs)
    yield _row("  a winner where nothing differs", seen)
    yield _row("    for normal differences, 2 Phi(-min_effect / sd)", _percent(found.expected_false))
    yield _row("  the wrong winner if one is better by min_effect,", "")
    yield _row("    for normal differences, Phi(-min_effect / sd)", _percent(found.wrong_winner))


def _tests(calibration: Calibration) -> Iterator[str]:
    yield ""
    found = calibration.sentence_test
    if found is None:
        yield "No test over sentences: these runs kept no numbers of single sentences that"
        yield "make up this metric."
    else:
        yield "A test over the sentences of one run each (paired approximate randomisation):"
        yield _row(f"  p <= {found.alpha:g} where nothing differs", _share(found.significant, found.pairs))
    yield "The test over seeds that `maskbench compare` makes, on the same runs:"
    for title, verdict in calibration.verdicts.items():
        alarm = " (a false alarm)" if verdict in ("better", "worse") else ""
        yield _row(f"  {sanitize(title)}", f"{verdict}{alarm}")
    if calibration.seeds_needed is not None:
        low, high = calibration.seeds_needed.low, calibration.seeds_needed.high
        seeds = f"{low}" if low == high else f"{low} to {high}"
        yield ""
        yield _row("Seeds for an 80 % chance to see min_effect", seeds)


def _row(question: str, answer: str) -> str:
    return f"{question:<{_ANSWER}} {answer}".rstrip()


def _share(n: int, total: int) -> str:
    return f"{n} of {total} pairs, {_percent(n / total)}"


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "below 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
