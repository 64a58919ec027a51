"""Shares of seeds and sentences in the noise, against variances that are known and against sums written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fake_runs import FakeRun, experiment, write
from sacrebleu.metrics.bleu import BLEU
from scipy import stats

from maskbench.comparison.noise import _resamples, bootstrap_variance, split_noise, two_way_variance
from maskbench.comparison.results import ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.statistics.paired import Interval

Floats = npt.NDArray[np.float64]


def drawn(
    seed: int,
    n_seeds: int,
    n_sentences: int,
    sd: tuple[float, float, float],
    tokens: npt.NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats]:
    """Counts of two arms that differ by normal effects of seeds, of sentences and of both, 0 on the whole."""
    rng = np.random.default_rng(seed)
    of_seeds, of_sentences, both = sd
    effects = rng.normal(0, of_seeds, (n_seeds, 1)) + rng.normal(0, of_sentences, (1, n_sentences))
    effects = effects + rng.normal(0, both, (n_seeds, n_sentences))
    length = np.ones(n_sentences) if tokens is None else tokens
    one = np.broadcast_to(length, (n_seeds, n_sentences)).astype(float)
    base = rng.normal(3.0, 1.0, (n_seeds, n_sentences))
    return np.stack([base + effects * one, one], -1), np.stack([base, one], -1)


def by_loops(arm: Floats, base: Floats) -> tuple[float, float, float]:
    """The mean squares of the two-way layout as textbooks write them, for sentences of one length, divided by S * N."""
    d = (arm[..., 0] - base[..., 0]).tolist()
    n_s, n_i = len(d), len(d[0])
    grand = sum(map(sum, d)) / (n_s * n_i)
    rows = [sum(row) / n_i for row in d]
    columns = [sum(row[i] for row in d) / n_s for i in range(n_i)]
    ss_seeds = n_i * sum((m - grand) ** 2 for m in rows)
    ss_sentences = n_s * sum((m - grand) ** 2 for m in columns)
    ss_total = sum((x - grand) ** 2 for row in d for x in row)
    ss_rest = ss_total - ss_seeds - ss_sentences
    squares = ss_seeds / (n_s - 1), ss_sentences / (n_i - 1), ss_rest / ((n_s - 1) * (n_i - 1))
    return tuple(square / (n_s * n_i) for square in squares)  # type: ignore[return-value]


def test_mean_squares_are_those_of_the_textbook() -> None:
    arm, base = drawn(1, 5, 13, (0.3, 0.7, 0.4))
    found = two_way_variance(arm, base)
    assert (found.seeds, found.sentences, found.both) == pytest.approx(by_loops(arm, base), rel=1e-9)


def test_the_same_from_an_analysis_of_variance_by_a_package() -> None:
    pd = pytest.importorskip("pandas")
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    arm, base = drawn(2, 4, 6, (0.5, 0.5, 0.5))
    gains = arm[..., 0] - base[..., 0]
    s, i = np.indices(gains.shape)
    frame = pd.DataFrame({"y": gains.ravel(), "s": s.ravel(), "i": i.ravel()})
    table = anova_lm(ols("y ~ C(s) + C(i)", frame).fit())
    squares = (table["sum_sq"] / table["df"]).to_list()
    found = two_way_variance(arm, base)
    assert [found.seeds, found.sentences, found.both] == pytest.approx([x / 24 for x in squares], rel=1e-9)


def test_known_variances_are_found_again() -> None:
    sd, n_seeds, n_sentences = (0.05, 0.8, 0.5), 6, 40
    found = [two_way_variance(*drawn(k, n_seeds, n_sentences, sd)) for k in range(400)]
    variances = [x**2 for x in sd]
    shared = variances[2] / (n_seeds * n_sentences)
    assert np.mean([p.both for p in found]) == pytest.approx(shared, rel=0.05)
    assert np.mean([p.seeds for p in found]) == pytest.approx(variances[0] / n_seeds + shared, rel=0.1)
    assert np.mean([p.sentences for p in found]) == pytest.approx(
        variances[1] / n_sentences + shared, rel=0.1
    )


def test_a_ratio_of_sums_is_linearised() -> None:
    """Its variance over resampled sentences, of unequal lengths, is the part that the model gives to sentences."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(1, 30, 90)
    arm, base = drawn(4, 3, 90, (0.0, 0.6, 0.1), tokens)
    arm[..., 0] += 3.0 * tokens  # A gain per token: what varies with length alone is no noise of the ratio.
    found = two_way_variance(arm, base).sentences
    picks = rng.integers(0, 90, (4000, 90))
    gains = (arm[..., 0] - base[..., 0]).mean(0)
    values = [gains[pick].sum() / tokens[pick].sum() for pick in picks]
    assert found == pytest.approx(np.var(values), rel=0.1)
    naive = np.var(gains, ddof=1) / 90 / tokens.mean() ** 2
    assert naive > 4 * found


def test_the_seeds_part_is_the_spread_of_the_runs_own_differences() -> None:
    tokens = np.arange(1, 12)
    arm, base = drawn(5, 7, 11, (0.4, 0.3, 0.2), tokens)
    of_runs = (arm[..., 0].sum(1) - base[..., 0].sum(1)) / tokens.sum()
    assert two_way_variance(arm, base).seeds == pytest.approx(np.var(of_runs, ddof=1) / 7)


@pytest.mark.parametrize(
    ("sd", "low", "high"),
    [((1.0, 0.01, 0.01), 0.99, 1.0), ((0.001, 1.0, 0.01), 0.0, 0.01), ((0.0, 0.0, 1.0), 0.2, 0.8)],
)
def test_shares(sd: tuple[float, float, float], low: float, high: float) -> None:
    found = split_noise("nll", *drawn(6, 9, 50, sd), 0.05)
    assert found is not None
    assert low <= found.seeds <= high and found.seeds + found.sentences == pytest.approx(1)


def test_the_interval_is_students_where_sentences_do_not_matter() -> None:
    rng = np.random.default_rng(7)
    gains = rng.normal(0.2, 0.1, 6)
    base = np.ones((6, 5, 2))
    arm = base.copy()
    arm[..., 0] += gains[:, None]
    found = split_noise("token_accuracy", arm, base, 0.1)
    assert found is not None
    expected = stats.t.interval(0.9, 5, gains.mean(), stats.sem(gains))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.seeds, found.sentences) == (1, 0)


def test_it_is_never_narrower_than_the_interval_for_seeds_alone() -> None:
    counts = np.ones((4, 30, 2))
    counts[..., 0] += np.random.default_rng(8).normal(0, 1, (4, 30))
    baseline = np.ones((4, 30, 2))
    alone = split_noise("nll", counts, baseline, 0.05)
    assert alone is not None
    wide = split_noise("nll", counts, baseline, 0.05, Interval(alone.low - 1, alone.high - 0.001, "test"))
    assert wide is not None and (wide.low, wide.high) == (alone.low - 1, alone.high)


def test_the_total_is_never_less_than_one_of_its_parts() -> None:
    """With a large interaction by luck, the estimate of the whole would fall below, and even be negative."""
    base = np.zeros((4, 4, 2))
    base[..., 1] = 1
    arm = base.copy()
    arm[..., 0] = np.eye(4) + 0.02 * np.arange(4)[:, None]
    parts = two_way_variance(arm, base)
    assert parts.seeds + parts.sentences < parts.both
    assert parts.total == max(parts.seeds, parts.sentences)
    assert split_noise("exact_match", arm, base, 0.05) is not None


def test_nothing_is_said_of_too_few_or_of_equals() -> None:
    arm, base = drawn(8, 5, 12, (0.1, 0.1, 0.1))
    assert split_noise("nll", arm[:2], base[:2], 0.05) is None
    assert split_noise("nll", arm[:, :1], base[:, :1], 0.05) is None
    assert split_noise("nll", base, base, 0.05) is None
    assert split_noise("nll", arm, base, 0.05) is not None


def texts(seed: int, n_seeds: int, n_sentences: int, wrong: float) -> Floats:
    """BLEU's counts of translations in which a share of the words is wrong."""
    rng, scorer = np.random.default_rng(seed), BLEU(force=True)
    words = np.array([f"w{k}" for k in range(50)])
    meant = [rng.choice(words, 4 + k % 9).tolist() for k in range(n_sentences)]
    found = []
    for _ in range(n_seeds):
        said = [[w if rng.random() > wrong else "x" for w in sentence] for sentence in meant]
        lines = [[" ".join(sentence) for sentence in side] for side in (said, meant)]
        found.append(scorer._extract_corpus_statistics(lines[0], [lines[1]]))
    return np.array(found, dtype=float)


def test_bleu_is_resampled_by_sentence_with_all_seeds_alike() -> None:
    """The bootstrap, done again by other numbers and sacreBLEU's own aggregation."""
    arm, base = texts(1, 4, 30, 0.1), texts(1, 4, 30, 0.2)
    parts, scorer = bootstrap_variance("bleu", arm, base), BLEU()

    def bleu(rows: Floats) -> float:
        return float(scorer._aggregate_and_compute(rows.astype(int).tolist()).score)

    rng, gaps = np.random.default_rng(9), []
    for _ in range(400):
        pick = rng.integers(0, 30, 30)
        gaps.append(np.mean([bleu(a[pick]) - bleu(b[pick]) for a, b in zip(arm, base, strict=True)]))
    assert parts.sentences == pytest.approx(np.var(gaps), rel=0.25)
    differences = [bleu(a) - bleu(b) for a, b in zip(arm, base, strict=True)]
    assert parts.seeds == pytest.approx(np.var(differences, ddof=1) / 4)
    found = split_noise("bleu", arm, base, 0.05)
    assert found is not None and found.low < np.mean(differences) < found.high
    assert found == split_noise("bleu", arm, base, 0.05), "the same numbers in every call"


def test_every_sentence_is_drawn_as_often_as_every_other() -> None:
    drawn_counts = _resamples(7)
    assert drawn_counts.shape == (1000, 7) and set(drawn_counts.sum(1).tolist()) == {7}
    assert drawn_counts.mean(0) == pytest.approx(np.ones(7), abs=0.1)
    # Multinomial: n draws, each of n sentences with probability 1 / n.
    assert drawn_counts.var(0) == pytest.approx(np.full(7, 6 / 7), rel=0.15)


def coverage(metric_sd: tuple[float, float, float], n_seeds: int, n_sentences: int, times: int) -> float:
    hits = 0
    for k in range(times):
        found = split_noise("nll", *drawn(1000 + k, n_seeds, n_sentences, metric_sd), 0.05)
        hits += found is not None and found.low <= 0 <= found.high
    return hits / times


@pytest.mark.parametrize(
    ("sd", "n_seeds", "n_sentences"),
    [
        ((0.1, 0.5, 0.3), 8, 60),
        ((0.0, 0.8, 0.2), 5, 40),
        ((0.3, 0.1, 0.5), 6, 50),
        ((0.0, 0.0, 1.0), 6, 50),
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(
    sd: tuple[float, float, float], n_seeds: int, n_sentences: int
) -> None:
    assert 0.93 <= coverage(sd, n_seeds, n_sentences, 2000) <= 0.995


def runs(shift: float, seed: int, n_seeds: int, *, kept: bool = True) -> list[FakeRun]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n_seeds):
        right = (rng.random(40) < 0.5 + shift).astype(int).tolist()
        rows = [{"id": i, "exact_match": [one, 1]} for i, one in enumerate(right)]
        run = FakeRun({"test/exact_match": sum(right) / 40}, outputs=f"{shift} {number}", losses=f"{shift}")
        found.append(run.with_(sentences={"test": rows}) if kept else run)
    return found


def difference(folder: Path, own: list[FakeRun], base: list[FakeRun]):  # type: ignore[no-untyped-def]
    directory = write(folder, experiment(["none", "up"], len(own)), {"none": base, "up": own})
    table = compare([directory], ComparisonOptions())[0]
    found = table.rows[1].difference
    assert found is not None
    return found, table


def test_the_table_knows_it(tmp_path: Path) -> None:
    found, table = difference(tmp_path, runs(0.2, 1, 7), runs(0.0, 2, 7))
    assert found.noise is not None and found.noise.low < found.mean < found.noise.high
    assert table.warnings == ()


def test_older_runs_have_none(tmp_path: Path) -> None:
    found, _ = difference(tmp_path, runs(0.2, 1, 7), runs(0.0, 2, 7, kept=False))
    assert found.noise is None and found.mean is not None


def test_a_damaged_file_is_said_and_stops_nothing(tmp_path: Path) -> None:
    base = runs(0.0, 2, 7)
    base[3] = base[3].with_(metrics={"test/exact_match": 0.9})
    found, table = difference(tmp_path, runs(0.2, 1, 7), base)
    assert found.noise is None
    assert [w for w in table.warnings if "none, seed 3" in w and "do not add up" in w]
