"""Rows, settings and warnings of a comparison, from directories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, scored, write, write_costs

from maskbench.comparison.results import ArmResult, Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import panel_object, to_json
from maskbench.errors import ConfigError

BASE = (0.90, 0.91, 0.89, 0.92, 0.90, 0.88, 0.91, 0.90)
GAIN = (0.021, 0.019, 0.022, 0.02, 0.018, 0.023, 0.02, 0.021)

Runs = dict[str, list[FakeRun | None]]


def baseline() -> list[FakeRun | None]:
    return [scored(score) for score in BASE]


def gaining(sign: float = 1.0) -> list[FakeRun]:
    return [scored(score + sign * gain) for score, gain in zip(BASE, GAIN, strict=True)]


def compared(
    root: Path, runs: dict[str, Sequence[FakeRun | None]], choices: ComparisonOptions | None = None
) -> Comparison:
    """Write an experiment with these arms, the first the baseline, and compare them."""
    directory = write(root, experiment(list(runs), 8, min_effect=0.01), runs)
    (comparison,) = compare([directory], choices or ComparisonOptions())
    return comparison


def row(comparison: Comparison, arm: str) -> ArmResult:
    return next(row for row in comparison.rows if row.arm == arm)


def test_arms_are_in_file_order_with_the_baseline_among_them(tmp_path: Path) -> None:
    found = compared(tmp_path, {"zero": baseline(), "up": gaining(), "down": gaining(-1), "copy": baseline()})
    assert [(r.arm, r.verdict) for r in found.rows] == [
        ("zero", None),
        ("up", "better"),
        ("down", "worse"),
        ("copy", "identical"),
    ]


def test_where_lower_is_better_differences_stay_raw_and_verdicts_turn(tmp_path: Path) -> None:
    found = compared(tmp_path, {"none": baseline(), "up": gaining()}, ComparisonOptions(metric="test/nll"))
    up = row(found, "up")
    # fake_runs sets nll = 1.5 - score / 2, so a higher score is a lower, better nll.
    assert up.verdict == "better"
    assert up.difference is not None and up.difference.mean is not None and up.difference.interval is not None
    assert up.difference.mean == pytest.approx(-sum(GAIN) / 16)
    assert up.difference.interval.low < up.difference.mean < up.difference.interval.high < 0
    assert (up.difference.wins, up.difference.n) == (8, 8)


def test_equal_scores_with_other_outputs_are_tied_and_not_identical(tmp_path: Path) -> None:
    rewritten: list[FakeRun | None] = [scored(s, outputs=f"other {s}") for s in BASE]
    assert row(compared(tmp_path, {"none": baseline(), "new": rewritten}), "new").verdict == "tied"


def test_equal_outputs_after_other_training_losses_are_tied(tmp_path: Path) -> None:
    retrained: list[FakeRun | None] = [scored(s).with_(losses="other") for s in BASE]
    assert row(compared(tmp_path, {"none": baseline(), "new": retrained}), "new").verdict == "tied"


def test_runs_that_did_not_record_their_bytes_are_never_identical(tmp_path: Path) -> None:
    directory = write(tmp_path, experiment(["none", "copy"], 8), {"none": baseline(), "copy": baseline()})
    for path in directory.rglob("result.json"):
        result = json.loads(path.read_text())
        del result["outputs_sha256"]
        path.write_text(json.dumps(result))
    assert row(compare([directory], ComparisonOptions())[0], "copy").verdict == "tied"


def test_means_leave_diverged_runs_out_and_the_test_counts_them(tmp_path: Path) -> None:
    broken: list[FakeRun | None] = list(gaining())
    broken[3] = scored(0.5).with_(state="diverged")
    found = compared(tmp_path, {"none": baseline(), "up": broken})
    up = row(found, "up")
    assert up.difference is not None
    assert (len(up.values), up.counts.diverged, up.difference.n, up.difference.wins) == (7, 1, 8, 7)
    assert up.mean == pytest.approx(
        sum(b + g for i, (b, g) in enumerate(zip(BASE, GAIN, strict=True)) if i != 3) / 7
    )
    assert (up.difference.interval, up.verdict) == (None, "inconclusive")
    assert "test:signflip-exact+sign" in found.signature
    assert "up, seed 3: diverged: loss was nan at step 17" in found.warnings


def test_a_diverged_baseline_is_a_win(tmp_path: Path) -> None:
    broken = baseline()
    broken[0] = scored(0.5).with_(state="diverged")
    up = row(compared(tmp_path, {"none": broken, "up": gaining()}), "up")
    assert up.difference is not None
    assert (up.difference.wins, up.difference.n, up.verdict) == (8, 8, "better")


def test_unfinished_seeds_postpone_the_verdict(tmp_path: Path) -> None:
    partial: list[FakeRun | None] = [*gaining()[:6], None, None]
    found = compared(tmp_path, {"none": baseline(), "up": partial})
    up = row(found, "up")
    assert (up.verdict, up.counts.waiting) == ("not testable", 2)
    assert up.notes == ("6 of 8 pairs so far; the verdict waits for the planned seeds",)
    assert "up, seeds 6-7: not started" in found.warnings


def test_a_run_without_the_metric_counts_as_failed(tmp_path: Path) -> None:
    runs: list[FakeRun | None] = list(gaining())
    runs[2] = scored(0.9, metric="test/chrf")
    found = compared(tmp_path, {"none": baseline(), "up": runs})
    assert row(found, "up").counts.failed == 1
    assert "up, seed 2: its result has no test/exact_match" in found.warnings


def test_an_experiment_without_a_finished_run_is_a_table_and_no_error(tmp_path: Path) -> None:
    found = compared(tmp_path, {"none": [], "up": []})
    assert found.smallest_p is None
    assert [r.mean for r in found.rows] == [None, None]
    assert json.loads(to_json([found]))["arms"][1]["verdict"] == "not testable"


def test_costs_are_relative_to_the_baseline_of_the_table(tmp_path: Path) -> None:
    wanted = experiment(["none", "up"], 8)
    directory = write(tmp_path, wanted, {"none": baseline(), "up": gaining()})
    write_costs(directory, {"none": 1.0, "up": 1.25})
    costs = [
        r.cost.relative_step_time for r in compare([directory], ComparisonOptions(baseline="up"))[0].rows
    ]
    assert costs == [0.8, 1.0]


def test_without_a_cost_probe_speeds_of_runs_side_by_side_are_not_shown(tmp_path: Path) -> None:
    cost = row(compared(tmp_path, {"none": baseline(), "up": gaining()}), "up").cost
    assert (cost.relative_step_time, cost.tokens_per_second, cost.parameters) == (None, None, 812_000)


def three_arms() -> dict[str, Sequence[FakeRun | None]]:
    return {"none": baseline(), "up": gaining(), "down": gaining(-1)}


class TestSettings:
    def test_another_baseline_turns_the_table(self, tmp_path: Path) -> None:
        found = compared(tmp_path, three_arms(), ComparisonOptions(baseline="up"))
        assert [r.verdict for r in found.rows] == ["worse", None, "worse"]
        assert found.warnings == ("baseline up was chosen on the command line; the experiment declares none",)

    def test_what_matters_on_one_metric_says_nothing_on_another(self, tmp_path: Path) -> None:
        found = compared(tmp_path, three_arms(), ComparisonOptions(metric="test/bleu"))
        assert found.settings.min_effect is None
        assert "metric test/bleu was chosen on the command line" in found.warnings[0]

    @pytest.mark.parametrize(
        ("choices", "message"),
        [
            (
                ComparisonOptions(baseline="nune"),
                r"no arm named 'nune'; did you mean 'none'\? \(arms: none, up, down\)",
            ),
            (ComparisonOptions(metric="test/blue"), r"metric 'test/blue'; did you mean 'test/bleu'"),
            (ComparisonOptions(metric="bleu"), "splits: test; metrics: bleu, exact_match, nll"),
            (ComparisonOptions(metric="valid/bleu"), "no run has measured the metric 'valid/bleu'"),
            (ComparisonOptions(alpha=0.0), "--alpha must lie between 0 and 1"),
            (ComparisonOptions(alpha=1.5), "--alpha must lie between 0 and 1"),
            (ComparisonOptions(min_effect=-0.1), "--min-effect must be above 0"),
            (ComparisonOptions(min_effect=float("nan")), "--min-effect must be above 0"),
        ],
    )
    def test_a_choice_that_means_nothing_is_refused(
        self, tmp_path: Path, choices: ComparisonOptions, message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            compared(tmp_path, three_arms(), choices)


class TestProvenance:
    def mixed(self, **changes: object) -> Runs:
        """Three of the arm's runs differ in something."""
        return {
            "none": baseline(),
            "up": [r.with_(**changes) if i < 3 else r for i, r in enumerate(gaining())],
        }

    def test_different_data_are_refused_and_both_kinds_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"different data\n  3f9a2c00: .*\n  aaaaaaaa: up, seeds 0-2"):
            compared(tmp_path, dict(self.mixed(data="a" * 64)))

    def test_a_metric_computed_in_two_ways_is_refused(self, tmp_path: Path) -> None:
        runs = self.mixed(signatures={"exact_match": "case:lc"})
        with pytest.raises(
            ConfigError, match=r"computed in different ways\n.*none recorded.*\n.*case:lc: up, seeds 0-2"
        ):
            compared(tmp_path, dict(runs))

    def test_another_metric_computed_in_two_ways_is_left_out(self, tmp_path: Path) -> None:
        found = compared(tmp_path, dict(self.mixed(signatures={"bleu": "version:1"})))
        assert list(row(found, "up").other_metrics) == ["test/nll"]
        assert "left out, because runs computed them in different ways: test/bleu" in found.warnings

    def test_runs_of_one_origin_give_no_warning(self, tmp_path: Path) -> None:
        assert compared(tmp_path, {"none": baseline(), "up": gaining()}).warnings == ()


class TestTheDocument:
    def test_its_keys_are_exactly_the_promised_ones(self, tmp_path: Path) -> None:
        found = json.loads(to_json([compared(tmp_path, {"none": baseline(), "up": gaining()})]))
        assert list(found) == [
            "experiment", "panel", "baseline", "metric", "alpha", "min_effect", "smallest_p", "signature", "warnings",
            "arms", "rule", "retired",
        ]  # fmt: skip
        reference, arm = found["arms"]
        assert list(arm) == list(reference) == [
            "arm", "n", "values", "mean", "sd", "difference", "verdict", "seeds_needed", "unsafe", "oracle",
            "also_different", "cost", "status", "notes", "other_metrics",
        ]  # fmt: skip
        assert list(arm["difference"]) == [
            "mean", "low", "high", "p", "p_holm", "wins", "n", "win_rate", "relative", "d_z", "pairing_gain", "e_value",
            "noise", "paired_means",
        ]  # fmt: skip
        assert list(arm["difference"]["win_rate"]) == ["value", "low", "high"]
        assert list(arm["cost"]) == [
            "tokens_per_second",
            "relative_step_time",
            "peak_memory_mb",
            "parameters",
            "step_time_low",
            "step_time_high",
        ]
        assert list(arm["status"]) == ["done", "failed", "diverged"]
        assert list(arm["other_metrics"]["test/bleu"]) == [
            "mean", "sd", "n", "difference_mean", "low", "high", "paired_means",
        ]  # fmt: skip
        assert (reference["difference"], reference["verdict"]) == (None, None)

    def test_its_numbers_are_those_of_the_runs(self, tmp_path: Path) -> None:
        found = panel_object(compared(tmp_path, {"none": baseline(), "up": gaining()}))
        arm = found["arms"][1]
        assert arm["values"] == {str(s): BASE[s] + GAIN[s] for s in range(8)}
        assert arm["difference"]["p"] == arm["difference"]["p_holm"] == found["smallest_p"] == 1 / 128
        assert arm["difference"]["mean"] == pytest.approx(sum(GAIN) / 8)
        assert found["signature"] == (
            "maskbench|v:0.1.0|metric:test/exact_match|base:none|n:8seeds|pair:crn|rule:fixed|"
            "test:signflip-exact|ci:inv95|adj:holm1|alpha:0.05|min:0.01|data:3f9a2c|code:1b2c3d"
        )

    def test_settings_that_differ_are_in_the_row(self, tmp_path: Path) -> None:
        wanted = experiment(["none", "up"], 8)
        plain, up = wanted.panels[0].arms
        model = up.config.model.model_copy(update={"positions": "none"})
        up = up.model_copy(update={"config": up.config.model_copy(update={"model": model})})
        panel = wanted.panels[0].model_copy(update={"arms": (plain, up)})
        wanted = wanted.model_copy(update={"panels": (panel,)})
        directory = write(tmp_path, wanted, {"none": baseline(), "up": gaining()})
        arms = panel_object(compare([directory], ComparisonOptions())[0])["arms"]
        assert [arm["also_different"] for arm in arms] == [[], ["model.positions"]]

    def test_arms_that_leak_or_know_the_answer_are_marked(self, tmp_path: Path) -> None:
        wanted = experiment(["none", "leaky", "told"], 8)
        none, leaky, told = wanted.panels[0].arms
        unsafe = tuple(mask.model_copy(update={"unsafe": True}) for mask in leaky.config.masks)
        leaky = leaky.model_copy(update={"config": leaky.config.model_copy(update={"masks": unsafe})})
        panel = wanted.panels[0].model_copy(update={"arms": (none, leaky, told)})
        runs = {"none": baseline(), "leaky": gaining(), "told": gaining()}
        directory = write(tmp_path, wanted.model_copy(update={"panels": (panel,)}), runs)
        for path in (directory / "told").glob("*/result.json"):
            masks = [{"site": "cross", "mask": "oracle", "oracle": True}, {"site": "loss", "mask": "x"}]
            path.write_text(json.dumps(json.loads(path.read_text()) | {"masks": masks}))
        arms = panel_object(compare([directory], ComparisonOptions())[0])["arms"]
        assert [arm["unsafe"] for arm in arms] == [False, True, False]
        assert [arm["oracle"] for arm in arms] == [False, False, True]

    def test_an_inconclusive_arm_says_how_many_seeds_it_needs(self, tmp_path: Path) -> None:
        noisy: list[FakeRun | None] = [scored(s + d) for s, d in zip(BASE, (0.03, -0.02) * 4, strict=True)]
        arm = panel_object(compared(tmp_path, {"none": baseline(), "up": noisy}))["arms"][1]
        assert arm["verdict"] == "inconclusive"
        assert list(arm["seeds_needed"]) == ["low", "high"]
        assert 8 < arm["seeds_needed"]["low"] < arm["seeds_needed"]["high"]

    def test_several_panels_make_a_list(self, tmp_path: Path) -> None:
        one = compared(tmp_path / "a", {"none": baseline(), "up": gaining()})
        two = compared(tmp_path / "b", {"none": baseline(), "up": gaining()})
        found = json.loads(to_json([one, two]))
        assert list(found) == ["experiment", "panels"]
        assert (found["experiment"], len(found["panels"])) == ("fake", 2)

    def test_it_is_ascii_whatever_stands_in_the_files(self, tmp_path: Path) -> None:
        broken: list[FakeRun | None] = list(gaining())
        broken[0] = scored(0.5).with_(state="failed", message="\x1b[2J\u202e\ud800 oops")
        text = to_json([compared(tmp_path, {"none": baseline(), "up": broken})])
        assert text.isascii() and "\x1b" not in text


def test_arms_with_other_streams_share_no_random_numbers(tmp_path: Path) -> None:
    made = experiment(["none", "up", "twin"], 2)
    (panel,) = made.panels
    twin = panel.arms[2].config.model_copy(update={"streams": "b"})
    arms = (
        *panel.arms[:2],
        panel.arms[2].model_copy(update={"config": twin, "also_different": ("streams",)}),
    )
    made = made.model_copy(update={"panels": (panel.model_copy(update={"arms": arms}),)})
    scores = [scored(0.5), scored(0.6)]
    directory = write(tmp_path, made, {name: scores for name in ("none", "up", "twin")})
    (found,) = compare([directory], ComparisonOptions())
    assert "|pair:crn+none|" in found.signature
