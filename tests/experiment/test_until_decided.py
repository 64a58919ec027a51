"""Adding seeds until every arm is decided, with an executor that only pretends to train and scores that are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_experiment import Pretender, begin, died, load, ran

import maskbench.data
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import to_json
from maskbench.config.load import load_resolved
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.executors import TaskEnd
from maskbench.experiment.plan_log import current_plan
from maskbench.experiment.progress_events import ExperimentOutcome, NullReporter
from maskbench.experiment.run import run_experiment
from maskbench.experiment.until_decided import run_until_decided
from maskbench.runs.directory import RunDirectory
from maskbench.training.job import RunJob

Script = Mapping[str, Callable[[int], float]]
"""By arm: the score of each seed."""

BASELINE: Script = {"a": lambda seed: 0.5}
WINS: Script = {**BASELINE, "b": lambda seed: 0.6 + seed / 1000}
DRAWS: Script = {**BASELINE, "b": lambda seed: 0.4 if seed % 2 else 0.6}


class Heard(NullReporter):
    """Remembers the looks."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def tested(self, sentence: str) -> None:
        self.looks.append(sentence)


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time of a run that does not train, and has tests of its own."""
    corpora: dict[str, Corpus] = {}

    def load_once(config: Any, cache_dir: Path) -> Corpus:
        key = f"{cache_dir} {config}"
        corpora[key] = corpora.get(key) or load_corpus(config, cache_dir)
        return corpora[key]

    monkeypatch.setattr(maskbench.data, "load_corpus", load_once)
    monkeypatch.setattr("maskbench.runs.identity.read_git_state", lambda: None)
    monkeypatch.setattr("maskbench.experiment.run._show_over_seeds", lambda *_: None)
    monkeypatch.setattr("maskbench.audit.gate.check_before_training", lambda *_: None)


def scripted(scores: Script) -> Callable[[RunJob], TaskEnd]:
    """Return what leaves a finished run with its score behind; no two runs have the same outputs."""

    def finish(job: RunJob) -> TaskEnd:
        begin(job)
        value = scores[job.arm](job.seed)
        hashes = {name: f"{job.panel}{job.arm}{job.seed}" for name in ("outputs_sha256", "train_nll_sha256")}
        RunDirectory(job.directory).write_result({"metrics": {"test/exact_match": value}, **hashes})
        return TaskEnd("finished", "", 1.0)

    return finish


def go(
    tmp_path: Path,
    scores: Script,
    executor: Pretender | None = None,
    arms: Sequence[str] = ("a", "b"),
    seeds: str = "[0, 1, 2]",
    panels: str = "",
    **options: Any,
) -> tuple[ExperimentOutcome, Pretender, list[str]]:
    """Run until decided; return the outcome, what was trained, and what was said after each look."""
    used, heard = executor or Pretender(scripted(scores)), Heard()
    experiment = load(tmp_path, arms=arms, seeds=seeds, panels=panels)
    outcome = run_until_decided(experiment, tmp_path / "runs", executor=used, reporter=heard, **options)
    return outcome, used, heard.looks


def table(tmp_path: Path) -> Comparison:
    (comparison,) = compare([tmp_path / "runs/trial"], ComparisonOptions())
    return comparison


def seeds_of(executor: Pretender, arm: str) -> list[int]:
    return [seed for name, seed in ran(executor) if name == arm]


def test_an_arm_that_always_wins_is_decided_after_eight_seeds(tmp_path: Path) -> None:
    outcome, executor, looks = go(tmp_path, WINS)
    assert seeds_of(executor, "a") == seeds_of(executor, "b") == list(range(8))
    assert outcome.counts["done"] == 16 and outcome.is_sound
    # 2**n / (n + 1): 128 / 8 after seven seeds is below 1 / 0.05, 256 / 9 after eight is not.
    assert len(looks) == 8
    assert looks[6] == "after 7 seeds: b is open (7 won, 0 lost, E 16; decided at 20)"
    assert looks[7] == "after 8 seeds: b is better (8 won, 0 lost, E 28.4)"
    assert table(tmp_path).rows[1].verdict == "better"


def test_the_first_seeds_are_those_of_the_file_and_the_next_the_smallest_others(tmp_path: Path) -> None:
    _, executor, _ = go(tmp_path, WINS, seeds="[5, 1]")
    assert seeds_of(executor, "b") == [5, 1, 0, 2, 3, 4, 6, 7]


def test_the_runs_of_one_seed_are_handed_over_together(tmp_path: Path) -> None:
    _, executor, _ = go(tmp_path, WINS)
    assert [seed for _, seed in ran(executor)] == sorted(seed for _, seed in ran(executor))


def test_once_decided_nothing_is_trained_and_the_plan_is_not_written_again(tmp_path: Path) -> None:
    go(tmp_path, WINS)
    plans = tmp_path / "runs/trial/plans.jsonl"
    before = plans.read_bytes()
    outcome, again, looks = go(tmp_path, WINS)
    assert not again.jobs and not again.probed
    assert outcome.counts == {"done": 0, "skipped": 16, "failed": 0, "diverged": 0, "interrupted": 0}
    assert len(looks) == 1 and "b is better" in looks[0]
    assert plans.read_bytes() == before


def test_the_table_and_its_json_say_by_themselves_which_rule_it_was(tmp_path: Path) -> None:
    go(tmp_path, WINS)
    comparison = table(tmp_path)
    assert comparison.rule == "sequential"
    assert comparison.rows[1].difference is not None
    assert comparison.rows[1].difference.e_value == pytest.approx(256 / 9)
    assert json.loads(to_json([comparison]))["rule"] == "sequential"
    assert not any("extended" in warning for warning in comparison.warnings)


def test_an_arm_that_no_seed_up_to_the_limit_could_decide_is_given_up(tmp_path: Path) -> None:
    _, executor, looks = go(tmp_path, DRAWS, max_seeds=12)
    # Of 12 seeds one may be lost (4096 / 13 / 12 = 26.3); the second loss, with seed 3, is one too many.
    assert seeds_of(executor, "b") == [0, 1, 2, 3]
    assert looks[-1].startswith("after 4 seeds: b is given up (2 won, 2 lost, E 1; 12 seeds cannot decide it")
    assert table(tmp_path).rows[1].verdict in ("inconclusive", "not testable")


def test_a_tie_is_a_seed_spent_for_nothing(tmp_path: Path) -> None:
    scores = {**BASELINE, "b": lambda seed: 0.6 if seed else 0.5}
    assert seeds_of(go(tmp_path, scores, max_seeds=8)[1], "b") == [0]


def test_a_higher_limit_opens_what_was_given_up(tmp_path: Path) -> None:
    go(tmp_path, DRAWS, max_seeds=12)
    _, executor, looks = go(tmp_path, DRAWS, max_seeds=20)
    assert seeds_of(executor, "b")[0] == 4
    assert looks[0].startswith("after 4 seeds: b is open")


def test_the_limit_ends_it(tmp_path: Path) -> None:
    late = {**BASELINE, "b": lambda seed: 0.4 if seed == 0 else 0.6}
    _, executor, looks = go(tmp_path, late, max_seeds=12)
    assert len(seeds_of(executor, "b")) == 12 and "b is better (11 won, 1 lost, E 26.3)" in looks[-1]


def test_a_decided_arm_gets_no_further_seed_and_is_not_missed(tmp_path: Path) -> None:
    # With two arms an arm is better at 2 / 0.05 = 40, all wins after nine seeds; the other one then at 20.
    scores = {**WINS, "c": lambda seed: 0.4 if seed == 2 else 0.6 + seed / 500}
    _, executor, looks = go(tmp_path, scores, arms=("a", "b", "c"))
    assert len(seeds_of(executor, "b")) == 9
    assert len(seeds_of(executor, "c")) == len(seeds_of(executor, "a")) == 12
    assert "b is better (9 won, 0 lost" in looks[-1] and "c is better (11 won, 1 lost" in looks[-1]
    comparison = table(tmp_path)
    by_arm = {row.arm: row for row in comparison.rows}
    assert [by_arm[arm].counts.done for arm in "abc"] == [12, 9, 12]
    assert all(row.counts.waiting == 0 for row in comparison.rows)
    assert by_arm["b"].difference is not None and by_arm["b"].difference.n == 9
    assert not any("not started" in warning or "left out" in warning for warning in comparison.warnings)


def test_an_arm_that_was_given_up_is_open_again_once_others_are_decided(tmp_path: Path) -> None:
    # One loss leaves 26.3 after 12 seeds: too little where two arms are open (40), enough for the last one (20).
    scores = {**WINS, "c": lambda seed: 0.4 if seed == 2 else 0.6 + seed / 500}
    _, executor, looks = go(tmp_path, scores, arms=("a", "b", "c"), max_seeds=12)
    assert "c is given up (2 won, 1 lost" in looks[2]
    assert seeds_of(executor, "c") == list(range(12)) and seeds_of(executor, "b") == list(range(9))
    assert "c is better (11 won, 1 lost" in looks[-1]


def test_an_arm_that_does_the_same_in_every_byte_is_closed_after_three_pairs(tmp_path: Path) -> None:
    def same(job: RunJob) -> TaskEnd:
        begin(job)
        hashes = {name: str(job.seed) for name in ("outputs_sha256", "train_nll_sha256")}
        RunDirectory(job.directory).write_result({"metrics": {"test/exact_match": 0.5}, **hashes})
        return TaskEnd("finished")

    _, executor, looks = go(tmp_path, {}, Pretender(same))
    # One pair or two may be the same because a mask acts now and then.
    assert seeds_of(executor, "b") == [0, 1, 2]
    assert looks[0].startswith("after 1 seed: b is open")
    assert looks[-1].startswith("after 3 seeds: b is identical")


def test_panels_are_decided_one_by_one(tmp_path: Path) -> None:
    def finish(job: RunJob) -> TaskEnd:
        return scripted(WINS if job.panel == "small" else DRAWS)(job)

    panels = "panels: {small: {corpus.pairs: 32}, large: {corpus.pairs: 64}}"
    _, executor, looks = go(tmp_path, {}, Pretender(finish), panels=panels, max_seeds=12)
    seeds = {
        panel: [j.seed for j in executor.jobs if (j.panel, j.arm) == (panel, "a")]
        for panel in ("small", "large")
    }
    assert seeds == {"small": list(range(8)), "large": list(range(4))}
    assert any(look.startswith("small: after 8 seeds: b is better") for look in looks)
    small, large = compare([tmp_path / "runs/trial"], ComparisonOptions())
    assert [row.counts.waiting for row in (*small.rows, *large.rows)] == [0, 0, 0, 0]
    assert small.rule == large.rule == "sequential"
    # A panel's folder says it too.
    (alone,) = compare([tmp_path / "runs/trial/large"], ComparisonOptions())
    assert alone.rule == "sequential" and alone.rows[0].counts.done == 4


@dataclass
class Stopped(Pretender):
    """Is told to stop after some runs."""

    after: int = 5

    def execute(self, target: Any, tasks: Any, listener: Any) -> int | None:
        jobs = [task for task in tasks if isinstance(task.payload, RunJob)]
        if jobs and len(self.jobs) + len(jobs) > self.after:
            super().execute(target, jobs[:1], listener)
            return 2
        return super().execute(target, tasks, listener)


def test_what_was_stopped_goes_on_where_it_stood(tmp_path: Path) -> None:
    stopped = Stopped(scripted(WINS))
    outcome, _, looks = go(tmp_path, WINS, stopped)
    assert outcome.signal == 2
    assert len(stopped.jobs) == 5 and len(looks) == 2
    # In the middle of a seed nothing is decided, and the run that is missing is said to be.
    assert sum(row.counts.waiting for row in table(tmp_path).rows) == 1
    _, executor, later = go(tmp_path, WINS)
    assert sorted(ran(stopped) + ran(executor)) == [(arm, seed) for arm in "ab" for seed in range(8)]
    assert later[0].startswith("after 3 seeds") and "b is better (8 won" in later[-1]


def test_half_a_pair_is_no_seed_spent(tmp_path: Path) -> None:
    stopped = Stopped(scripted(WINS), after=7)
    go(tmp_path, WINS, stopped, max_seeds=8)
    assert ran(stopped)[-1] == ("b", 3)
    # All eight wins are needed: were the fourth counted as spent, nothing could decide it any more.
    _, _, looks = go(tmp_path, WINS, max_seeds=8)
    assert "b is better (8 won, 0 lost" in looks[-1]
    plans = (tmp_path / "runs/trial/plans.jsonl").read_text().splitlines()
    assert [bool(json.loads(line)["closed"]) for line in plans] == [False] * (len(plans) - 1) + [True]


def test_a_run_that_failed_ends_it_and_is_tried_again(tmp_path: Path) -> None:
    def fail_once(job: RunJob) -> TaskEnd:
        return died(job) if (job.arm, job.seed) == ("b", 2) else scripted(WINS)(job)

    outcome, executor, _ = go(tmp_path, WINS, Pretender(fail_once))
    assert outcome.counts["failed"] == 1 and not outcome.is_sound
    assert max(seed for _, seed in ran(executor)) == 2
    outcome, again, _ = go(tmp_path, WINS)
    assert ran(again)[0] == ("b", 2) and len(seeds_of(again, "a")) == 5 and outcome.is_sound


def test_a_diverged_run_counts_as_lost_and_does_not_end_it(tmp_path: Path) -> None:
    def diverge(job: RunJob) -> TaskEnd:
        if (job.arm, job.seed) != ("b", 1):
            return scripted(WINS)(job)
        begin(job)
        RunDirectory(job.directory).write_status("diverged", {"message": "the loss is not finite", "step": 3})
        return TaskEnd("finished")

    outcome, executor, looks = go(tmp_path, WINS, Pretender(diverge))
    assert len(seeds_of(executor, "b")) == 12 and "(11 won, 1 lost" in looks[-1]
    assert outcome.counts["diverged"] == 1


def test_a_fixed_plan_may_be_continued_and_its_results_are_the_first_looks(tmp_path: Path) -> None:
    experiment = load(tmp_path, seeds="[0, 1, 2, 3]")
    fixed = Pretender(scripted(WINS))
    run_experiment(experiment, tmp_path / "runs", executor=fixed)
    assert table(tmp_path).rule == "fixed"
    _, executor, looks = go(tmp_path, WINS, seeds="[0, 1, 2, 3]")
    assert seeds_of(executor, "b") == [4, 5, 6, 7]
    assert looks[0].startswith("after 4 seeds")
    assert table(tmp_path).plan_change_alarms == ()


def test_seeds_that_were_dropped_after_results_come_back_as_the_looks_they_were_planned_as(
    tmp_path: Path,
) -> None:
    for seeds in ("[0, 1, 2, 3, 4, 5]", "[1, 3, 5]"):
        fixed = load(tmp_path, seeds=seeds)
        run_experiment(fixed, tmp_path / "runs", executor=Pretender(scripted(DRAWS)))
    _, _, looks = go(tmp_path, DRAWS, seeds="[1, 3, 5]", max_seeds=12)
    assert looks[0].startswith("after 6 seeds: b is given up (3 won, 3 lost")
    assert load_resolved(tmp_path / "runs/trial/experiment.yaml").seeds == (0, 1, 2, 3, 4, 5)
    assert table(tmp_path).plan_change_alarms == ()


def test_an_arm_that_was_given_up_is_not_told_to_run_more_seeds(tmp_path: Path) -> None:
    go(tmp_path, DRAWS, max_seeds=12)
    (_, row) = table(tmp_path).rows
    assert row.verdict == "not testable"
    assert row.notes[0] == "given up after 4 seeds: winning or losing all up to 12 would not decide it"


def test_seeds_of_a_fixed_plan_that_nobody_began_are_forgotten(tmp_path: Path) -> None:
    part = load(tmp_path, seeds="[0, 1, 2, 3, 4, 5]").model_copy(update={"seeds": (3,)})
    whole = load(tmp_path, seeds="[0, 1, 2, 3, 4, 5]")
    run_experiment(part, tmp_path / "runs", whole=whole, executor=Pretender(scripted(WINS)))
    _, executor, _ = go(tmp_path, WINS, max_seeds=3)
    # All three could not decide it: 2**3 / 4 is far from 20, which is clear after the first look.
    assert not executor.jobs
    assert load_resolved(tmp_path / "runs/trial/experiment.yaml").seeds == (3,)


def test_a_plain_run_afterwards_stays_under_the_sequential_rule(tmp_path: Path) -> None:
    go(tmp_path, WINS, max_seeds=4)
    grown = load(tmp_path, seeds="[0, 1, 2]")
    outcome = run_experiment(grown, tmp_path / "runs", executor=Pretender(scripted(WINS)))
    assert any("stays under the rule" in note for note in outcome.notes)
    plan = current_plan(tmp_path / "runs", "trial")
    assert plan is not None and plan.rule == "sequential"
    assert set(plan.seeds) == {0, 1, 2} and plan.closed == {"": {}}
    comparison = table(tmp_path)
    assert comparison.rule == "sequential" and comparison.rows[1].counts.waiting == 0
