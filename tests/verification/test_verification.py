"""Finished runs checked and trained again: what is intact passes, and one changed byte is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from test_end_to_end import Only
from test_end_to_end import train as train_experiment
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.errors import ConfigError
from maskbench.executors import Listener, Resources, Task, TaskEnd
from maskbench.runs.identity import hash_identity_keys
from maskbench.training.evaluate import outputs_sha256
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run
from maskbench.verification.finished_runs import choose_by_hash, find_by_name, find_runs
from maskbench.verification.hashes import HashReport, check_hashes
from maskbench.verification.replay import ReplayResult, replay

ARMS = ("none", "dynamic")
RUNS = [f"{arm}/seed-{seed}" for arm in ARMS for seed in (0, 1)]


class Inline:
    """An executor that trains in this process."""

    def warm_up(self) -> None: ...

    def count_workers(self, resources: Resources) -> int:
        return 1

    def execute(self, target: Any, tasks: Sequence[Task[RunJob]], listener: Listener[Any, Any]) -> int | None:
        for task in tasks:
            listener.started(task)
            train_run(task.payload, lambda progress: None)
            listener.ended(task, TaskEnd("finished"))
        return None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms with two seeds each; never changed."""
    directory = tmp_path_factory.mktemp("trained")
    train_experiment(directory, Only(1), arms=ARMS)
    return directory / "runs" / "tiny"


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged, alone: the runs' own cache of the corpus is not beside it."""
    return Path(shutil.copytree(trained, tmp_path / "tiny"))


def check(directory: Path, tmp_path: Path) -> HashReport:
    return check_hashes(find_runs(directory).cells, tmp_path / "cache")


def again(directory: Path, tmp_path: Path, name: str = "dynamic/seed-1") -> ReplayResult:
    cell = find_by_name(find_runs(directory).cells, name)
    (one,), signum = replay([cell], tmp_path / "again", tmp_path / "cache", Inline())
    assert signum is None
    return one


def snapshot(directory: Path) -> dict[str, tuple[int, str]]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_intact_runs_have_every_hash_right_and_nothing_is_written(directory: Path, tmp_path: Path) -> None:
    before = snapshot(directory)
    found = check(directory, tmp_path)
    assert (found.wrong, found.unchecked) == ([], [])
    checkpoints = len(list(directory.glob("*/seed-*/checkpoints/step-*")))
    # Of each run: identity, translations, losses, corpus; of each checkpoint three files.
    assert checkpoints >= 8 and found.right == 4 * 4 + 3 * checkpoints
    assert snapshot(directory) == before


def flip(name: str, at: float) -> Callable[[Path], object]:
    """Return what changes one bit in a file of a run, `at` of the way through it."""

    def damage(run: Path) -> None:
        path = sorted(run.glob(name))[-1]
        data = bytearray(path.read_bytes())
        data[int(at * (len(data) - 1))] ^= 1
        path.write_bytes(bytes(data))

    return damage


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return damage


def other_score(run: Path) -> None:
    edit(run / "result.json", lambda result: result["metrics"].update({"test/nll": 0.125}))


def other_logged_score(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert "test/nll" in last
    lines[-1] = json.dumps({**last, "test/nll": 0.125})
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def other_loss(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    lines[0] = json.dumps({**first, "train/nll": first["train/nll"] + 1e-9})
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def other_corpus(run: Path) -> None:
    def change(record: Any) -> None:
        record["identity"]["data_sha256"] = "0" * 64
        record["hash"] = hash_identity_keys(record["identity"])

    edit(run / "run.json", change)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        *[(flip("checkpoints/step-*/model.safetensors", at), "differs from its checksum") for at in (0, 0.5, 1)],
        (flip("checkpoints/step-*/optimizer.safetensors", 0.3), "differs from its checksum"),
        (flip("checkpoints/step-*/state.json", 0.5), "differs from its checksum"),
        (flip("checkpoints/step-*/manifest.json", 0.9), "differs from its checksum"),
        (replaced("translations/test.jsonl", '"hypothesis": "', '"hypothesis": "w'), "not the translations"),
        (lambda run: (run / "translations/test.jsonl").unlink(), "not the translations"),
        (other_loss, "not the training losses"),
        (lambda run: (run / "metrics.jsonl").unlink(), "not the training losses"),
        (other_score, "test/nll is 0.125, and "),
        (other_logged_score, "and 0.125 was logged"),
        (replaced("run.json", '"warmup_steps": 4', '"warmup_steps": 5'), "not those its hash"),
        (other_corpus, "is another one when it is built again"),
        (lambda run: (run / "run.json").unlink(), "run.json is missing"),
        (lambda run: (run / "run.json").write_text("{}"), "'identity' is missing"),
        (lambda run: (run / "checkpoints/best.json").unlink(), "selected checkpoint, step None"),
        (replaced("result.json", '"train_nll_sha256"', '"train_sha256"'), "'train_nll_sha256' is missing"),
        (lambda run: (run / "result.json").write_text("{"), "result.json is damaged"),
        (lambda run: (run / "status.json").write_text("["), "status.json is damaged"),
        (lambda run: (run / "checkpoints/best.json").write_text("["), "best.json is damaged"),
    ],
)  # fmt: skip
def test_one_changed_byte_is_found_and_its_place_is_named(
    directory: Path, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(directory / "dynamic" / "seed-1")
    wrong = check(directory, tmp_path).wrong
    assert any(said in sentence for sentence in wrong), wrong
    assert all("dynamic/seed-1" in sentence for sentence in wrong), wrong


def test_a_corpus_that_cannot_be_built_here_is_said_to_be_unchecked(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise ConfigError("its file is gone")

    monkeypatch.setattr("maskbench.verification.hashes.load_corpus", lost)
    found = check(directory, tmp_path)
    assert found.unchecked == ["the corpus copy cannot be built here: its file is gone"] and not found.wrong


def test_a_run_trained_again_is_the_same_in_every_byte_and_leaves_nothing_behind(
    directory: Path, tmp_path: Path
) -> None:
    before = snapshot(directory)
    one = again(directory, tmp_path)
    assert one.is_identical and one.changes == ()
    assert snapshot(directory) == before
    assert not list((tmp_path / "again").glob("*/*/*"))


def test_a_forgery_whose_hashes_were_made_to_fit_is_found_by_the_replay(
    directory: Path, tmp_path: Path
) -> None:
    run = directory / "dynamic" / "seed-1"
    rows = [json.loads(line) for line in (run / "translations/test.jsonl").read_text().splitlines()]
    rows[4]["hypothesis"] += " forged"
    (run / "translations/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    digest = outputs_sha256({"test": [(row["id"], row["hypothesis"]) for row in rows]})
    edit(run / "result.json", lambda result: result.update(outputs_sha256=digest))
    edit(run / "run.json", lambda record: record["versions"].update(torch="1.13.0"))
    assert check(directory, tmp_path).wrong == []
    one = again(directory, tmp_path)
    (difference,) = one.differences
    assert difference.startswith("translations/test.jsonl differs from line 5 on: ")
    assert "forged" in difference.partition(" here")[0] and "forged" not in difference.partition(" here")[2]
    assert one.changes[0].startswith("torch 1.13.0 -> ")


def test_weights_that_were_changed_are_named_with_how_much(directory: Path, tmp_path: Path) -> None:
    run = directory / "none" / "seed-0"
    for path in (run / "checkpoints").glob("step-*/model.safetensors"):
        weights = load_file(path)
        name = sorted(weights)[0]
        weights[name] += 0.25
        save_file(weights, path)
        manifest = path.parent / "manifest.json"
        digest, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size

        def change(found: Any, digest: str = digest, size: int = size) -> None:
            found["files"]["model.safetensors"] = {"size": size, "sha256": digest}

        edit(manifest, change)
    assert check(directory, tmp_path).wrong == []
    one = again(directory, tmp_path, "none/seed-0")
    assert one.differences
    assert all(
        "differ in 1 of " in sentence and f"first {name}, by at most 0.25" in sentence
        for sentence in one.differences
    )


def test_the_choice_follows_from_the_results_and_from_nothing_else(directory: Path) -> None:
    cells = find_runs(directory).cells
    first = choose_by_hash(cells)
    assert first is not None and first.name in RUNS
    assert choose_by_hash(cells[::-1]) == first
    seen = set()
    for number in range(20):
        for name in RUNS:
            edit(directory / name / "result.json", lambda r, n=number: r.update(train_nll_sha256=str(n)))
        one = choose_by_hash(cells)
        seen.add(one and one.name)
    assert seen == set(RUNS)


def test_runs_of_another_version_are_not_chosen(directory: Path) -> None:
    for name in RUNS[1:]:
        edit(directory / name / "run.json", lambda record: record["identity"].update(results_version=0))
    cells = find_runs(directory).cells
    one = choose_by_hash(cells)
    assert one is not None and one.name == RUNS[0]
    assert choose_by_hash(cells[1:]) is None


def verify(*arguments: object) -> Result:
    environment = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], env=environment)


def test_the_command_replays_one_run_in_a_process_of_its_own_and_exits_with_0(directory: Path) -> None:
    result = verify(directory)
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0]
    right = int(first.split("; ")[1].split()[0])
    assert first == f"1 of 4 runs replayed, identical; {right} hashes right" and right > 30
    assert "the same bytes" in result.stdout and "replaying " in result.stderr


def test_the_command_exits_with_3_and_names_what_is_wrong(directory: Path) -> None:
    other_score(directory / "none/seed-0")
    edit(directory / "none/seed-1/status.json", lambda status: status.update(state="failed"))
    (directory / "none/seed-1/result.json").unlink()
    edit(directory / "dynamic/seed-0/run.json", lambda record: record["identity"].update(results_version=0))
    result = verify(directory, "--hashes-only")
    assert result.exit_code == 3
    first, *lines = result.stdout.splitlines()
    assert first.startswith("0 of 3 runs replayed; ") and first.endswith(
        f"{len([x for x in lines if x.startswith('wrong')])} wrong"
    )
    assert any(line.startswith("wrong: ") and "test/nll is 0.125" in line for line in lines)
    assert any("1 of 3 runs were made by a version" in line and "dynamic/seed-0" in line for line in lines)
    assert "left alone: 1 unfinished, for example none/seed-1" in lines


def test_damaged_files_do_not_keep_the_command_from_saying_what_else_is_wrong(directory: Path) -> None:
    for name in RUNS:
        (directory / name / "run.json").write_text("{")
    (directory / "none/seed-0/status.json").write_text("[")
    (directory / "none/seed-1/result.json").write_text('{"cost": 3}')
    result = verify(directory)
    assert result.exit_code == 3 and "Traceback" not in result.output
    for name in RUNS:
        assert (
            sum(
                "wrong: " in line and f"{name}/run.json is damaged" in line
                for line in result.stdout.splitlines()
            )
            == 1
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cell", "none/seed-7"], "no finished run is called 'none/seed-7'"),
        (["--all", "--hashes-only"], "exclude each other"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_sentence(
    trained: Path, options: list[str], said: str
) -> None:
    result = verify(trained, *options)
    assert result.exit_code == 2 and said in result.stderr and "Traceback" not in result.stderr


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    assert verify(tmp_path).exit_code == 2


def test_sentences_that_do_not_add_up_are_wrong_and_missing_ones_are_said(
    directory: Path, tmp_path: Path
) -> None:
    file = directory / RUNS[0] / "sentences" / "test.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["nll"][0] += 0.5
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.rmtree(directory / RUNS[1] / "sentences")
    found = check(directory, tmp_path)
    assert len(found.wrong) == 1 and f"{file}: its sentences do not add up to test/nll" in found.wrong[0]
    assert found.unchecked == [f"{directory / RUNS[1]}/sentences/test.jsonl is not there"]


def test_the_value_of_the_selected_checkpoint_is_held_against_what_was_logged(
    directory: Path, tmp_path: Path
) -> None:
    edit(directory / RUNS[2] / "checkpoints/best.json", lambda best: best.update(value=1.0))
    (wrong,) = check(directory, tmp_path).wrong
    assert "best.json: valid/nll is 1.0 at step" in wrong and "was logged" in wrong and "nothing" not in wrong


def test_what_was_never_logged_is_called_nothing(directory: Path, tmp_path: Path) -> None:
    (directory / RUNS[0] / "metrics.jsonl").write_bytes(b"")
    assert any(wrong.endswith("and nothing was logged") for wrong in check(directory, tmp_path).wrong)


def test_the_document_says_what_the_lines_say_and_names_folders_that_nobody_planned(directory: Path) -> None:
    shutil.copytree(directory / RUNS[0], directory / "none" / "seed-9")
    other_score(directory / RUNS[1])
    result = verify(directory, "--hashes-only", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 3
    assert document["runs"] == RUNS and document["replayed"] == document["unfinished"] == []
    assert any("test/nll is 0.125" in wrong for wrong in document["hashes"]["wrong"])
    assert document["hashes"]["right"] > 30 and document["hashes"]["not_checked"] == []
    assert document["left_out"] == ["left out: none, seed 9, which experiment.yaml does not ask for"]
    assert document["left_out"][0] in verify(directory, "--hashes-only").stdout.splitlines()
