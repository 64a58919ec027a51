"""Writes the methods and limits paragraphs of the page, in the style of a paper.

Each sentence depends on the comparison; only methods that were used are mentioned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskbench.comparison.results import Comparison, Difference
from maskbench.comparison.text.number_format import scale_of
from maskbench.comparison.text.sentences import join_names
from maskbench.records.collect import format_seeds
from maskbench.report.gather import ReportPanel
from maskbench.statistics.paired import RANDOM_FLIPS, least_seeds
from maskbench.text import count_of


def write_methods(panel: ReportPanel) -> list[str]:
    """Return the sentences of the methods paragraph."""
    comparison = panel.comparison
    return [
        *_training(panel),
        *_test(comparison),
        *_interval(comparison),
        *_rule(panel),
        *_failures(comparison),
        *_noise(comparison),
        *_cost(comparison),
        *_metric(comparison),
    ]


def _training(panel: ReportPanel) -> Iterator[str]:
    comparison = panel.comparison
    seeds = list(panel.collected.found.experiment.seeds)
    arms = len(comparison.rows)
    begun = ", some of them from weights trained before," if _warm(panel) else " from scratch"
    were = "was" if arms == 1 else "were"
    done = f"{were} to be" if any(row.counts.waiting for row in comparison.rows) else were
    yield (
        f"{count_of(arms, 'arm')} {done} trained{begun} with {count_of(len(seeds), 'seed')}"
        f"{' each' if arms > 1 else ''} ({format_seeds(seeds)})."
    )
    if arms > 1:
        yield (
            "With the same seed, arms start from the same weights, as far as they have them in common, and see the data in "
            f"the same order under the same dropout{_own_streams(panel)}; so differences are taken seed by seed."
        )


def _own_streams(panel: ReportPanel) -> str:
    """Return a phrase that names the arms with other random streams than the baseline; empty if none."""
    arms = panel.collected.found.panel.arms
    shared = next(arm.config.streams for arm in arms if arm.name == panel.comparison.settings.baseline)
    apart = [arm.title for arm in arms if arm.config.streams != shared]
    return f", except {join_names(apart)}, whose random numbers are their own" if apart else ""


def _warm(panel: ReportPanel) -> bool:
    return any(arm.config.init_from is not None for arm in panel.collected.found.panel.arms)


def _test(comparison: Comparison) -> Iterator[str]:
    differences = [row.difference for row in comparison.rows if row.difference is not None]
    if not any(difference.test for difference in differences):
        return
    sequential = comparison.rule == "sequential"
    yield _bet() if sequential else _flips(differences)
    alpha = f"{comparison.settings.alpha:g}"
    if comparison.n_comparisons > 1:
        retired = ", retired ones among them," if comparison.n_comparisons > len(differences) else ""
        yield (
            f"The p-values of the {comparison.n_comparisons} arms{retired} were corrected together by Holm's method (Holm 1979); verdicts "
            f"are at {alpha} after correction."
        )
    else:
        yield f"With one arm beside the baseline there was nothing to correct; verdicts are at {alpha}."
    if comparison.settings.min_effect is not None and not sequential:
        yield (
            "“Equivalent” is said where two one-sided tests (Schuirmann 1987) put the difference within "
            f"±{_min_effect(comparison)}."
        )


def _flips(differences: Sequence[Difference]) -> str:
    tests = {difference.test for difference in differences}
    asked = "Whether an arm differs from the baseline was tested by"
    if not tests & {"exact sign-flip", "random sign-flip"}:
        return f"{asked} the two-sided exact sign test on wins, because runs diverged."
    test = f"{asked} the two-sided sign-flip test on the paired differences (Fisher 1935)"
    if "random sign-flip" in tests:
        some = " where they are too many to try all" if "exact sign-flip" in tests else ""
        return f"{test}, over {RANDOM_FLIPS:,} keyed random sign vectors{some}."
    pairs = {difference.n for difference in differences if difference.test == "exact sign-flip"}
    over = f"all {2 ** max(pairs):,} sign vectors" if len(pairs) == 1 else "all sign vectors"
    return f"{test}, over {over}."


def _bet() -> str:
    return (
        "Whether an arm differs from the baseline was tested on the sides of the paired differences, with an e-value that "
        "mixes all bets against a fair coin (Robbins 1970) and may be looked at after every seed (Ville 1939); p is the "
        "inverse of the largest one."
    )


def _min_effect(comparison: Comparison) -> str:
    scale = scale_of(comparison)
    return f"{scale.number(comparison.settings.min_effect or 0.0)}{scale.points}"


def _interval(comparison: Comparison) -> Iterator[str]:
    used = {
        row.difference.interval.method
        for row in comparison.rows
        if row.difference and row.difference.interval
    }
    level = f"{comparison.settings.level} %"
    together = (
        "all of a table together"
        if comparison.settings.simultaneous
        else "each for itself, before correction"
    )
    if "test" in used:
        yield f"{level} intervals hold the shifts that the sign-flip test does not reject (Hartigan 1969), {together}."
    if "t" in used:
        few = "of few pairs " if "test" in used else ""
        yield f"{level} intervals {few}are Student's t, which assumes normal differences."


def _rule(panel: ReportPanel) -> Iterator[str]:
    comparison = panel.comparison
    if comparison.rule == "sequential":
        yield "Seeds were added to the open comparisons until each was decided or the limit was reached."
    elif any(row.difference for row in comparison.rows):
        planned = panel.collected.plans and not comparison.plan_change_alarms
        kept = "Seeds were planned, not added until something came out: no" if planned else "No"
        yield f"{kept} verdict is given before all {'of them' if planned else 'planned seeds'} are there."
    if comparison.plan_change_alarms:
        yield "What had been planned was changed when there were results to see; above the verdicts it says how."


def _failures(comparison: Comparison) -> Iterator[str]:
    lost = [
        f"{row.title}: {', '.join(parts)}"
        for row in comparison.rows
        if (
            parts := [
                f"{count} {word}"
                for count, word in (
                    (row.counts.failed, "failed"),
                    (row.counts.diverged, "diverged"),
                    (row.counts.waiting, "not finished"),
                )
                if count
            ]
        )
    ]
    if not lost:
        runs = sum(row.counts.done for row in comparison.rows)
        yield f"All {runs} runs finished; none failed or diverged."
        return
    yield f"Not every run finished ({'; '.join(lost)})."
    if any(row.counts.diverged for row in comparison.rows):
        signs = any(row.difference and row.difference.test == "sign" for row in comparison.rows)
        instead = ", and the sign test on wins decides in place of the sign-flip test" if signs else ""
        yield f"A run that diverged counts as lost to the arm it is compared with{instead}."
    if any(row.counts.failed for row in comparison.rows):
        yield "Pairs with a failed run are dropped, and beyond a quarter of them an arm gets no verdict."


def _noise(comparison: Comparison) -> Iterator[str]:
    if any(row.difference and row.difference.noise for row in comparison.rows):
        yield (
            "The share of the uncertainty that comes from the choice of test sentences was taken apart from that of the seeds "
            "with what every run kept of every sentence (after Clark et al. 2011); degrees of freedom by Satterthwaite (1946)."
        )


def _cost(comparison: Comparison) -> Iterator[str]:
    if any(row.cost.relative_step_time is not None for row in comparison.rows):
        yield (
            "Cost is the time of a training step relative to the baseline's, measured after training by one process alone "
            "that took the same steps of all arms in turn."
        )
    if any(row.cost.step_time_low is not None for row in comparison.rows):
        yield (
            "Its intervals are Student's t on the logarithms of ratios of batches of consecutive steps (Schmeiser 1982)."
        )


def _metric(comparison: Comparison) -> Iterator[str]:
    if comparison.metric_signature:
        yield f"{comparison.settings.metric} was computed as {comparison.metric_signature}."


_MADE_UP = ("copy", "cue", "recall", "reverse", "sort", "toydeen")


def write_limits(panel: ReportPanel) -> Iterator[str]:
    """Yield the sentences on the limits of the results that apply to this panel."""
    comparison, experiment = panel.comparison, panel.collected.found.experiment
    corpora = sorted({arm.config.corpus.name for arm in panel.collected.found.panel.arms})
    if any(row.difference for row in comparison.rows):
        yield (
            "All arms learned from one training set and were judged on one test set. The verdicts speak of new seeds with "
            "these, not of other data."
        )
    made = [name for name in corpora if name in _MADE_UP]
    if made:
        yield f"The data of {join_names(made)} is made up by a program; what holds there need not hold for a natural language."
    arms = comparison.n_comparisons
    if arms and len(experiment.seeds) < least_seeds(arms, comparison.settings.alpha):
        yield "So few seeds describe what happened; they cannot decide whether it would happen again."
    if any(row.other_metrics for row in comparison.rows):
        yield (
            f"Only {comparison.settings.metric} was tested. Everything else on this page is exploratory: with so many numbers "
            "some differ by chance."
        )
    different = [row.title for row in comparison.rows if row.also_different]
    if different:
        yield (
            f"{join_names(different)} {'differ' if len(different) > 1 else 'differs'} from the baseline in more than the mask, so "
            "the mask alone need not be the reason."
        )
    unsafe = [row.title for row in comparison.rows if row.unsafe]
    if unsafe:
        yield f"{join_names(unsafe)}: the masks let through what they should hide, on purpose; scores say nothing of use."
    oracles = [row.title for row in comparison.rows if row.oracle]
    if oracles:
        yield f"{join_names(oracles)}: told what no model knows, so what is gained is a bound, not a method."
    if comparison.rule == "sequential":
        yield (
            "Seeds were added until something came out. The verdicts allow for that; the sizes of the differences do not, and "
            "lean away from zero."
        )
