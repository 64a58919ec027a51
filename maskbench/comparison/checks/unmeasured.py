"""Says what the numbers of a table do not: metrics without a value, scores to read with care, cut translations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from maskbench.comparison.checks.mixtures import name_runs
from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.records.collect import CollectedRun
from maskbench.text import count_of


def why_undefined(cells: Iterable[CollectedRun], metric: str) -> str | None:
    """Return why some finished run has no value of a metric that it was asked for, or None if none says so."""
    reasons = (cell.result.undefined.get(metric) for cell in cells if cell.result)
    return next((reason for reason in reasons if reason), None)


def describe_unmeasured(arms: Sequence[ArmConfig], cells: Iterable[CollectedRun]) -> list[str]:
    """Return sentences on undefined metrics, on remarks and on cut translations of the finished runs.

    Metrics with the same reason in the same runs share a sentence. Slices without a value are left out here, since a
    slice is compared only on request; result.json has their reasons.
    """
    done = [cell for cell in cells if cell.result]
    undefined: dict[tuple[str, str], list[CollectedRun]] = {}
    remarks: dict[tuple[str, str], list[CollectedRun]] = {}
    for cell in done:
        assert cell.result is not None
        for name, reason in cell.result.undefined.items():
            parsed = metric_name(name)
            if parsed is None or not parsed.part:
                undefined.setdefault((name, reason), []).append(cell)
        for name, clauses in cell.result.remarks.items():
            for clause in clauses:
                remarks.setdefault((name, clause), []).append(cell)
    return [
        *(f"undefined: {sentence}" for sentence in _joined(undefined, done)),
        *_joined(remarks, done),
        *_cut_translations(arms, done),
    ]


def _joined(found: Mapping[tuple[str, str], list[CollectedRun]], done: Sequence[CollectedRun]) -> list[str]:
    """Return `names: clause (runs)` for every clause; the runs are left out where they are all."""
    names: dict[tuple[str, str], list[str]] = {}
    for (name, clause), cells in found.items():
        runs = "" if len(cells) == len(done) else f" ({name_runs(cells)})"
        names.setdefault((clause, runs), []).append(name)
    return [f"{', '.join(listed)}: {clause}{runs}" for (clause, runs), listed in names.items()]


def _cut_translations(arms: Sequence[ArmConfig], done: Sequence[CollectedRun]) -> list[str]:
    """Return a sentence on the translations that were cut, with their mean number over the runs of each arm."""
    titles = {arm.name: arm.title for arm in arms}
    splits: dict[str, dict[str, list[int]]] = {}
    sizes: dict[str, int] = {}
    for cell in done:
        assert cell.result is not None
        for split, (cut, sentences) in cell.result.cut_off.items():
            splits.setdefault(split, {}).setdefault(cell.arm, []).append(cut)
            sizes[split] = max(sentences, sizes.get(split, 0))
    if not splits:
        return []
    n_runs = {arm: sum(cell.arm == arm for cell in done) for arm in titles}

    def means(counts: Mapping[str, list[int]]) -> str:
        # A run without cut translations records none.
        shares = {arm: fmean([*cut, *[0] * (n_runs[arm] - len(cut))]) for arm, cut in counts.items()}
        return ", ".join(f"{titles[arm]} {shares[arm]:.3g}" for arm in titles if arm in shares)

    listed = "; ".join(
        f"{split} ({means(counts)} of {count_of(sizes[split], 'sentence')})"
        for split, counts in splits.items()
    )
    return [
        f"translations cut at their maximal length before the model ended them, mean over runs: {listed};"
        " decode.max_length_ratio sets that length"
    ]
