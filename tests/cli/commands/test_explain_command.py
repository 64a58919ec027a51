"""`maskbench explain` as users call it, on runs that never ran and on a pair that did."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fake_runs import FakeRun, arm_config, experiment, write
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.config.load import dump_resolved, load_experiment
from maskbench.config.schema.experiment import CorpusConfig, Experiment
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.runs.directory import ExperimentDirectory, RunDirectory
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run

CORPUS = CorpusConfig(name="toydeen", options={"pairs": 100, "valid": 10, "test": 12})
# By sentence, in seeds 0 to 3: won (+), lost (-), or as good as the baseline.
RIGHT = {5: "++++", 7: "++.+", 2: "-+--", 9: "+-..", 0: "...."}
SEEDS, PAIRS = 4, 12


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def corpus(cache: Path) -> Corpus:
    return load_corpus(CORPUS, cache)


def with_(model: Any, **changes: Any) -> Any:
    return model.model_copy(update=changes)


def plan(**changes: Any) -> Experiment:
    wanted = experiment(["none", "up"], SEEDS, **changes)
    arms = [arm_config("none", 0), arm_config("up", 1, title="[b]Up[/b]")]
    measured = with_(arms[0].config.evaluate, metrics=("nll", "exact_match", "ece"))
    arms = [with_(arm, config=with_(arm.config, corpus=CORPUS, evaluate=measured)) for arm in arms]
    return with_(wanted, panels=(with_(wanted.panels[0], arms=tuple(arms)),))


def fake(arm: str, seed: int, data: str) -> FakeRun:
    """A run that translates sentences as `RIGHT` says; where both are as good, both are right."""
    good = [RIGHT.get(i, "....")[seed] in (".", "+" if arm == "up" else "-") for i in range(PAIRS)]
    rows = [{"id": i, "exact_match": [int(one), 1], "nll": [1.5, 3]} for i, one in enumerate(good)]
    metrics = {"test/exact_match": sum(good) / PAIRS, "test/nll": 0.5, "test/ece": 0.1}
    run = FakeRun(metrics, outputs=f"{arm} {seed}", losses=arm)
    return run.with_(sentences={"test": rows}, data=data)


@pytest.fixture
def directory(tmp_path: Path, corpus: Corpus, cache: Path) -> Path:
    return told(tmp_path / "runs", corpus, cache)


def told(runs: Path, corpus: Corpus, cache: Path, **changes: Any) -> Path:
    shutil.copytree(cache, runs / ".cache")
    wanted = {arm: [fake(arm, seed, corpus.sha256) for seed in range(SEEDS)] for arm in ("none", "up")}
    found = write(runs, plan(**changes), wanted)
    for arm in wanted:
        for seed in range(SEEDS):
            texts = [(i, f"{arm} said {i} with seed {seed} [red] \x1b[2J") for i in range(PAIRS)]
            RunDirectory(found / arm / f"seed-{seed}").write_translations("test", texts)
    return found


def call(*arguments: Any) -> Result:
    env = {"COLUMNS": "200", "TERM": "dumb", "GITHUB_ACTIONS": None, "FORCE_COLOR": None}
    return CliRunner().invoke(app, ["explain", *map(str, arguments)], env=env)


def test_sentences_are_counted_shown_and_set_beside_luck(directory: Path, corpus: Corpus) -> None:
    result = call(directory, "up", "--no-attention")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "fake",
        "[b]Up[/b] against none, sentence by sentence on test/exact_match (higher is",
        "better)",
    ]
    assert "4 seeds, 12 sentences" in lines
    # Of all 16 ways to swap the names, one lets sentence 5 be won in all seeds, and another sentence 2.
    assert "1 won in at least 4 of 4 seeds (luck alone: as many in 12.5 % of cases)" in lines
    assert "0 lost in at least 4 of 4 seeds (luck alone: as many in 100.0 % of cases)" in lines
    assert "luck alone gives 0.1 of either on average" in lines
    data = corpus.splits["test"]
    shown = " ".join(result.stdout.split())
    assert "sentence 5: won in 4 of 4 seeds, lost in 0 seed 0: test/exact_match 1 against 0" in shown
    assert f"source {data.sources[5]} reference {data.references[5]}" in shown
    assert "[b]Up[/b] up said 5 with seed 0 [red] [2J none none said 5 with seed 0 [red] [2J" in shown
    assert shown.index("sentence 5:") < shown.index("sentence 7: won in 3 of 4 seeds, lost in 0")
    assert shown.index("where it loses") < shown.index("sentence 2: won in 1 of 4 seeds, lost in 3")
    assert "sentence 9" not in shown and "sentence 0:" not in shown, "neither won nor lost"
    assert all(len(line) <= 80 for line in lines) and "\x1b" not in result.stdout


def test_the_seed_shown_is_one_where_it_wins_or_loses(directory: Path) -> None:
    document = json.loads(call(directory, "up", "--json", "--no-attention").stdout)
    assert [(e["id"], e["won"], e["lost"], e["seed"]) for e in document["won"]] == [
        (5, 4, 0, 0),
        (7, 3, 0, 0),
    ]
    assert [(e["id"], e["won"], e["lost"], e["seed"]) for e in document["lost"]] == [(2, 1, 3, 0)]
    assert document["lost"][0]["own_score"] == 0 and document["lost"][0]["baseline_score"] == 1
    assert document["luck"] == {
        "won": 1,
        "lost": 0,
        "expected": 2 / 16,
        "as_many_won": 2 / 16,
        "as_many_lost": 1.0,
    }
    assert document["attention"] == [] and document["seeds"] == [0, 1, 2, 3]


def test_seeds_that_are_not_there_are_counted(directory: Path) -> None:
    shutil.rmtree(directory / "up/seed-3")
    assert "3 of 4 planned seeds, 12 sentences" in call(directory, "up", "--no-attention").stdout


def test_tags_and_lengths_hold_the_sentences_that_have_them(directory: Path, corpus: Corpus) -> None:
    document = json.loads(call(directory, "up", "--json", "--no-attention").stdout)
    data = corpus.splits["test"]
    gains = {i: [{"+": 1, "-": -1, ".": 0}[x] for x in RIGHT.get(i, "....")] for i in range(PAIRS)}

    def check(group: dict[str, Any], ids: list[int]) -> None:
        cells = [gain for i in ids for gain in gains[i]]
        net = [sum(gains[i][seed] for i in ids) for seed in range(SEEDS)]
        assert group["sentences"] == len(ids)
        assert group["won"] == pytest.approx(cells.count(1) / len(cells))
        assert group["lost"] == pytest.approx(cells.count(-1) / len(cells))
        assert (group["seeds_for"], group["seeds_against"]) == (
            sum(n > 0 for n in net),
            sum(n < 0 for n in net),
        )

    assert data.tags is not None
    of = [{corpus.tags[tag] for tag in row} - {"end"} for row in data.tags.rows()]
    assert [g["name"] for g in document["tags"]] == [
        tag for tag in corpus.tags if any(tag in tags for tags in of)
    ]
    for group in document["tags"]:
        check(group, [i for i in range(PAIRS) if group["name"] in of[i]])
    bins = {"1-5": (1, 5), "6-10": (6, 10), "11-20": (11, 20), "21+": (21, 999)}
    for group in document["lengths"]:
        low, high = bins[group["name"]]
        check(group, [i for i, line in enumerate(data.sources) if low <= len(line.split()) <= high])
    assert sum(group["sentences"] for group in document["lengths"]) == PAIRS


def test_only_some_sentences_can_be_asked_for(directory: Path, corpus: Corpus) -> None:
    data = corpus.splits["test"]
    of_five = next(iter({corpus.tags[tag] for tag in data.tags[5].tolist()} - {"end"}))  # type: ignore[index]
    ids = [i for i, row in enumerate(data.tags.rows()) if corpus.tags.index(of_five) in row]  # type: ignore[union-attr]
    document = json.loads(call(directory, "up", "--tag", of_five, "--json", "--no-attention").stdout)
    assert document["only"] == f"tag:{of_five}" and document["sentences"] == len(ids)
    assert document["won"][0]["id"] == 5
    missing = call(directory, "up", "--tag", "nuon")
    assert missing.exit_code == 2 and "--tag: no tag 'nuon'; did you mean 'noun'?" in missing.stderr
    wrong = call(directory, "up", "--length", "6-11")
    assert wrong.exit_code == 2 and "--length: no length '6-11'" in wrong.stderr


def test_another_baseline_turns_it_round(directory: Path) -> None:
    document = json.loads(call(directory, "none", "--baseline", "up", "--json", "--no-attention").stdout)
    assert [e["id"] for e in document["won"]] == [2] and [e["id"] for e in document["lost"]] == [5, 7]


def test_another_metric_judges_by_its_own_numbers(directory: Path) -> None:
    document = json.loads(call(directory, "up", "--metric", "test/nll", "--json", "--no-attention").stdout)
    assert document["metric"] == "test/nll" and document["won"] == document["lost"] == []
    shown = call(directory, "up", "--metric", "test/nll").stdout
    assert "(lower is better)" in shown.replace("\n", " ") and shown.count("   no sentence") == 2


def test_without_checkpoints_only_the_pictures_are_missing(directory: Path) -> None:
    result = call(directory, "up")
    assert result.exit_code == 0 and "where it wins" in result.stdout
    assert (
        result.stderr.startswith("warning: no pictures of attention: ") and "is not finished" in result.stderr
    )


def test_a_compared_metric_without_sentences_gives_way(tmp_path: Path, corpus: Corpus, cache: Path) -> None:
    found = told(tmp_path / "runs", corpus, cache, metric="test/ece")
    document = json.loads(call(found, "up", "--json", "--no-attention").stdout)
    assert document["metric"] == "test/exact_match"
    asked = call(found, "up", "--metric", "test/ece")
    assert asked.exit_code == 2
    assert "single sentences have no ece; choose --metric among test/exact_match, test/nll" in asked.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["upp"], 2, "no arm named 'upp'; did you mean 'up'?"),
        (["none"], 2, "none is the baseline itself"),
        (["up", "--metric", "nll"], 2, "--metric should be split/metric, such as test/nll"),
        (["up", "--split", "a/b"], 2, "--split should name a split"),
        (["up", "--split", "valid"], 2, "no run has measured the metric 'valid/exact_match'"),
    ],
)
def test_mistakes_are_explained(directory: Path, arguments: list[str], code: int, message: str) -> None:
    result = call(directory, *arguments)
    assert result.exit_code == code and message in result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr


def test_older_runs_are_named_with_what_to_do(directory: Path) -> None:
    for seed in (1, 3):
        shutil.rmtree(directory / "none" / f"seed-{seed}" / "sentences")
    result = call(directory, "up")
    assert result.exit_code == 5 and result.stdout == ""
    assert (
        f"single sentences for test/exact_match are not there in {directory}/none/seed-1 and 1 more"
        in result.stderr
    )
    assert "another --runs-dir" in result.stderr


def test_numbers_of_something_else_are_refused(directory: Path) -> None:
    file = directory / "up" / "seed-2" / "sentences" / "test.jsonl"
    text = file.read_text(encoding="utf-8")
    assert '"exact_match": [0, 1]' in text
    file.write_text(text.replace('"exact_match": [0, 1]', '"exact_match": [1, 1]'), encoding="utf-8")
    result = call(directory, "up")
    assert result.exit_code == 5 and "up, seed 2" in result.stderr and "do not add up" in result.stderr


def test_damaged_translations_are_named(directory: Path) -> None:
    file = directory / "up" / "seed-0" / "translations" / "test.jsonl"
    file.write_text('{"id": 5}\n', encoding="utf-8")
    result = call(directory, "up")
    assert result.exit_code == 5 and f"{file} is damaged" in result.stderr


def test_another_corpus_is_refused(directory: Path) -> None:
    for path in directory.glob("*/seed-*/run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["identity"]["data_sha256"] = "f" * 64
        path.write_text(json.dumps(record), encoding="utf-8")
    result = call(directory, "up")
    assert result.exit_code == 5 and "the corpus toydeen is not the one that the runs" in result.stderr


def test_nothing_finished_is_said(tmp_path: Path) -> None:
    found = write(tmp_path / "runs", plan(), {})
    result = call(found, "up")
    assert result.exit_code == 2 and "no seed of both up and none is finished" in result.stderr


def test_one_of_several_panels_must_be_named(tmp_path: Path) -> None:
    wanted = plan()
    panels = tuple(with_(wanted.panels[0], name=name) for name in ("first", "second"))
    found = write(tmp_path / "runs", with_(wanted, panels=panels), {})
    result = call(found, "up")
    assert result.exit_code == 2 and "several panels (first, second)" in result.stderr
    assert str(found / "first") in result.stderr


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom maskbench.cli.main import app\n"
        "try: app(['explain', '--help'])\nfinally: assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


REAL = """
name: real
seeds: 2
baseline: none
corpus: {name: copy, pairs: 60, valid: 9, test: 20, symbols: 10, max_length: 6}
model: {d_model: 12, n_heads: 3, d_ff: 20, encoder_layers: 1, decoder_layers: 2}
train: {steps: 12, batch_tokens: 96, warmup_steps: 3, valid_every: 6, save_every: 6, lr: 0.01}
evaluate: {splits: [test], metrics: [nll], masks: [own, none]}
compare: {metric: test@none/nll}
arms:
  none: []
  near: [{site: cross, mask: diagonal, width: 0}]
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "real.yaml").write_text(REAL, encoding="utf-8")
    wanted = load_experiment(folder / "real.yaml")
    here = ExperimentDirectory(folder / "runs" / "real")
    here.write_experiment(dump_resolved(wanted))
    for arm, seed in product(wanted.panels[0].arms, wanted.seeds):
        job = RunJob(
            "real", None, arm.name, seed, arm.config, here.run(arm.name, seed).path, folder / "runs/.cache"
        )
        train_run(job, lambda progress: None)
    return here.path


def test_finished_runs_show_where_both_models_look(real: Path) -> None:
    document = json.loads(call(real, "near", "--split", "test", "--json").stdout)
    top = (document["won"] or document["lost"])[0]
    own, baseline = document["attention"]
    source = [*top["source"].split(), "</s>"]
    for picture in (own, baseline):
        assert picture["words"] == source, "copied"
        assert picture["sources"] == source
        assert all(sum(row) == pytest.approx(1) for row in picture["weights"])
    assert all(max(row) == 1 for row in own["weights"]), "one key a query"
    assert all(0 < max(row) < 1 for row in baseline["weights"])
    assert top["own"] is None, "nothing was translated"


def test_masks_that_were_lent_are_lent_again(real: Path) -> None:
    document = json.loads(call(real, "near", "--json").stdout)
    assert document["metric"] == "test@none/nll"
    assert all(max(row) < 1 for row in document["attention"][0]["weights"])


def test_pictures_fit_into_eighty_columns(real: Path) -> None:
    result = call(real, "near", "--split", "test")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "(no translations: no metric of this split asked for them)" in result.stdout
    picture = result.stdout.partition("cross attention in sentence")[2].splitlines()
    assert "last decoder layer, mean of its heads" in " ".join(picture)
    assert picture[-1] == "share of a word's attention, from: ░ 5%  ▒ 20%  ▓ 40%  █ 70%   · less"
    assert any("██" in line for line in picture)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_a_terminal_without_unicode_gets_ascii(real: Path) -> None:
    done = CliRunner(charset="ascii").invoke(app, ["explain", str(real), "near", "--split", "test"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "from: - 5%  + 20%  * 40%  # 70%   . less" in done.stdout


def test_forced_words_show_where_the_gain_lies(real: Path) -> None:
    document = json.loads(call(real, "near", "--split", "test", "--json").stdout)
    examples = [*document["won"], *document["lost"]]
    assert [(one["sentence"], one["seed"]) for one in document["forced_words"]] == [
        (one["id"], one["seed"]) for one in examples
    ]
    for example, forced in zip(examples, document["forced_words"], strict=True):
        assert [word["reference"] for word in forced["words"]] == [*example["reference"].split(), "</s>"]
        for side in ("own", "baseline"):
            nats = [-math.log(word[f"{side}_probability"]) for word in forced["words"]]
            assert sum(nats) / len(nats) == pytest.approx(example[f"{side}_score"], rel=1e-3)
    text = call(real, "near", "--split", "test", "--count", "1").stdout
    assert "there are no translations; the scores come from the reference's words" in " ".join(text.split())
    word = document["forced_words"][0]["words"][0]
    gain = f"{100 * (word['own_probability'] - word['baseline_probability']):+.1f}"
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == [word["reference"]])
    assert row[0] == word["reference"] and row[-1] == gain
