"""What chance alone does, from runs that differ by nothing else."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from fake_runs import FakeRun, experiment, scored, write
from hypothesis import given
from hypothesis import strategies as st

from maskbench.comparison.calibration import (
    Calibration,
    SingleSeedRisk,
    calibrate,
    noise_floor,
    random_signs,
    randomisation_p,
    single_seed,
)
from maskbench.errors import ConfigError
from maskbench.records.collect import collect_panel
from maskbench.records.locate import find_panels

SCORES = st.lists(st.integers(0, 1000).map(lambda n: n / 8), min_size=3, max_size=9)


def test_the_floor_of_four_runs_by_hand() -> None:
    floor = noise_floor([1.0, 2.0, 4.0, 4.0])
    assert floor is not None
    # Distances 1, 3, 3, 2, 2, 0; the mean of their squares is 27 / 6.
    assert (floor.runs, floor.pairs, floor.independent) == (4, 6, 2)
    assert floor.mean_absolute == pytest.approx(11 / 6) and floor.largest == 3
    assert floor.sd == pytest.approx(math.sqrt(27 / 6))


@given(SCORES)
def test_the_spread_is_the_root_mean_square_of_all_differences(values: Sequence[float]) -> None:
    floor = noise_floor(values)
    assert floor is not None
    squares = [(a - b) ** 2 for a, b in itertools.combinations(values, 2)]
    assert floor.sd == pytest.approx(math.sqrt(sum(squares) / len(squares)), abs=1e-9)


def test_two_runs_show_no_spread() -> None:
    assert noise_floor([1.0, 2.0]) is None


@pytest.mark.parametrize(("sd", "min_effect"), [(1.0, 0.5), (0.013, 0.02), (3.0, 0.001), (0.5, 4.0)])
def test_chances_under_normal_differences_are_those_of_the_normal_distribution(
    sd: float, min_effect: float
) -> None:
    found = single_seed([0.0, 1.0, 3.0], sd, min_effect)
    tail = scipy.stats.norm.cdf(-min_effect, scale=sd)
    assert found.wrong_winner == pytest.approx(tail, rel=1e-9)
    assert found.expected_false == pytest.approx(2 * tail, rel=1e-9)


def test_a_pair_that_is_just_as_far_apart_as_matters_has_a_winner() -> None:
    assert single_seed([0.0, 1.0, 3.0], 1.5, 2.0).false_winners == 2
    assert single_seed([0.5, 0.5], 0.0, 0.1) == SingleSeedRisk(0.1, 0, 0.0, 0.0)


def by_enumeration(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """The share of all exchanges that lie at least as far apart, for a ratio of two sums, with plain loops."""
    pairs = list(zip(ours, theirs, strict=True))

    def gap(exchanged: Sequence[bool]) -> float:
        sides = [[0.0, 0.0], [0.0, 0.0]]
        for (a, b), swap in zip(pairs, exchanged, strict=True):
            for side, part in zip(sides, (b, a) if swap else (a, b), strict=True):
                side[0] += part[0]
                side[1] += part[1]
        return abs(sides[0][0] / sides[0][1] - sides[1][0] / sides[1][1])

    seen = gap([False] * len(pairs))
    gaps = [gap(choice) for choice in itertools.product([False, True], repeat=len(pairs))]
    return (sum(one >= seen - 1e-9 for one in gaps) + 1) / (len(gaps) + 1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=7))
def test_the_sentence_test_counts_exchanges_as_plain_loops_do(rows: Sequence[tuple[int, int, int]]) -> None:
    ours = np.array([[min(a, n), n] for a, _, n in rows], dtype=float)
    theirs = np.array([[min(b, n), n] for _, b, n in rows], dtype=float)
    every = np.array(list(itertools.product([1.0, -1.0], repeat=len(rows))))
    found = randomisation_p("token_accuracy", ours, theirs, every)
    assert found == pytest.approx(by_enumeration(ours.tolist(), theirs.tolist()))
    assert randomisation_p("token_accuracy", theirs, ours, every) == found


def test_signs_are_fair_and_the_same_at_every_call() -> None:
    signs = random_signs(150)
    assert signs.shape == (1000, 150) and set(np.unique(signs)) == {-1.0, 1.0}
    assert np.array_equal(signs, random_signs(150))
    # Sums of 1,000 fair signs; 5 standard deviations.
    assert np.abs(signs.sum(0)).max() < 5 * math.sqrt(1000)
    assert np.abs(np.corrcoef(signs[:, :60].T) - np.eye(60)).max() < 5 / math.sqrt(1000)


def test_equal_systems_do_not_differ_and_very_different_ones_do() -> None:
    right, wrong = np.array([[1.0, 1.0]] * 40), np.array([[0.0, 1.0]] * 40)
    assert randomisation_p("exact_match", right, right, random_signs(40)) == 1.0
    assert randomisation_p("exact_match", right, wrong, random_signs(40)) == 1 / 1001


def calibrated(
    tmp_path: Path, runs: dict[str, list[FakeRun | None]], n_arms: int = 1, **compare: float
) -> Calibration:
    seeds = max(map(len, runs.values()))
    directory = write(tmp_path, experiment(tuple(runs), seeds, name="some-calibrate", **compare), runs)
    (found,) = find_panels(directory)
    return calibrate(collect_panel(found), n_arms)


NONE = [0.50, 0.53, 0.47, 0.55]
TWIN = [0.52, 0.46, 0.51, 0.50]


def eight_runs() -> dict[str, list[FakeRun | None]]:
    return {"none": [*map(scored, NONE)], "twin-1": [*map(scored, TWIN)]}


def test_all_runs_of_all_arms_make_pairs(tmp_path: Path) -> None:
    found = calibrated(tmp_path, eight_runs(), min_effect=0.04)
    assert found.floor is not None and found.single_seed is not None
    assert (found.floor.runs, found.floor.pairs, found.floor.independent) == (8, 28, 4)
    assert found.floor.sd == pytest.approx(math.sqrt(2) * float(np.std(NONE + TWIN, ddof=1)))
    by_hand = sum(abs(a - b) >= 0.04 for a, b in itertools.combinations(NONE + TWIN, 2))
    assert found.single_seed.false_winners == by_hand and 0 < by_hand < 28
    assert found.verdicts == {"twin-1": "not testable"}
    assert found.sentence_test is None


def test_seeds_are_counted_for_as_many_arms_as_the_experiment_compares(tmp_path: Path) -> None:
    one = calibrated(tmp_path / "one", eight_runs(), 1, min_effect=0.04).seeds_needed
    six = calibrated(tmp_path / "six", eight_runs(), 6, min_effect=0.04).seeds_needed
    assert one is not None and six is not None
    assert 6 <= one.low < six.low and one.low < one.high < six.high


def test_without_a_difference_that_matters_nothing_is_said_of_winners(tmp_path: Path) -> None:
    found = calibrated(tmp_path, eight_runs())
    assert found.floor is not None and found.single_seed is None and found.seeds_needed is None


def test_runs_that_are_missing_make_no_pairs(tmp_path: Path) -> None:
    runs = eight_runs()
    runs["twin-1"][1] = None
    runs["none"][0] = scored(0.5).with_(state="failed")
    found = calibrated(tmp_path, runs)
    assert found.floor is not None and (found.floor.runs, found.floor.pairs) == (6, 15)


def test_nothing_finished_is_a_mistake_and_two_runs_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run"):
        calibrated(tmp_path / "none", {"none": [None], "twin-1": [None]})
    found = calibrated(tmp_path / "two", {"none": [scored(0.5)], "twin-1": [scored(0.6)]}, min_effect=0.1)
    assert found.floor is None and found.single_seed is None and found.seeds_needed is None
    json.dumps(found.document(), allow_nan=False)


def keep_sentences(directory: Path, right: Sequence[int]) -> None:
    rows = [{"id": i, "exact_match": [value, 1]} for i, value in enumerate(right)]
    (directory / "sentences").mkdir()
    (directory / "sentences/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_test_over_sentences_is_made_for_every_pair_of_runs(tmp_path: Path) -> None:
    counts = {("none", 0): 10, ("none", 1): 22, ("twin-1", 0): 10, ("twin-1", 1): 12}
    runs: dict[str, list[FakeRun | None]] = {
        arm: [scored(counts[arm, seed] / 40, outputs=f"{arm}{seed}") for seed in (0, 1)]
        for arm in ("none", "twin-1")
    }
    directory = write(tmp_path, experiment(tuple(runs), 2, name="some-calibrate", alpha=0.03), runs)
    for (arm, seed), n in counts.items():
        keep_sentences(directory / arm / f"seed-{seed}", [1] * n + [0] * (40 - n))
    (found,) = find_panels(directory)
    test = calibrate(collect_panel(found), 1).sentence_test
    assert test is not None and (test.pairs, test.alpha) == (6, 0.03)
    # All gaps are one-sided: 12, 12 or 10 sentences decide as heads of fair coins, two or none can not.
    assert test.significant == 3
    (directory / "none/seed-1/sentences/test.jsonl").unlink()
    assert calibrate(collect_panel(found), 1).sentence_test is None
