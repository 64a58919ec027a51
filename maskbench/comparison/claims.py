"""Claims judged by finished runs: supported, refuted or undecided, with a reason.

A claim of a difference follows the verdict of its experiment's comparison, corrected for all arms of the panel, at the
claim's metric and with the claim's smallest difference that matters. It is undecided where the comparison is, and where
alarms of the comparison concern its arms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from maskbench.comparison.results import ArmResult, Comparison, ComparisonOptions
from maskbench.comparison.table import tabulate
from maskbench.config.schema.claims import STEP_TIME, Claim, Limit
from maskbench.errors import MaskbenchError
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.experiment_files import ExperimentFiles
from maskbench.records.locate import find_panels
from maskbench.statistics.paired import sign_flip_interval

ClaimStatus: TypeAlias = Literal["supported", "refuted", "undecided"]

_NO_DIFFERENCE = {
    "equivalent": "equivalent: any difference is smaller than what matters",
    "identical": "identical: it does exactly what the other does",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim with its status and evidence."""

    name: str
    claim: Claim
    status: ClaimStatus
    reason: str
    comparison: Comparison | None = None
    """The panel's table at the claim's metric; None where there is none."""
    row: ArmResult | None = None
    """The arm's row in it."""
    settings: tuple[str, ...] = ()
    """How the experiment that was run differs from its file, such as `train.steps 200 instead of 700`."""

    def document(self) -> dict[str, Any]:
        """Return everything as plain JSON; differences are arm minus the arm it is compared with."""
        return {
            "claim": self.name,
            **self.claim.model_dump(mode="json"),
            "status": self.status,
            "reason": self.reason,
            "settings": list(self.settings),
            "evidence": None if self.row is None or self.comparison is None else self._evidence(self.row),
        }

    def _evidence(self, row: ArmResult) -> dict[str, Any]:
        difference, limits = row.difference, row.difference and row.difference.interval
        return {
            "values": {str(seed): value for seed, value in row.values.items()},
            "mean": row.mean,
            "step_time": row.cost.relative_step_time,
            "difference": difference and difference.mean,
            "low": limits and limits.low,
            "high": limits and limits.high,
            "p_holm": difference and difference.p_holm,
            "pairs": difference.n if difference else 0,
            "verdict": row.verdict,
        }


def judge_claims(claims: Mapping[str, Claim], runs_dir: Path, files: Path | None = None) -> list[Judgement]:
    """Return the status of each claim by the runs under `runs_dir`, in the order of the claims.

    Missing or damaged runs make a claim undecided and are its reason; they raise no error.

    Args:
        claims: by name.
        runs_dir: the folder that holds experiments.
        files: the folder of the experiment files, for saying where runs were made with other settings.
    """
    experiments = _ExperimentCache(runs_dir)
    judged = [_judge(name, claim, experiments) for name, claim in claims.items()]
    if files is None:
        return judged
    written = ExperimentFiles(files)
    return [replace(one, settings=_unlike(one.claim, experiments, written)) for one in judged]


def _unlike(claim: Claim, experiments: _ExperimentCache, written: ExperimentFiles) -> tuple[str, ...]:
    try:
        return written.differences(experiments.panel(claim).found.experiment)
    except (_ClaimUndecidable, MaskbenchError):
        return ()


class _ExperimentCache:
    """The experiments of a runs folder, each read once."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._read: dict[str, list[CollectedPanel]] = {}

    def panel(self, claim: Claim) -> CollectedPanel:
        """Return the panel of a claim with everything read.

        Raises:
            _Open: there is none.
            ConfigError: what lies there cannot be read.
        """
        directory = self._runs_dir / claim.experiment
        if not directory.is_dir():
            raise _ClaimUndecidable(f"not run yet: there is no {directory}")
        if claim.experiment not in self._read:
            self._read[claim.experiment] = [collect_panel(found) for found in find_panels(directory)]
        for collected in self._read[claim.experiment]:
            if collected.found.panel.name == claim.panel:
                return collected
        raise _ClaimUndecidable(f"{directory} has no panel {claim.panel or 'without a name'}")


class _ClaimUndecidable(Exception):
    """A claim cannot be decided; the message says why."""


def _judge(name: str, claim: Claim, experiments: _ExperimentCache) -> Judgement:
    try:
        collected = experiments.panel(claim)
        comparison = _compared(claim, collected)
        row = _row(claim, comparison)
    except (_ClaimUndecidable, MaskbenchError) as missing:
        return Judgement(name, claim, "undecided", str(missing))
    if isinstance(claim.expects, Limit):
        status, reason = _by_values(claim, claim.expects, row)
    else:
        status, reason = _by_verdict(claim, comparison, row)
    # Runs beyond a limit refute a claim in spite of alarms: the claim may be about a leak itself.
    is_beyond_doubt = status == "undecided" or (isinstance(claim.expects, Limit) and status == "refuted")
    doubts = () if is_beyond_doubt else _relevant_alarms(claim, collected, comparison)
    if doubts:
        status, reason = "undecided", "; ".join((reason, *doubts))
    return Judgement(name, claim, status, reason, comparison, row)


def _compared(claim: Claim, collected: CollectedPanel) -> Comparison:
    metric = None if claim.metric == STEP_TIME else claim.metric
    return tabulate(collected, ComparisonOptions(metric, claim.against, min_effect=claim.min_effect))


def _relevant_alarms(claim: Claim, collected: CollectedPanel, comparison: Comparison) -> tuple[str, ...]:
    """Return the alarms about the arms of the claim: those that a table of these arms alone has, too."""
    if claim.metric == STEP_TIME or not comparison.alarms:
        return ()
    found, names = collected.found, (claim.arm, comparison.settings.baseline)
    pair = found.panel.model_copy(update={"arms": tuple(a for a in found.panel.arms if a.name in names)})
    cells = {key: cell for key, cell in collected.runs.items() if key[0] in names}
    alone = _compared(claim, replace(collected, found=replace(found, panel=pair), runs=cells))
    return tuple(
        alarm for alarm in comparison.alarms if alarm in {*comparison.plan_change_alarms, *alone.alarms}
    )


def _row(claim: Claim, comparison: Comparison) -> ArmResult:
    row = next((row for row in comparison.rows if row.arm == claim.arm), None)
    if row is None:
        raise _ClaimUndecidable(f"the experiment was run without the arm {claim.arm}")
    if row.difference is None and not isinstance(claim.expects, Limit):
        raise _ClaimUndecidable(f"{claim.arm} is the baseline: there is nothing to hold it against")
    return row


def _by_values(claim: Claim, limit: Limit, row: ArmResult) -> tuple[ClaimStatus, str]:
    """Decide by the arm's own values: all of them must lie on one side."""
    if claim.metric == STEP_TIME:
        time = row.cost.relative_step_time
        if time is None:
            return "undecided", "the cost of a step was not measured"
        return ("supported" if limit.holds(time) else "refuted"), f"{time:.2f}, measured once"
    counts = row.counts
    planned = counts.planned
    if counts.done < planned or not planned:
        return "undecided", f"{counts.done} of {planned} runs are done"
    held = sum(limit.holds(value) for value in row.values.values())
    reason = f"with {held} of {planned} seeds {limit}"
    return ("supported" if held == planned else "undecided" if held else "refuted"), reason


def _by_verdict(claim: Claim, comparison: Comparison, row: ArmResult) -> tuple[ClaimStatus, str]:
    """Decide by the comparison's verdict."""
    verdict = row.verdict
    if verdict not in ("better", "worse", "equivalent", "identical"):
        return "undecided", "; ".join([str(verdict), *row.notes])
    if verdict == "identical" and row.difference and row.difference.n < 2:
        return "undecided", "identical with one seed, which may be chance"
    if verdict in ("equivalent", "identical"):
        return ("supported" if claim.expects == "no difference" else "refuted"), _NO_DIFFERENCE[verdict]
    went = "higher" if (verdict == "better") == comparison.settings.info.higher_is_better else "lower"
    if _too_small(claim, comparison, row):
        reason = f"{went}, but by less than what matters"
        return ("supported" if claim.expects == "no difference" else "refuted"), reason
    if claim.expects == went:
        return "supported", f"{went}, as claimed"
    return "refuted", f"{went}, where the claim is {claim.expects}"


def _too_small(claim: Claim, comparison: Comparison, row: ArmResult) -> bool:
    """Whether a difference is shown to be smaller than `min_effect`, by the rule of `equivalent`."""
    settings, baseline = comparison.settings, comparison.baseline
    if claim.min_effect is None or row.counts.diverged or baseline.counts.diverged:
        return False
    pairs = [value - baseline.values[seed] for seed, value in row.values.items() if seed in baseline.values]
    limits = sign_flip_interval(pairs, 2 * settings.alpha / len(comparison.judged))
    return limits is not None and limits.within(claim.min_effect)
