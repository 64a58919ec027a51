"""The cells of a comparison's table as text; terminal, Markdown, LaTeX and the HTML page lay out the same cells.

A cell is empty where there is nothing to show: each format has its own sign for that. Signs other than digits are ASCII
(`-`, not a minus sign), and titles are as the file has them, so whoever prints a cell escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from maskbench.comparison.results import ArmCost, ArmResult, Comparison
from maskbench.comparison.text.number_format import Scale, interval_text, p_text, scale_of, with_sign
from maskbench.comparison.text.verdict_symbols import UNEQUAL
from maskbench.config.schema.metrics import MetricName, metric_name


@dataclass(frozen=True, slots=True)
class ArmCells:
    """One row of the table."""

    row: ArmResult
    """The arm's numbers, from which the cells are written."""
    runs: str
    """Finished runs, and of how many where some are not: `8`, `5/8`."""
    mean: str
    sd: str
    difference: str
    """With its sign: `+1.2`."""
    interval: str
    """Of the difference: `[-0.1, 2.0]`."""
    p: str
    """Corrected for all arms, with three decimals."""
    wins: str
    """Won pairs of all pairs: `7/8`."""
    verdict: str
    """Without its symbol; empty for the baseline."""
    step_time: str
    """Relative to the baseline's: `1.34`."""
    step_time_interval: str
    paired_means: str = ""
    """Where the arm and the baseline have different seeds, the means whose difference is shown: `20.1 - 21.0`."""

    @property
    def is_baseline(self) -> bool:
        """Whether the row is what the others are compared with."""
        return self.row.difference is None

    @property
    def is_waiting(self) -> bool:
        """Whether some runs are still to come; such a row is dimmed where a format can."""
        return self.row.counts.waiting > 0

    @property
    def title_with_marks(self) -> str:
        """The arm's title, and in words what a reader must know before its numbers."""
        return self.row.title + " (unsafe)" * self.row.unsafe + " (oracle)" * self.row.oracle

    def mean_with_sd(self, plus_minus: str = "±", between: str = " ", mark: str = UNEQUAL) -> str:
        """Return `91.5 ± 0.4`, or what there is of it; behind it `mark` where its seeds are not the baseline's."""
        mean = f"{self.mean}{between}{plus_minus} {self.sd}" if self.sd else self.mean
        return f"{mean}{mark}" if self.paired_means else mean

    def difference_with_interval(self, between: str = " ") -> str:
        """Return `+1.2 [-0.1, 2.0]`, or what there is of it."""
        return f"{self.difference}{between}{self.interval}" if self.interval else self.difference

    def cost(self, times: str) -> str:
        """Return `1.34x`; `times` is the sign behind the number."""
        return f"{self.step_time}{times}" if self.step_time else ""

    def cost_with_interval(self, times: str, between: str = " ") -> str:
        """Return `1.34x [1.29, 1.40]`, or what there is of it."""
        ratio = self.cost(times)
        return f"{ratio}{between}{self.step_time_interval}" if self.step_time_interval else ratio


@dataclass(frozen=True, slots=True)
class TableCells:
    """The whole table."""

    metric: str
    """With unit and direction: `test/exact_match in % (higher is better)`."""
    baseline: str
    """The baseline's title."""
    min_effect: str
    """The smallest difference that matters; empty where none was declared."""
    level: str
    """The intervals' confidence in percent: `95`."""
    p_kind: str
    """`p` or `anytime p`."""
    is_corrected: bool
    """Whether p-values are corrected, because there are several arms."""
    rows: tuple[ArmCells, ...]
    """In the order of the comparison."""

    @property
    def settings_text(self) -> str:
        """What is compared, on one line: `test/bleu (higher is better), baseline none, min_effect 0.5`."""
        matters = f", min_effect {self.min_effect}" if self.min_effect else ""
        return f"{self.metric}, baseline {self.baseline}{matters}"

    @property
    def p_heading(self) -> str:
        """Heading of the p-values on one line: `p (Holm)`."""
        return f"{self.p_kind} (Holm)" if self.is_corrected else self.p_kind


def table_cells(comparison: Comparison) -> TableCells:
    """Return the cells of a comparison's table."""
    settings, scale = comparison.settings, scale_of(comparison)
    direction = "higher" if settings.info.higher_is_better else "lower"
    return TableCells(
        metric=f"{settings.metric}{scale.unit} ({direction} is better)",
        baseline=comparison.baseline.title,
        min_effect="" if settings.min_effect is None else scale.number(settings.min_effect),
        level=settings.level,
        p_kind="anytime p" if comparison.rule == "sequential" else "p",
        is_corrected=comparison.n_comparisons > 1,
        rows=tuple(arm_cells(row, scale) for row in comparison.rows),
    )


def arm_cells(row: ArmResult, scale: Scale) -> ArmCells:
    """Return the cells of one arm.

    Args:
        scale: of the compared metric.
    """
    counts, cost, difference = row.counts, row.cost, row.difference
    gain = difference.mean if difference else None
    limits = difference.interval if difference and gain is not None else None
    means = difference.paired_means if difference else None
    return ArmCells(
        row=row,
        runs=str(counts.done) if counts.done == counts.planned else f"{counts.done}/{counts.planned}",
        mean="" if row.mean is None else scale.number(row.mean),
        sd="" if row.mean is None or row.sd is None else scale.number(row.sd),
        difference="" if gain is None else with_sign(scale.number(gain)),
        interval=interval_text(scale, limits.low, limits.high) if limits else "",
        p="" if difference is None or difference.p_holm is None else p_text(difference.p_holm),
        wins="" if difference is None else f"{difference.wins}/{difference.n}",
        verdict=row.verdict or "",
        step_time="" if cost.relative_step_time is None else f"{cost.relative_step_time:.2f}",
        step_time_interval=_step_time_interval(cost),
        paired_means=f"{scale.number(means.arm)} - {scale.number(means.baseline)}" if means else "",
    )


def _step_time_interval(cost: ArmCost) -> str:
    if cost.relative_step_time is None or cost.step_time_low is None or cost.step_time_high is None:
        return ""
    return f"[{cost.step_time_low:.2f}, {cost.step_time_high:.2f}]"


def other_metric_names(comparison: Comparison) -> list[MetricName]:
    """Return the metrics without verdict, in the order of the results.

    `forced_gap`, which every run measures and which should be 0, is left out where it is 0 for every arm.
    """
    found = dict.fromkeys(name for row in comparison.rows for name in row.other_metrics)
    names = [name for text in found if (name := metric_name(text))]
    return [name for name in names if name.metric != "forced_gap" or _is_nonzero(comparison, str(name))]


def _is_nonzero(comparison: Comparison, metric: str) -> bool:
    found = (row.other_metrics.get(metric) for row in comparison.rows)
    return any(other is not None and other.mean != 0 for other in found)
