"""How often the verdict cries wolf, over thousands of simulated experiments in which nothing differs.

Run with `-m slow -s` to see every measured rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from maskbench.statistics.paired import holm, least_seeds, sign_flip_interval, sign_flip_p
from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.sequential import strongest_evidence
from maskbench.statistics.verdict import Decision, Rule, decide

EXPERIMENTS, ALPHA = 2000, 0.05
pytestmark = pytest.mark.slow

Differences = npt.NDArray[np.float64]


def null_differences(seeds: int, arms: int = 1, experiments: int = EXPERIMENTS) -> Differences:
    """Paired differences, [experiments, arms, seeds], of arms that do what the baseline does.

    Scores are normal, and in every other experiment heavy-tailed. All arms share the baseline's runs, so their
    differences go together.
    """
    generator = np.random.Generator(np.random.Philox(key=seeds * 100 + arms))
    shape = (experiments, arms + 1, seeds)
    heavy = (np.arange(experiments) % 2 == 1)[:, None, None]
    scores = np.where(heavy, generator.standard_t(3, shape), generator.standard_normal(shape))
    return scores[:, 1:] - scores[:, :1]


def decided(arms: Differences, rule: Rule = "fixed", min_effect: float | None = None) -> list[Decision]:
    return decide([PairedRuns(tuple(map(float, arm))) for arm in arms], ALPHA, min_effect, rule)


def alarming(decisions: Sequence[Decision]) -> bool:
    return any(decision.verdict in ("better", "worse") for decision in decisions)


def at_most(rate: float, measured: float, what: str, n: int = EXPERIMENTS) -> bool:
    """Whether a measured rate keeps a promise but for three standard errors; says so."""
    bound = rate + 3 * (rate * (1 - rate) / n) ** 0.5
    print(f"\n{what}: {measured:.4f} (promised {rate:g}, allowed {bound:.4f}, {n} experiments)", end="")
    return measured <= bound


@pytest.mark.parametrize(("seeds", "arms"), [(6, 1), (8, 1), (8, 4), (8, 6), (10, 1), (10, 4), (10, 12)])
def test_false_alarms_of_any_arm_stay_below_alpha(seeds: int, arms: int) -> None:
    assert seeds >= least_seeds(arms, ALPHA)
    alarms = [alarming(decided(experiment)) for experiment in null_differences(seeds, arms)]
    assert at_most(ALPHA, float(np.mean(alarms)), f"false verdicts, {seeds} seeds, {arms} arms")


@pytest.mark.parametrize(
    ("seeds", "coverage"), [(6, 0.969), (7, 0.953), (8, 0.953), (10, 0.951), (12, 0.9502)]
)
def test_intervals_cover_as_often_as_tabled(seeds: int, coverage: float) -> None:
    found = [sign_flip_interval(tuple(experiment[0]), ALPHA) for experiment in null_differences(seeds)]
    covered = float(np.mean([limits is not None and limits.low <= 0 <= limits.high for limits in found]))
    error = (coverage * (1 - coverage) / EXPERIMENTS) ** 0.5
    print(f"\ncoverage, {seeds} seeds: {covered:.4f} (tabled {coverage}, +- {3 * error:.4f})", end="")
    assert abs(covered - coverage) <= 3 * error


@pytest.mark.parametrize("arms", [1, 3])
@pytest.mark.parametrize("first", [1, 3])
def test_the_sequential_rule_may_look_after_every_seed(arms: int, first: int) -> None:
    def stopped(experiment: Differences) -> bool:
        looks = range(first, 21)
        return any(min(holm([strongest_evidence(arm[:n]).p for arm in experiment])) <= ALPHA for n in looks)

    alarms = [stopped(experiment) for experiment in null_differences(20, arms)]
    what = f"false verdicts, sequential rule, a look after every seed from {first} to 20, {arms} arms"
    assert at_most(ALPHA, float(np.mean(alarms)), what)


def test_the_sequential_verdict_may_be_asked_for_after_every_seed() -> None:
    arms, looks = 3, range(1, 13)
    alarms = [
        any(alarming(decided(experiment[:, :n], "sequential")) for n in looks)
        for experiment in null_differences(12, arms)
    ]
    what = f"false verdicts, sequential `decide`, a look after every seed from 1 to 12, {arms} arms"
    assert at_most(ALPHA, float(np.mean(alarms)), what)


def test_the_fixed_test_must_not_be_looked_at_after_every_seed() -> None:
    """What the sequential rule is for, and proof that these simulations can find a rule that cheats."""
    alarms = [
        any(sign_flip_p(tuple(experiment[0, :n])) <= ALPHA for n in range(3, 15))
        for experiment in null_differences(14)
    ]
    assert not at_most(ALPHA, float(np.mean(alarms)), "false alarms, fixed test looked at from 3 to 14 seeds")


@pytest.mark.parametrize(("effect", "tabled"), [(1.0, 0.69), (1.5, 0.97)])
def test_the_sequential_rule_finds_what_is_there(effect: float, tabled: float) -> None:
    generator = np.random.Generator(np.random.Philox(key=20))
    drawn = generator.normal(effect, 1.0, (EXPERIMENTS, 20))
    found = float(np.mean([strongest_evidence(values).p <= ALPHA for values in drawn]))
    print(
        f"\nfound by 20 seeds under the sequential rule, d_z {effect}: {found:.4f} (tabled {tabled})", end=""
    )
    assert abs(found - tabled) <= 3 * (tabled * (1 - tabled) / EXPERIMENTS) ** 0.5 + 0.01


@pytest.mark.parametrize("seeds", [6, 8, 10])
def test_a_difference_that_just_matters_is_rarely_called_equivalent(seeds: int) -> None:
    wrong = [
        decided(experiment + 0.9, min_effect=0.9)[0].verdict == "equivalent"
        for experiment in null_differences(seeds)
    ]
    assert at_most(ALPHA, float(np.mean(wrong)), f"false equivalence, {seeds} seeds")


def test_the_same_recipe_twice_is_inconclusive() -> None:
    verdicts = [decided(experiment)[0].verdict for experiment in null_differences(8)]
    told_apart = float(np.mean([verdict != "inconclusive" for verdict in verdicts]))
    assert at_most(ALPHA, told_apart, "A against A with streams of their own, not inconclusive, 8 seeds")


def test_the_same_runs_twice_are_identical() -> None:
    found = decide([PairedRuns((0.0,) * 8, identical=True)] * 3, ALPHA, 0.1)
    assert {decision.verdict for decision in found} == {"identical"}
