"""The misuse guard: each misuse is refused, or flagged with a sentence that names it, the runs and the way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runs import GIT, FakeRun, arm_config, experiment, scored, write

from maskbench.comparison.checks.misuse import MisuseFindings, check_misuse
from maskbench.comparison.results import ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.config.load import load_experiment
from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, DecodeConfig, TrainConfig
from maskbench.errors import ConfigError
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.locate import find_panels

Runs = Mapping[str, Sequence[FakeRun | None]]
SEEDS = 8
METRIC = "test/exact_match"


def runs(n: int = SEEDS) -> dict[str, list[FakeRun]]:
    return {
        "none": [scored(0.80 + 0.001 * seed) for seed in range(n)],
        "up": [scored(0.85 + 0.002 * seed) for seed in range(n)],
    }


def changed(which: Mapping[str, Sequence[int]], **changes: Any) -> dict[str, list[FakeRun]]:
    """Runs of which some differ in something."""
    return {
        arm: [run.with_(**changes) if seed in which.get(arm, ()) else run for seed, run in enumerate(own)]
        for arm, own in runs().items()
    }


def read(root: Path, made: Runs) -> CollectedPanel:
    wanted = experiment(["none", "up"], max(map(len, made.values()), default=1))
    return collect_panel(find_panels(write(root, wanted, made))[0])


def found(root: Path, made: Runs) -> MisuseFindings:
    collected = read(root, made)
    return check_misuse(collected.found.panel, collected.runs.values(), METRIC, "none")


def with_arm(collected: CollectedPanel, arm: ArmConfig) -> MisuseFindings:
    """The same runs, had the experiment declared its second arm like this."""
    panel = collected.found.panel.model_copy(update={"arms": (collected.found.panel.arms[0], arm)})
    return check_misuse(panel, collected.runs.values(), METRIC, "none")


def second_arm(also_different: tuple[str, ...] = (), **changes: Any) -> ArmConfig:
    arm = arm_config("up", 1)
    return arm.model_copy(
        update={"config": arm.config.model_copy(update=changes), "also_different": also_different}
    )


def test_runs_made_alike_need_no_word(tmp_path: Path) -> None:
    assert found(tmp_path, runs()) == MisuseFindings((), ())


class TestMixtures:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"versions": {"maskbench": "0.1.0", "torch": "2.12.1"}}, "torch 2.12.1 instead of 2.13.0"),
            ({"versions": {"maskbench": "0.2.0", "torch": "2.13.0"}}, "maskbench 0.2.0 instead of 0.1.0"),
            ({"versions": {"maskbench": "0.1.0"}}, "torch absent instead of 2.13.0"),
            ({"threads": 4}, "4 threads instead of 1"),
            ({"git": {"commit": "f" * 40, "dirty": False}}, "commit ffffffff instead of 1b2c3d4e"),
            ({"git": None}, "commit unknown instead of 1b2c3d4e"),
        ],
    )
    def test_what_runs_through_pairs_stands_above_the_table(
        self, tmp_path: Path, changes: dict[str, Any], said: str
    ) -> None:
        guarded = found(tmp_path, changed({"up": (0, 1, 2)}, **changes))
        assert guarded.warnings == ()
        assert guarded.alarms == (
            f"not all runs were made alike: 3 runs (up, seeds 0-2) with {said}: the differences in 3 of 8 pairs may"
            " come from that and not from a mask; to be sure, move the odd ones away and give the same `maskbench"
            " run` again",
        )

    def test_what_leaves_every_pair_clean_stands_below_it(self, tmp_path: Path) -> None:
        guarded = found(tmp_path, changed({"up": (6, 7), "none": (6, 7)}, threads=2))
        assert guarded.alarms == ()
        (sentence,) = guarded.warnings
        assert "4 runs (none, seeds 6-7; up, seeds 6-7) with 2 threads instead of 1" in sentence
        assert "within each pair the two runs were made alike" in sentence

    def test_one_torn_pair_is_enough(self, tmp_path: Path) -> None:
        (sentence,) = found(tmp_path, changed({"up": (6, 7), "none": (6,)}, threads=2)).alarms
        assert "the difference in 1 of 8 pairs" in sentence

    def test_what_sets_the_same_runs_apart_is_said_at_once(self, tmp_path: Path) -> None:
        other = {"versions": {"maskbench": "0.1.0", "torch": "2.12.1"}, "threads": 4}
        (sentence,) = found(tmp_path, changed({"none": (5,)}, **other)).alarms
        assert (
            "1 run (none, seed 5) with torch 2.12.1 instead of 2.13.0 and 4 threads instead of 1:" in sentence
        )

    def test_three_kinds_are_told_apart(self, tmp_path: Path) -> None:
        made = changed({"up": (0, 1)}, threads=2)
        made["up"][5] = made["up"][5].with_(threads=3)
        (sentence,) = found(tmp_path, made).alarms
        assert "2 runs (up, seeds 0-1) with 2 threads" in sentence
        assert "1 run (up, seed 5) with 3 threads instead of 1" in sentence
        assert "in 3 of 8 pairs" in sentence

    def test_uncommitted_changes_are_said_of_every_run_that_has_them(self, tmp_path: Path) -> None:
        dirty = {"git": {**GIT, "dirty": True}}
        everywhere = found(tmp_path / "a", changed({"none": range(8), "up": range(8)}, **dirty))
        assert everywhere.alarms == ()
        assert everywhere.warnings[0].startswith(
            "16 runs (none, seeds 0-7; up, seeds 0-7) come from a checkout"
        )
        one = found(tmp_path / "b", changed({"up": (3,)}, **dirty))
        assert one.warnings == () and "in 1 of 8 pairs" in one.alarms[0]
        assert one.alarms[0].startswith("1 run (up, seed 3) comes from a checkout with uncommitted changes")

    def test_another_results_version_is_grave_even_between_clean_pairs(self, tmp_path: Path) -> None:
        collected = read(tmp_path, runs())
        cells = [
            replace(cell, provenance=replace(cell.provenance, results_version=2)) if cell.seed < 4 else cell
            for cell in collected.runs.values()
            if cell.provenance
        ]
        guarded = check_misuse(collected.found.panel, cells, METRIC, "none")
        assert guarded.warnings == ()
        assert "results version 1 instead of 2" in guarded.alarms[0]
        assert "do not belong in one table" in guarded.alarms[0]


class TestSeeds:
    def copy_run(self, directory: Path, arm: str, source: int, target: int) -> None:
        """Forge a run of another seed, as somebody would who is short of one."""
        shutil.rmtree(directory / arm / f"seed-{target}")
        shutil.copytree(directory / arm / f"seed-{source}", directory / arm / f"seed-{target}")
        path = directory / arm / f"seed-{target}" / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "seed": target}))

    def test_a_run_under_two_seeds_is_flagged(self, tmp_path: Path) -> None:
        directory = write(tmp_path, experiment(["none", "up"], 8), runs())
        self.copy_run(directory, "up", 2, 5)
        (found,) = compare([directory], ComparisonOptions())
        assert found.alarms == (
            "duplicate seeds: up, seeds 2, 5 logged the same training losses to the last digit, which different seeds"
            " never do: they are one run counted 2 times, and p and interval are too good; move all but one away and"
            " run them again",
        )

    @pytest.mark.parametrize("altered", ["0" * 64, None])
    def test_a_copy_with_other_losses_is_known_by_its_results(
        self, tmp_path: Path, altered: str | None
    ) -> None:
        directory = write(tmp_path, experiment(["none", "up"], 8), runs())
        self.copy_run(directory, "up", 2, 5)
        path = directory / "up" / "seed-5" / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "train_nll_sha256": altered}))
        (found,) = compare([directory], ComparisonOptions())
        (alarm,) = found.alarms
        assert alarm.startswith(
            "duplicate seeds: up, seeds 2, 5 wrote the same translations and have all metrics"
        )

    def test_the_same_run_in_two_arms_is_no_duplicate_seed(self, tmp_path: Path) -> None:
        same = [scored(0.8 + 0.01 * seed) for seed in range(8)]
        assert found(tmp_path, {"none": same, "up": same}).alarms == ()

    def test_a_list_with_a_seed_twice_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "trial.yaml"
        file.write_text("name: trial\nseeds: [0, 3, 3]\ncorpus: {name: toydeen}\narms: {none: []}\n")
        with pytest.raises(ConfigError, match=r"trial\.yaml:2:15: .*seed 3 is given twice"):
            load_experiment(file)

    def test_pairs_that_lack_a_run_are_counted_and_the_runs_named(self, tmp_path: Path) -> None:
        made: dict[str, list[FakeRun]] = runs()
        for arm, seed in (("up", 2), ("none", 2), ("none", 6)):
            made[arm][seed] = made[arm][seed].with_(state="failed")
        (sentence,) = found(tmp_path, made).alarms
        assert sentence.startswith("unpaired: 2 of 8 pairs of up and none do not count")
        assert "these runs have no result to use: up, seed 2; none, seeds 2, 6;" in sentence

    def test_runs_that_are_still_to_come_are_no_loss(self, tmp_path: Path) -> None:
        made: dict[str, list[FakeRun | None]] = {**runs()}
        made["up"] = [*made["up"][:5], None, None, None]
        made["none"] = [*made["none"][:6], made["none"][6].with_(state="diverged"), None]  # type: ignore[union-attr]
        assert found(tmp_path, made).alarms == ()


class TestSettings:
    def test_a_metric_of_the_split_that_picked_the_checkpoint_is_flagged(self, tmp_path: Path) -> None:
        collected = read(tmp_path, runs())
        cells = collected.runs.values()
        (sentence,) = check_misuse(collected.found.panel, cells, "valid/nll", "none").alarms
        assert sentence.startswith(
            "tuned on what is compared: valid/nll is measured on the sentences on which"
        )
        assert sentence.endswith("such as test/nll")

    def test_a_file_that_is_both_splits_is_flagged(self, tmp_path: Path) -> None:
        collected = read(tmp_path, runs())
        options = {"valid": "test", "test": ["test", "other"]}
        base = collected.found.panel.arms[0]
        config = base.config.model_copy(update={"corpus": CorpusConfig(name="files", options=options)})
        arms = (base.model_copy(update={"config": config}), collected.found.panel.arms[1])
        panel = collected.found.panel.model_copy(update={"arms": arms})
        cells = collected.runs.values()
        assert "tuned on" in check_misuse(panel, cells, METRIC, "none").alarms[0]
        assert check_misuse(panel, cells, "other/nll", "none").alarms == ()

    def test_selecting_on_a_test_split_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "trial.yaml"
        file.write_text("name: trial\ncorpus: {name: toydeen}\ntrain: {select: test/nll}\narms: {none: []}\n")
        with pytest.raises(ConfigError, match=r"(?s)trial\.yaml:3.*never choose on a test split"):
            load_experiment(file)

    @pytest.mark.parametrize(
        ("train", "key", "said"),
        [
            (TrainConfig(steps=4000), "train.steps", "train.steps (4000 instead of 2000)"),
            (TrainConfig(epochs=9), "train.epochs", "train.epochs (9 instead of none)"),
            (
                TrainConfig(batch_tokens=512),
                "train.batch_tokens",
                "train.batch_tokens (512 instead of 2048)",
            ),
        ],
    )
    def test_another_budget_is_flagged(self, tmp_path: Path, train: TrainConfig, key: str, said: str) -> None:
        arm = second_arm((key, "train.lr"), train=train)
        (sentence,) = with_arm(read(tmp_path, {}), arm).alarms
        assert sentence.startswith(f"unequal budgets: up has another {said}: ")

    def test_weights_from_before_are_a_budget_too(self, tmp_path: Path) -> None:
        (sentence,) = with_arm(read(tmp_path, {}), second_arm(("init_from",), init_from="runs/a/b")).alarms
        assert "init_from (runs/a/b instead of none)" in sentence

    def test_what_is_no_budget_and_no_search_is_left_to_the_row(self, tmp_path: Path) -> None:
        arm = second_arm(("train.lr",), train=TrainConfig(lr=0.5))
        assert with_arm(read(tmp_path, {}), arm) == MisuseFindings((), ())

    def test_declared_decoding_is_flagged(self, tmp_path: Path) -> None:
        arm = second_arm(("decode.beam_size",), decode=DecodeConfig(beam_size=5))
        (sentence,) = with_arm(read(tmp_path, {}), arm).alarms
        assert sentence.startswith("unequal decoding: up has another decode.beam_size (5 instead of 1): ")

    def test_undeclared_decoding_is_refused(self, tmp_path: Path) -> None:
        arm = second_arm(decode=DecodeConfig(length_penalty=0.6))
        with pytest.raises(
            ConfigError, match=r"cannot be compared: up .*length_penalty \(0.6 instead of 1\)"
        ):
            with_arm(read(tmp_path, {}), arm)


def test_the_table_has_the_guard_s_sentences_in_their_places(tmp_path: Path) -> None:
    made = changed({"up": (0,)}, threads=4)
    made["none"][7] = made["none"][7].with_(git={**GIT, "dirty": True})
    made["up"][7] = made["up"][7].with_(git={**GIT, "dirty": True})
    (table,) = compare([write(tmp_path, experiment(["none", "up"], 8), made)], ComparisonOptions())
    assert [alarm for alarm in table.alarms if "4 threads" in alarm]
    assert [warning for warning in table.warnings if "uncommitted" in warning]


def test_runs_of_which_nobody_knows_how_they_were_made(tmp_path: Path) -> None:
    directory = write(tmp_path, experiment(["none", "up"], 8), runs())
    for path in directory.glob("*/*/run.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "git": None, "versions": {}, "environment": {}}))
    (found,) = compare([directory], ComparisonOptions())
    assert [said for said in found.warnings if said.startswith("no run says by what it was made")] != []
    assert found.signature.endswith("code:unknown")
