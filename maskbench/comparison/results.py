"""The values of a comparison, computed once and shown by every format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from maskbench.config.schema.metrics import MetricInfo
from maskbench.statistics.effect import WinRate
from maskbench.statistics.paired import Interval, exploratory_interval
from maskbench.statistics.power import SeedRange
from maskbench.statistics.sequential import Rule
from maskbench.statistics.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """What the command line may set in place of the experiment file; None leaves the file's."""

    metric: str | None = None
    baseline: str | None = None
    """An arm's name or title."""
    alpha: float | None = None
    min_effect: float | None = None
    simultaneous: bool = False
    """Whether all intervals of a table are to hold together: each at alpha / arms."""


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """What is compared, and at which level."""

    metric: str
    info: MetricInfo
    baseline: str
    alpha: float
    min_effect: float | None
    simultaneous: bool = False

    @property
    def level(self) -> str:
        """The confidence of the intervals in percent: `95`."""
        return f"{100 * (1 - self.alpha):g}"


@dataclass(frozen=True, slots=True)
class NoiseShares:
    """Where the uncertainty of a mean difference comes from; the two shares sum to 1."""

    seeds: float
    """Share of its variance that more seeds would reduce."""
    sentences: float
    """Share of its variance that more test sentences would reduce."""
    low: float
    high: float
    """Interval of the mean difference for new seeds and new sentences of the same kind, arm minus baseline."""


@dataclass(frozen=True, slots=True)
class PairedMeans:
    """Means over the seeds that an arm and the baseline both have, where one of them has others too."""

    arm: float
    baseline: float
    seeds: int
    """Number of seeds that both have."""


TestKind: TypeAlias = Literal["exact sign-flip", "random sign-flip", "sign", "sequential"]
"""Where a p-value comes from: all sign vectors or random ones of the differences, the wins alone because a run
diverged, or the wins under the sequential rule."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An arm minus the baseline, over the pairs of runs with the same seed."""

    mean: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    wins: int
    n: int
    win_rate: WinRate | None = None
    """`wins / n`; None without a pair."""
    relative: float | None = None
    """The mean difference as a share of the baseline's mean; None where that is 0."""
    d_z: float | None = None
    """Mean difference in standard deviations of the differences, corrected for few seeds (Hedges 1981): for planning."""
    pairing_gain: float | None = None
    """Share of the variance that pairing by seed removes; negative where pairing increases it."""
    e_value: float | None = None
    """The largest evidence of any look under the sequential rule, at least 1; None under the fixed one."""
    noise: NoiseShares | None = None
    """None where the runs kept no numbers of single sentences."""
    test: TestKind | None = None
    """What gave `p`; None where there is none."""
    paired_means: PairedMeans | None = None
    """The means whose difference `mean` is; None where both means of the table are over the same seeds."""


@dataclass(frozen=True, slots=True)
class ArmCost:
    """The cost of an arm; None where it was not measured."""

    tokens_per_second: float | None
    """Training, alone on the machine."""
    relative_step_time: float | None
    """Geometric mean over the probe's steps of own time / baseline's time (of an older probe the median); 1 for the
    baseline."""
    peak_memory_mb: float | None
    parameters: int | None
    step_time_low: float | None = None
    step_time_high: float | None = None
    """95 % interval of `relative_step_time`, Student's t on logarithms; None for the baseline and of an older probe."""


@dataclass(frozen=True, slots=True)
class OtherMetric:
    """A metric that gets no verdict."""

    mean: float
    sd: float | None
    n: int
    difference_mean: float | None
    """Arm minus baseline over the pairs that have both; None for the baseline."""
    differences: tuple[float, ...] = ()
    """Of the same pairs."""
    paired_means: PairedMeans | None = None
    """The means whose difference `difference_mean` is; None where both sides have the same seeds."""

    def interval(self, alpha: float) -> Interval | None:
        """Return the interval of the mean difference, not corrected; computed at every call."""
        return exploratory_interval(self.differences, alpha)


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How an arm's runs ended."""

    done: int
    failed: int
    diverged: int
    waiting: int

    @property
    def ended(self) -> int:
        """Runs that are done, failed or diverged."""
        return self.done + self.failed + self.diverged

    @property
    def planned(self) -> int:
        """All runs."""
        return self.ended + self.waiting


@dataclass(frozen=True, slots=True)
class ArmResult:
    """The results of one arm: a row of the table."""

    arm: str
    title: str
    values: Mapping[int, float]
    """Seed -> metric, of the runs that are done."""
    mean: float | None
    sd: float | None
    difference: Difference | None
    """None for the baseline."""
    verdict: Verdict | None
    """None for the baseline."""
    seeds_needed: SeedRange | None
    unsafe: bool
    """Whether the file declares that hidden positions may have an influence."""
    also_different: tuple[str, ...]
    cost: ArmCost
    counts: RunCounts
    notes: tuple[str, ...]
    other_metrics: Mapping[str, OtherMetric]
    oracle: bool = False
    """Whether one of its masks reads gold annotations of the corpus."""


@dataclass(frozen=True, slots=True)
class RetiredResult:
    """An arm that is not trained any more, with what its runs had shown."""

    arm: str
    title: str
    reason: str
    """Why it was retired, in the author's words."""
    row: ArmResult | None
    """Its numbers; None where no run of it has ended."""
    is_counted: bool
    """Whether the correction counts it: some of its runs have ended, or it was planned when there were results."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A panel's table."""

    experiment: str
    panel: str | None
    question: str
    """The opening comment of the experiment file."""
    settings: ComparisonSettings
    smallest_p: float | None
    """The smallest p these pairs can reach under the rule; None without a pair."""
    signature: str
    metric_signature: str | None
    """How the metric was computed, where runs record it."""
    alarms: tuple[str, ...]
    """Sentences that put the numbers in doubt: to be shown before the table."""
    warnings: tuple[str, ...]
    rows: tuple[ArmResult, ...]
    """In the order of the experiment file."""
    rule: Rule = "fixed"
    """Whether the seeds were fixed in advance, or added until the comparison was decided."""
    plan_change_alarms: tuple[str, ...] = ()
    """Of the alarms, those about a plan that was changed when there were results to see."""
    retired: tuple[RetiredResult, ...] = ()
    """In the order of the experiment file; they have no row in the table."""

    @property
    def name(self) -> str:
        """The experiment's name, and the panel's if it has one: `quickstart / small`."""
        return f"{self.experiment} / {self.panel}" if self.panel else self.experiment

    @property
    def headline_question(self) -> str:
        """The first paragraph of the experiment file's opening comment."""
        return self.question.strip().split("\n\n")[0]

    @property
    def baseline(self) -> ArmResult:
        """The row of the arm that the others are compared with."""
        return next(row for row in self.rows if row.arm == self.settings.baseline)

    @property
    def n_comparisons(self) -> int:
        """The number of arms that are corrected for: those of the table, and the retired ones that count."""
        return len(self.judged) + sum(retired.is_counted for retired in self.retired)

    @property
    def judged(self) -> list[ArmResult]:
        """The rows of the other arms."""
        return [row for row in self.rows if row.difference is not None]
