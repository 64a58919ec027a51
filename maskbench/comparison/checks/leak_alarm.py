"""The leak alarm: arms that score higher with teacher forcing than with their own decoding.

The metric is `forced_gap`, which every run measures that scores and translates a split; see `maskbench.metrics.forced_gap`
for why it is 0 for every model that cannot see the future.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import MetricName, metric_name
from maskbench.records.collect import CollectedRun, RunResult
from maskbench.text import count_of

LARGEST_GAP = 0.02
"""The largest gap without an alarm, as a share of the sentences. Without a leak the gap is 0, except for ties that rounding
decides: about one sentence in a thousand. On a split of 100 sentences two may differ."""


def leak_alarms(arms: Sequence[ArmConfig], cells: Iterable[CollectedRun]) -> list[str]:
    """Return a sentence for every arm of which a run has a gap above `LARGEST_GAP` on any split, in the order of the arms."""
    cells = list(cells)
    return [sentence for arm in arms for sentence in _alarm(arm, [c for c in cells if c.arm == arm.name])]


def _alarm(arm: ArmConfig, cells: Sequence[CollectedRun]) -> Iterator[str]:
    done = [(cell.seed, cell.result) for cell in cells if cell.result is not None]
    loud = [(gap, name, seed, run) for seed, run in done for name, gap in _gaps(run) if gap > LARGEST_GAP]
    if not loud:
        return
    gap, worst, seed, run = max(loud, key=lambda found: found[0])
    ringing = len({seed for _, _, seed, _ in loud})
    others = len({name for _, name, _, _ in loud} - {worst})
    where = worst.split + (f" under the masks of {worst.masks}" if worst.masks else "")
    also = f", and less so on {count_of(others, 'more split')}" if others else ""
    yield (
        f"leak alarm: of 100 sentences of {where}, {arm.title} gets {100 * gap:.0f} more right when it is given the"
        f" reference's words than when it goes on from its own ({_evidence(worst, run)}seed {seed}; likewise in"
        f" {ringing} of {len(done)} runs{also}): it sees what it should not, or something acts only in decoding, such as a mask"
        " of the logits or the limit on length"
    )


def _gaps(run: RunResult) -> Iterator[tuple[MetricName, float]]:
    for name, value in run.metrics.items():
        parts = metric_name(name)
        if parts is not None and parts.metric == "forced_gap":
            yield parts, value


def _evidence(name: MetricName, run: RunResult) -> str:
    """Return the teacher-forced and decoded scores that show the gap, as the beginning of a list."""
    shown = (("token_accuracy", "token accuracy"), ("exact_match", "exact match"))
    values = [(words, run.metrics.get(str(name._replace(metric=metric)))) for metric, words in shown]
    return "".join(f"{words} {100 * value:.1f} %, " for words, value in values if value is not None)
