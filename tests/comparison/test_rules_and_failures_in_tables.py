"""What the table says of a comparison under the sequential rule, of failed runs, of costs and of intervals together."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, scored, write, write_costs

from maskbench.cli.comparison.csv_format import to_csv
from maskbench.cli.comparison.latex_format import to_latex
from maskbench.comparison.results import ArmResult, Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.footnotes import method_sentences
from maskbench.comparison.text.json_document import panel_object
from maskbench.statistics.paired import exploratory_interval, sign_flip_interval

N = 9
BASE = tuple(0.5 + 0.01 * seed for seed in range(N))
GAIN = (0.021, 0.019, 0.022, 0.02, 0.018, 0.023, 0.02, 0.021, 0.022)

Runs = dict[str, Sequence[FakeRun | None]]


def runs(gains: Sequence[float] = (0.0,) * N) -> list[FakeRun | None]:
    return [scored(base + gain) for base, gain in zip(BASE, gains, strict=False)]


def written(root: Path, arms: Runs, *, seeds: int = N, plan: dict[str, object] | None = None) -> Path:
    directory = write(root, experiment(list(arms), seeds, min_effect=0.01), arms)
    if plan is not None:
        line = {
            "seeds": list(range(seeds)),
            "rule": "sequential",
            "limit": 20,
            "closed": {},
            "results": 0,
        } | plan
        (directory / "plans.jsonl").write_text(json.dumps(line) + "\n")
    return directory


def table(root: Path, arms: Runs, choices: ComparisonOptions | None = None, **more: object) -> Comparison:
    (found,) = compare([written(root, arms, **more)], choices or ComparisonOptions())  # type: ignore[arg-type]
    return found


def row(found: Comparison, arm: str) -> ArmResult:
    return next(row for row in found.rows if row.arm == arm)


class TestTheSequentialRule:
    def test_it_is_read_from_what_was_planned(self, tmp_path: Path) -> None:
        found = table(tmp_path, {"none": runs(), "up": runs(GAIN)}, plan={})
        up = row(found, "up")
        assert up.difference is not None
        assert (found.rule, up.verdict) == ("sequential", "better")
        assert (up.difference.p, up.difference.e_value) == pytest.approx((10 / 512, 512 / 10))
        assert found.smallest_p == pytest.approx(10 / 512)
        assert "|n:9seeds|pair:crn|rule:sequential|test:sign-evalue|" in found.signature
        assert panel_object(found)["rule"] == "sequential"

    def test_an_arm_closed_early_keeps_its_verdict_while_others_go_on(self, tmp_path: Path) -> None:
        closed = {"": {"up": list(range(8))}}
        noisy = runs([0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.01, -0.01])
        arms: Runs = {"none": runs(), "up": runs(GAIN[:8]), "noisy": [*noisy, None]}
        found = table(tmp_path, arms, plan={"closed": closed})
        assert (row(found, "up").verdict, row(found, "noisy").verdict) == ("not testable", "not testable")
        two: Runs = {"none": runs(), "up": runs(GAIN[:8])}
        found = table(tmp_path / "two", two, plan={"closed": closed})
        assert (row(found, "up").verdict, row(found, "up").counts.waiting) == ("better", 0)
        other: Runs = {"none": runs(), "up": runs(GAIN[:8]), "down": runs([-gain for gain in GAIN])}
        found = table(tmp_path / "three", other, plan={"closed": closed})
        assert [r.verdict for r in found.rows] == [None, "better", "worse"]
        assert "|n:8-9seeds|" in found.signature

    def test_pairs_count_in_the_order_of_the_seeds(self, tmp_path: Path) -> None:
        arms: Runs = {"none": runs(), "up": runs(GAIN)}
        (gap,) = [run for i, run in enumerate(arms["up"]) if i == 3]
        holed: Runs = {"none": runs(), "up": [None if run is gap else run for run in arms["up"]]}
        found = row(table(tmp_path, holed, plan={}), "up")
        # Five more are done, but the fourth might still be lost.
        assert found.difference is not None
        assert (found.difference.n, found.difference.p) == (8, pytest.approx(4 / 8))

    @pytest.mark.parametrize("metric", ["test/exact_match", "test/nll"])
    def test_a_diverged_run_is_a_loss_at_its_seed(self, tmp_path: Path, metric: str) -> None:
        broken = runs(GAIN)
        broken[8] = scored(0.5).with_(state="diverged")
        found = table(tmp_path, {"none": runs(), "up": broken}, ComparisonOptions(metric=metric), plan={})
        up = row(found, "up")
        assert up.difference is not None
        assert (up.difference.e_value, up.difference.wins, up.verdict) == (
            pytest.approx(256 / 9), 8, "better",
        )  # fmt: skip


def test_effect_sizes_are_in_the_document(tmp_path: Path) -> None:
    found = panel_object(table(tmp_path, {"none": runs(), "up": runs(GAIN)}))["arms"][1]["difference"]
    assert found["win_rate"] == {"value": 1.0, "low": pytest.approx(0.70, abs=0.005), "high": 1.0}
    assert found["relative"] == pytest.approx(sum(GAIN) / sum(BASE))
    assert found["pairing_gain"] == pytest.approx(1, abs=0.01)
    assert found["d_z"] > 5
    assert found["e_value"] is None


def test_other_metrics_have_an_interval_at_the_tables_alpha(tmp_path: Path) -> None:
    found = table(tmp_path, {"none": runs(), "up": runs(GAIN)}, ComparisonOptions(alpha=0.2))
    reference, other = (arm["other_metrics"]["test/bleu"] for arm in panel_object(found)["arms"])
    limits = exploratory_interval([40 * gain for gain in GAIN], 0.2)
    assert limits is not None
    assert (other["low"], other["high"]) == pytest.approx((limits.low, limits.high))
    assert (reference["low"], reference["high"]) == (None, None)


LOGS = {"none": [0.0, 0.1, 0.2, 0.0], "up": [0.3, 0.3, 0.5, 0.2]}


class TestCosts:
    def probed(
        self, root: Path, choices: ComparisonOptions | None = None, **cost: object
    ) -> list[dict[str, float]]:
        directory = written(root, {"none": runs(), "up": runs(GAIN)})
        write_costs(directory, {"none": 1.0, "up": 1.25})
        path = directory / "cost.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | cost))
        return [
            arm["cost"]
            for arm in panel_object(compare([directory], choices or ComparisonOptions())[0])["arms"]
        ]

    def test_steps_give_the_ratio_an_interval(self, tmp_path: Path) -> None:
        none, up = self.probed(tmp_path, log_step_seconds=LOGS)
        assert (none["relative_step_time"], none["step_time_low"], none["step_time_high"]) == (
            1.0,
            None,
            None,
        )
        # Logarithms 0.3, 0.2, 0.3 and 0.2: 0.25 +- 3.18 * 0.0577 / 2.
        assert up["relative_step_time"] == pytest.approx(1.2840, abs=1e-4)
        assert (up["step_time_low"], up["step_time_high"]) == pytest.approx((1.1713, 1.4075), abs=1e-4)

    def test_another_baseline_turns_it(self, tmp_path: Path) -> None:
        none, up = self.probed(tmp_path, ComparisonOptions(baseline="up"), log_step_seconds=LOGS)
        assert none["relative_step_time"] == pytest.approx(1 / 1.2840, abs=1e-4)
        assert (none["step_time_low"], up["step_time_low"]) == (pytest.approx(1 / 1.4075, abs=1e-4), None)

    def test_an_older_probe_has_a_ratio_without_one(self, tmp_path: Path) -> None:
        _, up = self.probed(tmp_path)
        assert (up["relative_step_time"], up["step_time_low"], up["step_time_high"]) == (1.25, None, None)


def test_failed_runs_are_counted_and_compared(tmp_path: Path) -> None:
    broken = runs(GAIN)
    for seed in (2, 5):
        broken[seed] = scored(0.5).with_(state="diverged")
    found = table(tmp_path, {"none": runs(), "up": broken})
    (said,) = [w for w in found.warnings if "Fisher" in w]
    assert said == (
        "up: 2 diverged of 9 runs, none of the baseline's 9 diverged: 9 runs cannot tell it from chance "
        "(Fisher's exact test, p = 0.47)"
    )


class TestIntervalsTogether:
    def test_each_is_at_alpha_over_the_arms(self, tmp_path: Path) -> None:
        arms: Runs = {"none": runs(), "up": runs(GAIN), "down": runs([-gain for gain in GAIN])}
        alone = table(tmp_path / "a", arms)
        together = table(tmp_path / "b", arms, ComparisonOptions(simultaneous=True))
        gaps = [a - b for a, b in zip(row(alone, "up").values.values(), BASE, strict=True)]
        for found, level in ((alone, 0.05), (together, 0.025)):
            difference = row(found, "up").difference
            assert difference is not None
            assert difference.interval == sign_flip_interval(gaps, level)
        assert "|ci:inv95|" in alone.signature and "|ci:inv97.5all|" in together.signature
        assert [r.verdict for r in alone.rows] == [r.verdict for r in together.rows]


def test_the_table_says_which_test_every_p_comes_from(tmp_path: Path) -> None:
    broken = runs(GAIN)
    broken[3] = scored(0.5).with_(state="diverged")
    arms: Runs = {"none": runs(), "up": runs(GAIN), "broken": broken}
    said = list(method_sentences(table(tmp_path / "mixed", arms)))
    assert "p of up: exact sign-flip test, corrected for 2 arms (Holm)" in said
    assert "p of broken: exact sign test on wins, because runs diverged, corrected for 2 arms (Holm)" in said
    many = [scored(0.5 + 0.001 * seed) for seed in range(21)]
    more = [scored(0.6 + 0.0011 * seed) for seed in range(21)]
    said = list(method_sentences(table(tmp_path / "many", {"none": many, "up": more}, seeds=21)))
    assert "p: sign-flip test over 100,000 random sign vectors" in said
    same = method_sentences(table(tmp_path / "same", {"none": runs(), "same": runs()}))
    assert not [line for line in same if line.startswith("p")]


def test_csv_and_latex_carry_every_warning(tmp_path: Path) -> None:
    broken = runs(GAIN)
    broken[3] = scored(0.5).with_(state="failed", message="disk full")
    found = table(tmp_path, {"none": runs(), "up": broken})
    assert found.alarms and found.warnings
    latex = to_latex([found])
    assert (
        r"\textbf{unpaired: 1 of 9 pairs" in latex
        and r"\emph{Warning:} up, seed 3: failed: disk full" in latex
    )
    for line in csv.DictReader(to_csv([found]).splitlines()):
        assert line["warnings"].split(" | ") == [*found.alarms, *found.warnings]


def test_other_metrics_of_an_arm_that_diverged_have_no_interval(tmp_path: Path) -> None:
    broken = runs(GAIN)
    broken[8] = scored(0.5).with_(state="diverged")
    found = table(tmp_path, {"none": runs(), "up": runs(GAIN), "broken": broken})
    whole, holed = (row(found, name).other_metrics["test/nll"] for name in ("up", "broken"))
    assert len(whole.differences) == 9 and holed.differences == ()
    assert holed.difference_mean is not None
