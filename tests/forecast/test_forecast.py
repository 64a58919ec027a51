"""What runs will take and what seeds can show, from hand-written runs and hand-worked numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import fake_runs
import pytest
import tiny_runs
import torch
from fake_runs import scored

from maskbench.config.schema.experiment import (
    ArmConfig,
    CompareConfig,
    CorpusConfig,
    Experiment,
    PanelConfig,
    RunConfig,
)
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.executors.local import LocalExecutor
from maskbench.experiment.plan import corpus_key, plan_runs
from maskbench.experiment.preparation import BuiltArm, DryRun
from maskbench.forecast import trial_steps
from maskbench.forecast.cost_estimate import CostEstimate, estimate_costs, makespan
from maskbench.forecast.power import Spread, find_earlier_spread, forecast_power, to_json
from maskbench.forecast.recorded_steps import StepRecords, seconds_per_step, step_kind
from maskbench.runs.directory import ExperimentDirectory, RunDirectory
from maskbench.statistics.power import Family, detectable_effect, seeds_needed
from maskbench.training.environment import current_origin

MACHINE = current_origin(1, torch.float32, torch.device("cpu")).environment
METRIC = "test/exact_match"
SIZES = tiny_runs.config().corpus.options


def arm(name: str, **changes: Any) -> ArmConfig:
    return ArmConfig(name=name, title=name, config=tiny_runs.config(**changes))


def trained(
    root: Path, experiment: str, config: RunConfig, seed: int, *lines: tuple[int, float]
) -> RunDirectory:
    """Leave behind what a run leaves that took so many seconds since the step before."""
    run = ExperimentDirectory(root / experiment).run("some", seed)
    run.path.mkdir(parents=True)
    record = {"identity": {"config": config.identity()}, "environment": dict(MACHINE)}
    (run.path / "run.json").write_text(json.dumps(record))
    for step, seconds in lines:
        run.timing.append({"step": step, "seconds": seconds})
    return run


class TestRecordedSteps:
    def test_a_step_done_twice_counts_once(self, tmp_path: Path) -> None:
        run = trained(tmp_path, "a", tiny_runs.config(), 0, (10, 2.0), (20, 3.0), (20, 5.0), (25, 1.0))
        assert seconds_per_step(run) == (2.0 + 5.0 + 1.0) / 25

    def test_a_run_without_a_timed_step_tells_nothing(self, tmp_path: Path) -> None:
        assert seconds_per_step(trained(tmp_path, "a", tiny_runs.config(), 0)) is None

    @pytest.mark.parametrize(
        ("changes", "same"),
        [
            ({"steps": 99}, True),
            ({"lr": 0.5}, True),
            ({"warmup_steps": 1}, True),
            ({"batch_tokens": 97}, False),
            ({"rdrop": 1.0}, False),
            ({"threads": 2}, False),
            ({"masks": []}, False),
        ],
    )
    def test_what_a_step_takes_depends_on(self, changes: dict[str, Any], same: bool) -> None:
        ours, theirs = (
            step_kind(config.identity()) for config in (tiny_runs.config(), tiny_runs.config(**changes))
        )
        assert (ours == theirs) is same

    def test_the_experiment_s_own_runs_come_before_many_of_another(self, tmp_path: Path) -> None:
        config = tiny_runs.config()
        for seed, seconds in enumerate((1.0, 2.0, 6.0)):
            trained(tmp_path, "other", config, seed, (10, seconds))
        trained(tmp_path, "single", config, 0, (10, 30.0))
        records = StepRecords(tmp_path, MACHINE)
        own, other = records.of(config, "single"), records.of(config, "new")
        assert own is not None and (own.experiment, own.seconds, own.runs) == ("single", 3.0, 1)
        assert other is not None and (other.experiment, other.seconds, other.runs) == ("other", 0.2, 3)
        assert records.of(tiny_runs.config(masks=[]), "other") is None

    def test_runs_in_panels_are_found(self, tmp_path: Path) -> None:
        trained(tmp_path, "wide/small", tiny_runs.config(), 0, (4, 2.0))
        (tmp_path / "wide" / "small" / "experiment.yaml").touch()
        found = StepRecords(tmp_path, MACHINE).of(tiny_runs.config(), "new")
        assert found is not None and (found.experiment, found.seconds) == ("wide", 0.5)

    def test_another_machine_and_damage_are_passed_over(self, tmp_path: Path) -> None:
        config = tiny_runs.config()
        away = trained(tmp_path, "a", config, 0, (10, 1.0)).path / "run.json"
        record = json.loads(away.read_text())
        away.write_text(json.dumps({**record, "environment": {**MACHINE, "capability": "AVX9000"}}))
        (trained(tmp_path, "b", config, 0, (10, 1.0)).path / "run.json").write_text("{")
        (trained(tmp_path, "c", config, 0).path / "timing.jsonl").write_text('{"step": "x", "seconds": 1}\n')
        (trained(tmp_path, "d", config, 0, (10, 1.0)).path / "run.json").write_text('{"environment": []}')
        assert StepRecords(tmp_path, MACHINE).of(config, "a") is None


class Clock:
    """Goes on only when somebody takes a step."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def stepper(self, *seconds: float) -> Iterator[None]:
        for length in (*seconds, *[seconds[-1]] * 1000):
            self.now += length
            yield


class TestTrial:
    def test_arms_take_turns_until_the_time_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 10.0)
        clock = Clock()
        arms = {(None, "a"): clock.stepper(3.0, 1.0), (None, "b"): clock.stepper(2.0, 0.5)}
        taken = trial_steps.time_in_turns(arms, clock)
        assert taken == {(None, "a"): [3.0, 1.0, 1.0, 1.0, 1.0], (None, "b"): [2.0, 0.5, 0.5, 0.5]}

    def test_a_slow_first_arm_leaves_no_turn_for_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 1.0)
        clock = Clock()
        arms = {(None, "a"): clock.stepper(30.0), (None, "b"): clock.stepper(0.1)}
        assert trial_steps.time_in_turns(arms, clock) == {(None, "a"): [30.0]}

    def test_first_steps_do_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 12.0)
        clock = Clock()
        # Memory is measured for 11 and 7 s before the time that is given; then 4, 3, 1, 2, 1, 2 seconds pass.
        trials = iter([(11.0, 60, 4.0, 1.0), (7.0, 80, 3.0, 2.0)])

        class Trial:
            def __init__(self, *_: object) -> None:
                self.first, self.memory, *self.rest = next(trials)

            def predict_memory(self) -> int:
                clock.now += self.first
                return self.memory

            def steps(self) -> Iterator[None]:
                return clock.stepper(*self.rest)

        monkeypatch.setattr(trial_steps, "_Trial", Trial)
        config, corpus = tiny_runs.config(), cast(Corpus, None)
        found = trial_steps.try_steps(
            {(None, "a"): (config, corpus), (None, "b"): (config, corpus)}, 0, clock
        )
        assert found == {
            (None, "a"): trial_steps.TriedStepTime(1.0, 2, 60),
            (None, "b"): trial_steps.TriedStepTime(2.0, 2, 80),
        }

    def test_real_arms_are_tried_and_the_generator_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 0.05)
        config = tiny_runs.config()
        corpus = load_corpus(config.corpus, tmp_path)
        before = torch.get_rng_state()
        found = trial_steps.try_steps({(None, "a"): (config, corpus), (None, "b"): (config, corpus)}, 0)
        assert torch.equal(before, torch.get_rng_state())
        assert found[None, "a"].steps >= 1 and found[None, "a"].seconds > 0
        # A process with torch and a model of a few thousand weights.
        assert 300e6 < (found[None, "a"].memory or 0) < 400e6

    def test_nothing_to_try_costs_nothing(self) -> None:
        def never() -> float:
            raise AssertionError

        assert trial_steps.try_steps({}, 0, never) == {}


@pytest.mark.parametrize(
    ("seconds", "workers", "end"),
    [([3, 1, 1, 1], 2, 3), ([1, 1, 3], 2, 4), ([5], 4, 5), ([], 3, 0), ([1, 2, 3, 4], 1, 10)],
)
def test_jobs_begin_in_order_as_workers_get_free(seconds: list[float], workers: int, end: float) -> None:
    assert makespan(seconds, workers) == end


class TestExpense:
    MASKED, BARE = arm("masked"), arm("bare", masks=[], epochs=3)

    def of(self, root: Path, workers: int | None = 2, seeds: int = 3) -> CostEstimate:
        panel = PanelConfig(name=None, arms=(self.BARE, self.MASKED), baseline="bare")
        trial_ = Experiment(name="trial", seeds=tuple(range(seeds)), panels=(panel,))
        corpus = load_corpus(self.BARE.config.corpus, root / ".cache")
        built = {(None, "bare"): BuiltArm(1000, 50), (None, "masked"): BuiltArm(1200, 60)}
        key = corpus_key(self.BARE.config.corpus)
        return estimate_costs(
            trial_, DryRun(plan_runs(trial_, root), {key: corpus}, built), root, LocalExecutor(workers)
        )

    def test_time_memory_and_disk_add_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trained(tmp_path, "before", self.BARE.config, 0, (10, 5.0))
        trained(tmp_path, "before", self.MASKED.config, 1, (10, 20.0))
        monkeypatch.setattr(trial_steps, "time_in_turns", None)
        found = self.of(tmp_path)
        corpus = load_corpus(self.BARE.config.corpus, tmp_path / ".cache")
        from maskbench.data.batches import plan_batches

        epochs = 3 * len(plan_batches(corpus.splits["train"], 96, 0))
        assert found.run_seconds == {(None, "bare"): 0.5 * epochs, (None, "masked"): 2.0 * 12}
        assert found.steps[None, "bare"].source == "other" and found.steps[None, "bare"].where == "before"
        bare, masked = 0.5 * epochs, 24.0
        # The arms rotate from seed to seed.
        assert found.seconds == makespan([bare, masked, masked, bare, bare, masked], 2)
        assert (found.memory, found.workers) == (60, 2)
        # Saved every 4 steps or 5: 3 checkpoints each of 12 steps; the newest two and the selected one stay.
        assert found.disk == 3 * 3 * 12 * 1000 + 3 * 3 * 12 * 1200
        assert found.more_seeds(2) == makespan([bare, bare, masked, masked], 2)

    def test_a_resumed_run_goes_on_from_its_checkpoint(self, tmp_path: Path) -> None:
        trained(tmp_path, "before", self.BARE.config, 0, (10, 5.0))
        trained(tmp_path, "before", self.MASKED.config, 1, (10, 20.0))
        (tmp_path / "trial" / "masked" / "seed-0" / "checkpoints" / "step-000005").mkdir(parents=True)
        (tmp_path / "trial" / "masked" / "seed-0" / "checkpoints" / "step-000010").mkdir()
        whole = self.of(tmp_path, workers=1, seeds=1)
        assert whole.seconds == whole.run_seconds[None, "bare"] + 2.0 * (12 - 10)

    def test_never_more_workers_than_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 0.0)
        assert self.of(tmp_path, workers=50, seeds=1).workers == 2

    def test_an_arm_that_had_no_turn_takes_the_time_of_one_that_had(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 0.0)
        steps = self.of(tmp_path).steps
        assert [step.source for step in steps.values()] == ["tried", "assumed"]
        assert steps[None, "masked"].seconds == steps[None, "bare"].seconds
        assert steps[None, "masked"].where == "bare"

    def test_panels_that_differ_in_the_size_of_the_corpus_are_tried_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trial_steps, "SECONDS", 0.0)
        small, large = (
            self.MASKED.config.model_copy(
                update={"corpus": CorpusConfig(name="copy", options={**SIZES, "pairs": pairs})}
            )
            for pairs in (60, 70)
        )
        arms = [self.MASKED.model_copy(update={"config": config}) for config in (small, large)]
        names = ("small", "large")
        panels = tuple(
            PanelConfig(name=name, arms=(arm,), baseline="masked")
            for name, arm in zip(names, arms, strict=True)
        )
        trial_ = Experiment(name="trial", seeds=(0,), panels=panels)
        corpora = {corpus_key(a.config.corpus): load_corpus(a.config.corpus, tmp_path) for a in arms}
        built = {(name, "masked"): BuiltArm(10, 20) for name in names}
        steps = estimate_costs(
            trial_, DryRun(plan_runs(trial_, tmp_path), corpora, built), tmp_path, LocalExecutor()
        ).steps
        assert [step.source for step in steps.values()] == ["tried", "tried"]
        assert steps["small", "masked"] == steps["large", "masked"]

    def test_where_nothing_is_due_nothing_is_taken(self, tmp_path: Path) -> None:
        trial_ = Experiment(
            name="t", seeds=(0,), panels=(PanelConfig(name=None, arms=(self.BARE,), baseline="bare"),)
        )
        found = estimate_costs(trial_, DryRun((), {}, {}), tmp_path, LocalExecutor(3))
        assert (found.seconds, found.disk, found.steps, found.more_seeds(4)) == (0.0, 0, {}, None)


def gaps(*differences: float) -> dict[str, list[fake_runs.FakeRun]]:
    """Runs of two arms with these differences."""
    return {
        "none": [scored(0.5 + 0.01 * seed) for seed in range(len(differences))],
        "up": [scored(0.5 + 0.01 * seed + gap) for seed, gap in enumerate(differences)],
    }


class TestOutlook:
    def wanted(self, name: str = "new", seeds: int = 8, **compare: Any) -> Experiment:
        return fake_runs.experiment(["none", "up"], seeds, name=name, **compare)

    def spread(self, root: Path, name: str = "new") -> Spread | None:
        experiment = self.wanted(name)
        return find_earlier_spread(experiment, experiment.panels[0], root)

    def test_the_spread_of_another_experiment_with_the_same_metric(self, tmp_path: Path) -> None:
        fake_runs.write(tmp_path, self.wanted("old", 4), gaps(0.1, 0.2, 0.3, 0.2))
        fake_runs.write(tmp_path, self.wanted("else", 4, metric="test/bleu"), gaps(0.1, 0.2, 0.3, 0.9))
        found = self.spread(tmp_path)
        assert found is not None and found.experiment == "old" and found.pairs == 4
        # Squares about the mean 0.2: 0.01 + 0.01 = 0.02, over 3.
        assert found.sd == pytest.approx(math.sqrt(0.02 / 3))

    def test_its_own_finished_pairs_come_first(self, tmp_path: Path) -> None:
        fake_runs.write(tmp_path, self.wanted("old", 6), gaps(0.1, 0.2, 0.3, 0.2, 0.1, 0.2))
        fake_runs.write(tmp_path, self.wanted("new", 8), gaps(0.1, 0.3))
        found = self.spread(tmp_path)
        assert found == Spread(pytest.approx(math.sqrt(0.02)), 2, "new")

    def test_arms_are_pooled_by_their_degrees_of_freedom(self, tmp_path: Path) -> None:
        runs = gaps(0.1, 0.3, 0.2)
        runs["twin"] = runs["none"]
        runs["far"] = [scored(0.5 + 0.4), scored(0.51 + 0.8)]
        fake_runs.write(tmp_path, fake_runs.experiment(["none", "up", "twin", "far"], 3, name="old"), runs)
        found = self.spread(tmp_path)
        # 0.02 on 2 degrees, 0.08 on 1; the arm that is the baseline once more has none.
        assert found == Spread(pytest.approx(math.sqrt(0.10 / 3)), 3, "old")

    @pytest.mark.parametrize("differences", [(0.1,), (0.0, 0.0, 0.0), ()])
    def test_without_two_pairs_that_differ_there_is_none(
        self, tmp_path: Path, differences: tuple[float, ...]
    ) -> None:
        fake_runs.write(tmp_path, self.wanted("old", 3), gaps(*differences))
        assert self.spread(tmp_path) is None

    def test_damaged_experiments_are_passed_over(self, tmp_path: Path) -> None:
        fake_runs.write(tmp_path, self.wanted("old", 2), gaps(0.1, 0.3))
        for name, text in (("bad", f"metric: {METRIC}\n- ["), ("worse", f"{METRIC}\x00\xff")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "experiment.yaml").write_bytes(text.encode("latin-1"))
        found = self.spread(tmp_path)
        assert found is not None and found.experiment == "old"

    def test_three_seeds_decide_nothing_whatever_the_spread(self, tmp_path: Path) -> None:
        fake_runs.write(tmp_path, self.wanted("old", 4), gaps(0.1, 0.2, 0.3, 0.2))
        (found,) = forecast_power(self.wanted(seeds=3, min_effect=0.1), tmp_path)
        assert not found.can_decide
        assert (found.smallest_p, found.least_seeds, found.n_arms) == (0.25, 6, 1)
        assert found.effect is None and found.difference is None
        assert found.spread is not None
        assert found.needed == seeds_needed(found.spread.sd, 4, 0.1, Family(1, 0.05))

    def test_the_level_is_shared_by_the_arms(self, tmp_path: Path) -> None:
        experiment = fake_runs.experiment(["none", "a", "b", "c"], 9, alpha=0.1)
        (found,) = forecast_power(experiment, tmp_path)
        assert found.can_decide and found.n_arms == 3
        assert found.effect == detectable_effect(9, 0.1 / 3)
        assert found.spread is None and found.difference is None and found.needed is None

    def test_the_published_table_of_visible_differences(self, tmp_path: Path) -> None:
        (found,) = forecast_power(self.wanted(seeds=8), tmp_path)
        assert round(found.effect or 0, 2) == 1.21

    def test_an_experiment_of_one_arm_has_nothing_to_show(self, tmp_path: Path) -> None:
        assert forecast_power(fake_runs.experiment(["none"], 3), tmp_path) == []


def test_the_document_has_what_the_plan_says(tmp_path: Path) -> None:
    panel = PanelConfig(name=None, arms=(arm("bare", masks=[]), arm("masked")), baseline="bare")
    compare = CompareConfig(metric=METRIC, min_effect=0.1)
    experiment = Experiment(name="trial", seeds=(0, 1, 2), panels=(panel,), compare=compare)
    steps: dict[Any, Any] = {}
    expected = CostEstimate(2, steps, {(None, "bare"): 5.0, (None, "masked"): 7.0}, 40.0, 60, 99)
    found = json.loads(
        to_json(experiment, plan_runs(experiment, tmp_path), expected, forecast_power(experiment, tmp_path))
    )
    assert (found["due"], found["seconds"], found["memory_bytes"]) == (
        6,
        40.0,
        {"run": 60, "all": 120, "audit": 0},
    )
    assert found["runs"][0] == {"panel": None, "arm": "bare", "seed": 0, "state": "new", "differences": []}
    (seeds,) = found["seeds"]
    assert (seeds["can_decide"], seeds["least_seeds"], seeds["missing_seeds"]) == (False, 6, 3)
    assert seeds["missing_seconds"] == makespan([5.0, 5.0, 5.0, 7.0, 7.0, 7.0], 2)
