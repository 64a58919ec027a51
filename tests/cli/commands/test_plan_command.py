"""`maskbench plan`: what it says, at which width, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import fake_runs
import pytest
import yaml
from fake_runs import FakeRun, scored
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.cli.views.plan_sentences import (
    expense_sentences,
    format_difference,
    format_size,
    group_panels,
    outlook_sentences,
)
from maskbench.config.load import dump_resolved, load_experiment
from maskbench.config.schema.experiment import CompareConfig
from maskbench.data import load_corpus
from maskbench.forecast import trial_steps
from maskbench.forecast.cost_estimate import CostEstimate, StepTime
from maskbench.forecast.power import PowerForecast, Spread
from maskbench.statistics.power import SeedRange

FILE = """
# Does a window help?
name: trial
seeds: 3
baseline: none
compare: {metric: test/exact_match, min_effect: 0.05}
corpus: {name: copy, pairs: 64}
model: {d_model: 8, n_heads: 2, d_ff: 8, encoder_layers: 1, decoder_layers: 1}
train: {steps: 40, batch_tokens: 64}
arms:
  none: []
  near: [{site: encoder_self, mask: window, radius: 1}]
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no time for trying steps, and leave out the proofs, which have tests of their own."""
    monkeypatch.setattr(trial_steps, "SECONDS", 0.0)
    monkeypatch.setattr("maskbench.audit.gate.check_before_training", lambda arm, corpus, seed: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trial.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def invoke(file: Path, *arguments: object, columns: int = 80) -> Result:
    environment = {"COLUMNS": str(columns), "TERM": "dumb", "NO_COLOR": "1"}
    options = ["--runs-dir", file.parent / "runs", *arguments]
    return CliRunner().invoke(app, ["plan", str(file), *map(str, options)], env=environment)


def words(result: Result) -> str:
    """The output without its line breaks."""
    return " ".join(result.stdout.split())


def test_what_there_is_to_know_of_the_corpus_is_said(tmp_path: Path) -> None:
    for stem, lines in (("train", "a b\nc d\n"), ("valid", "e f\n"), ("test", "e  f\n")):
        for side in ("src", "tgt"):
            (tmp_path / f"{stem}.{side}").write_text(lines)
    trial = tmp_path / "trial.yaml"
    corpus = {"name": "files", "path": str(tmp_path), "tokenizer": "char"}
    model = {"d_model": 8, "n_heads": 2, "encoder_layers": 1, "decoder_layers": 1, "d_ff": 8}
    content = {"name": "trial", "seeds": 1, "corpus": corpus, "model": model, "arms": {"none": []}}
    trial.write_text(yaml.safe_dump(content))
    result = invoke(trial, "--json")
    assert result.exit_code == 0, result.stderr
    assert "note: corpus files: 1 of 1 pair of test are also in valid, word for word\n" in result.stderr
    assert json.loads(result.stdout)


def test_a_generated_corpus_does_not_describe_itself_in_a_plan(tmp_path: Path) -> None:
    trial = tmp_path / "trial.yaml"
    model = {"d_model": 8, "n_heads": 2, "encoder_layers": 1, "decoder_layers": 1, "d_ff": 8}
    corpus = {"name": "toydeen", "pairs": 600, "valid": 60, "test": 60}
    content = {"name": "trial", "seeds": 1, "corpus": corpus, "model": model, "arms": {"none": []}}
    trial.write_text(yaml.safe_dump(content))
    result = invoke(trial)
    assert result.exit_code == 0 and "note: corpus" not in result.stderr


def finish(file: Path, runs: dict[str, list[FakeRun]], **changes: object) -> None:
    """Leave behind finished runs of the experiment, seed by seed."""
    experiment = load_experiment(file, overrides=[f"{key}={value}" for key, value in changes.items()])
    directory = file.parent / "runs" / experiment.name
    directory.mkdir(parents=True)
    (directory / "experiment.yaml").write_text(dump_resolved(experiment), encoding="utf-8")
    data = load_corpus(experiment.panels[0].arms[0].config.corpus, file.parent / "runs" / ".cache").sha256
    for arm in experiment.panels[0].arms:
        for seed, run in enumerate(runs.get(arm.name, [])):
            fake_runs.write_run(directory / arm.name / f"seed-{seed}", arm, seed, run.with_(data=data))


def test_three_seeds_are_told_that_they_decide_nothing_and_what_would(file: Path) -> None:
    result = invoke(file, "--workers", 2)
    assert result.exit_code == 0, result.stderr
    said = words(result)
    assert (
        "3 seeds can decide nothing: the smallest p they can reach is 0.25, and a verdict at alpha 0.05 with 1 arm"
        " beside the baseline takes 6 seeds" in said
    )
    assert "needed: 3 more seeds of every arm, about" in said
    assert "(`seeds: 6` in the file, or --seeds 6)" in said
    assert "of training on this machine, 2 runs at a time" in said
    assert "standard deviations" not in said


def test_the_smallest_p_is_the_corrected_one() -> None:
    outlook = TestSentences().outlook(n_seeds=6, smallest_p=2**-5)
    said = next(iter(outlook_sentences(outlook, CompareConfig(metric="test/bleu"), TestSentences().spend())))
    assert said.startswith(
        "6 seeds can decide nothing: the smallest p they can reach, corrected for 2 arms, is 0.062, and"
    )


def test_without_an_earlier_spread_the_difference_is_in_standard_deviations(file: Path) -> None:
    said = words(invoke(file, "--seeds", 8))
    assert "the smallest p that 8 seeds can reach is 0.0078; a verdict" in said
    assert (
        "8 seeds see a difference of 1.21 standard deviations of the paired differences (80 % power); no finished"
        " pair of runs with test/exact_match shows yet how large that is" in said
    )


def test_with_one_it_is_in_the_metric_s_unit_and_says_whose_spread(file: Path, tmp_path: Path) -> None:
    base = [scored(0.5)] * 4
    up = [scored(0.5 + gap) for gap in (0.1, 0.2, 0.3, 0.2)]
    fake_runs.write(
        tmp_path / "runs", fake_runs.experiment(["none", "up"], 4, name="old"), {"none": base, "up": up}
    )
    said = words(invoke(file, "--seeds", 8))
    # The spread is sqrt(0.02 / 3) = 8.2 points, of which 8 seeds see 1.21 times.
    assert (
        "8 seeds see a difference of 9.9 points of test/exact_match (80 % power), if it varies as in 4 pairs of old"
        in said
    )
    assert "to see min_effect, 5 points, takes " in said


def test_finished_runs_are_kept_and_the_rest_is_due(file: Path) -> None:
    finish(file, {"none": [scored(0.5), scored(0.6)], "near": [scored(0.4)]})
    result = invoke(file, "--seeds", 4)
    assert "trial: 5 of 8 runs to train" in result.stdout
    lines = [" ".join(line.split()[:5]) for line in result.stdout.splitlines()]
    assert "none seeds 2-3 seeds 0-1" in lines and "near seeds 1-3 seed 0" in lines


def test_where_everything_is_finished_nothing_is_taken(file: Path) -> None:
    finish(file, {"none": [scored(0.5)], "near": [scored(0.4)]})
    result = invoke(file, "--seeds", 1)
    assert result.exit_code == 0, result.stderr
    assert "0 of 2 runs to train" in result.stdout
    assert "time" not in result.stdout and "a step" not in result.stdout


def test_a_changed_setting_is_named_and_refused_in_json_too(file: Path) -> None:
    finish(file, {"none": [scored(0.5)], "near": []})
    changed = invoke(file, "--set", "train.lr=0.5")
    assert changed.exit_code == 5 and "train.lr 0.001 -> 0.5" in changed.stderr
    assert "refused (changed)" in changed.stdout
    result = invoke(file, "--set", "train.lr=0.5", "--json")
    assert result.exit_code == 5
    runs = json.loads(result.stdout)["runs"]
    assert [run for run in runs if run["state"] == "changed"] == [
        {
            "panel": None,
            "arm": "none",
            "seed": 0,
            "state": "changed",
            "differences": ["train.lr 0.001 -> 0.5"],
        }
    ]


def test_json_is_one_document(file: Path) -> None:
    result = invoke(file, "--json", "--workers", 3)
    found = json.loads(result.stdout)
    assert (found["experiment"], found["due"], found["workers"]) == ("trial", 6, 3)
    assert [step["source"] for step in found["steps"]] == ["tried", "assumed"]
    assert found["seeds"][0]["can_decide"] is False


@pytest.mark.parametrize("columns", [80, 120])
def test_every_line_fits(file: Path, columns: int) -> None:
    long = "a-window-of-radius-two-at-layer0"
    data = yaml.safe_load(FILE)
    data["arms"][long] = [{"site": "encoder_self", "mask": "window", "radius": 2}]
    data["panels"] = {"a-small-one": {"corpus.pairs": 64}, "the-other": {"corpus.pairs": 65}}
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    result = invoke(file, columns=columns)
    assert result.exit_code == 0, result.stderr
    assert all(len(line) <= columns for line in result.stdout.splitlines())
    assert long in result.stdout and "the-other" in result.stdout
    # What is true of all panels is said once.
    assert words(result).count("can decide nothing") == 1


class TestSentences:
    def outlook(self, **changes: object) -> PowerForecast:
        made: dict[str, object] = {
            "panel": None, "n_seeds": 8, "n_arms": 2, "alpha": 0.05, "smallest_p": 2**-7, "least_seeds": 7,
            "effect": 1.34, "spread": None, "needed": None, **changes,
        }  # fmt: skip
        return PowerForecast(**made)  # type: ignore[arg-type]

    def spend(self, **changes: object) -> CostEstimate:
        made: dict[str, object] = {
            "workers": 2, "steps": {}, "run_seconds": {}, "seconds": 90.0, "memory": 400_000_000, "disk": 12_400_000,
            **changes,
        }  # fmt: skip
        return CostEstimate(**made)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("n_seeds", "said"),
        [
            (8, "takes 9 to 14 seeds"),
            (10, "takes 9 to 14 seeds"),
            (14, "takes 9 to 14 seeds: these are enough"),
        ],
    )
    def test_the_seeds_for_what_matters(self, n_seeds: int, said: str) -> None:
        outlook = self.outlook(n_seeds=n_seeds, spread=Spread(0.01, 5, "old"), needed=SeedRange(9, 14))
        compare = CompareConfig(metric="test/bleu", min_effect=0.5)
        assert (
            list(outlook_sentences(outlook, compare, self.spend()))[-1]
            == f"to see min_effect, 0.5 BLEU points, {said}"
        )

    def test_what_runs_take(self) -> None:
        steps = {
            (None, "a"): StepTime(0.1, "own", "this", 8),
            ("p", "b"): StepTime(0.1, "other", "old", 2),
            (None, "c"): StepTime(0.1, "tried", "", 20),
            (None, "d"): StepTime(0.1, "assumed", "c", 20),
            (None, "e"): StepTime(0.1, "tried", "", 21),
        }
        assert list(expense_sentences(self.spend(steps=steps), 6)) == [
            ("time", "about 1 min 30 s of training on this machine, 2 runs at a time; evaluating comes on top"),
            ("", "step times: a: as measured in runs of this; p/b: as measured in runs of old; d: taken to be that of"
             " c; the others: a few steps of each arm, taken just now"),
            ("memory", "about 400 MB for a run, 800 MB in all"),
            ("disk", "at most 12 MB of checkpoints, and a little for the logs"),
        ]  # fmt: skip
        alone = dict(expense_sentences(self.spend(workers=1, steps={(None, "c"): steps[None, "c"]}), 6))
        assert "one run at a time" in alone["time"] and alone["memory"] == "about 400 MB for a run"
        assert alone[""] == "step times: a few steps of each arm, taken just now"

    @pytest.mark.parametrize(
        ("n_bytes", "said"),
        [
            (999, "1 kB"),
            (990_000, "990 kB"),
            (1_200_000, "1.2 MB"),
            (410_000_000, "410 MB"),
            (3.2e9, "3.2 GB"),
        ],
    )
    def test_sizes(self, n_bytes: float, said: str) -> None:
        assert format_size(n_bytes) == said

    @pytest.mark.parametrize(
        ("value", "metric", "said"),
        [
            (0.0123, "test/exact_match", "1.2 points"),
            (0.01, "test/exact_match", "1 point"),
            (0.5, "test/bleu", "0.5 BLEU points"),
            (0.0204, "test/nll", "0.02 nats per token"),
        ],
    )
    def test_differences_in_the_metric_s_unit(self, value: float, metric: str, said: str) -> None:
        assert format_difference(value, metric) == said

    def test_panels_with_the_same_outlook_share_a_sentence(self) -> None:
        assert list(group_panels([("a", ("x",)), ("b", ("y",)), ("c", ("x",))])) == [
            ("a, c", ("x",)),
            ("b", ("y",)),
        ]
        assert list(group_panels([("a", ("x",)), ("b", ("x",))])) == [("", ("x",))]


def test_seeds_that_are_added_until_it_is_decided_are_not_counted_beforehand(file: Path) -> None:
    finish(file, {})
    plan = {
        "seeds": [0, 1, 2, 3],
        "rule": "sequential",
        "limit": 9,
        "closed": {"": {"near": [0, 1]}},
        "results": 0,
    }
    (file.parent / "runs" / "trial" / "plans.jsonl").write_text(json.dumps(plan) + "\n", encoding="utf-8")
    result = invoke(file)
    assert result.exit_code == 0, (result.stderr, result.exception)
    said = words(result)
    assert (
        "added until the comparison is decided (--until-decided): 4 so far, 9 at most; near gets no more"
        in said
    )
    assert "can decide nothing" not in said
