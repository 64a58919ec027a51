"""Hostile text in messages: progress on stderr, errors, `status`, `plan`, `claims`, `explain` and `corpus`."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from hostile import EVERYTHING, HOSTILE, is_harmful, shows, title, write_hostile
from rich.console import Console
from rich.live import Live
from typer.testing import CliRunner

from maskbench.cli.error_handling import handle_errors
from maskbench.cli.main import app
from maskbench.cli.progress.display import LiveDisplay, PlainLines, draw_progress
from maskbench.cli.progress.state import ProgressState
from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, RunConfig
from maskbench.errors import ConfigError, CorpusError, LeakError, MaskbenchError, ResourceError
from maskbench.experiment.plan import PlannedRun
from maskbench.experiment.progress_events import RunEnd
from maskbench.runs.directory import RunDirectory

each = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


@dataclass
class FakeProgress:
    """What the board reads of a progress message."""

    message: str
    state: str = "training"
    step: int = 1
    total_steps: int = 2
    loss: float | None = None
    tokens_per_second: float | None = None


def harmful(text: str) -> set[str]:
    return {c for c in set(text) - {"\n"} if is_harmful(c)}


def told_about(shown: Any, text: str) -> None:
    """Tell a reporter everything that could happen, each time with the text."""
    config = ArmConfig(name="arm", title=text, config=RunConfig(corpus=CorpusConfig(name="copy")))
    run = PlannedRun(None, config, 0, RunDirectory(Path("arm/seed-0")), "new")
    shown.planned([run], 1)
    shown.preparing(text)
    shown.downloading(text, 0, 10)
    shown.warned(text)
    shown.started(run)
    shown.progressed(run, FakeProgress(text))
    shown.ended(RunEnd(run, "failed", seconds=1.0, message=text))
    shown.tested(text)


@each
def test_plain_progress_is_one_line_for_each_thing_told(text: str) -> None:
    stream = io.StringIO()
    told_about(PlainLines(ProgressState(lambda: 0.0), stream), text)
    assert not harmful(stream.getvalue())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 8, "a message with line ends forged a line"
    for line in (*lines[1:4], *lines[5:]):
        assert shows(line, text)


@each
def test_a_live_board_holds_no_control_characters_of_a_file(text: str) -> None:
    console = Console(file=io.StringIO(), width=100, color_system=None, force_terminal=False, _environ={})
    board = ProgressState(lambda: 0.0)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        told_about(LiveDisplay(board, live), text)
    config = ArmConfig(name="arm", title=text, config=RunConfig(corpus=CorpusConfig(name="copy")))
    board.started(PlannedRun(None, config, 0, RunDirectory(Path("arm/seed-0")), "new"))
    console.print(draw_progress(board))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert not harmful(written)
    assert shows(written, f"warning: {text}")
    assert shows(written, f"failed: {text}")


@each
def test_an_error_says_the_text(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    kind: type[MaskbenchError]
    for kind in (ConfigError, CorpusError, LeakError, ResourceError):

        def fails(kind: type[MaskbenchError] = kind) -> None:
            raise kind(f"it failed: {text}")

        with pytest.raises(typer.Exit) as left:
            handle_errors(fails)()
        out, err = capfd.readouterr()
        assert (left.value.exit_code, out) == (kind.exit_code, "")
        assert err.startswith("error: it failed: ")
        assert not harmful(err)
        assert shows(err, text)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile(tmp_path_factory.mktemp("hostile"))


def said(*arguments: str) -> str:
    """Run a command in this process; return what it wrote to both streams."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not harmful(result.output), arguments
    return result.output


def test_status_names_arms_by_their_titles(directory: Path) -> None:
    shown = said("status", str(directory))
    assert not [text for text in HOSTILE.values() if not shows(shown, title(text)[:20])]


TWO_WAYS = [
    {
        "cost.json": json.dumps({"relative_step_time": {EVERYTHING: EVERYTHING}}),
        "plans.jsonl": json.dumps({"seeds": [EVERYTHING], "rule": EVERYTHING}) + "\n",
        "arm-1/seed-0/run.json": json.dumps({"arm": EVERYTHING, "seed": 0}),
        "arm-2/seed-0/status.json": json.dumps({"state": EVERYTHING}),
        "arm-3/seed-0/result.json": json.dumps({"metrics": {"test/exact_match": EVERYTHING}}),
        "none/seed-0/samples.jsonl": json.dumps({"step": EVERYTHING}) + "\n",
        "none/seed-0/metrics.jsonl": json.dumps({"step": 1, EVERYTHING: 1.0}) + "\n",
    },
    dict.fromkeys(
        ("cost.json", "plans.jsonl", "arm-1/seed-0/result.json", "none/seed-0/samples.jsonl"), "{no JSON\n"
    ),
]
"""What stands in files that are read: JSON with the wrong contents, and no JSON."""


@pytest.mark.parametrize("contents", TWO_WAYS, ids=["wrong", "damaged"])
def test_files_full_of_it_become_remarks(tmp_path: Path, contents: dict[str, str]) -> None:
    directory = write_hostile(tmp_path, seeds=2)
    for name, text in contents.items():
        (directory / name).write_text(text.replace("no JSON", EVERYTHING.encode(errors="replace").decode()))
    shown = said("compare", str(directory))
    assert "the cost measurement cannot be read" in shown
    assert "plans.jsonl cannot be read" in shown
    said("status", str(directory))
    said("report", str(directory), "--output", str(tmp_path / "page.html"))
    assert not harmful((tmp_path / "page.html").read_text(encoding="utf-8"))


def file_names() -> list[str]:
    """The strings that can be a folder's name."""
    names = [text.replace("/", "_").replace("\x00", "").replace("\ud800", "") for text in HOSTILE.values()]
    return [name for name in names if len(os.fsencode(name)) < 200]


def test_folders_with_such_names_are_named(tmp_path: Path) -> None:
    directory = write_hostile(tmp_path, seeds=2)
    for name in file_names():
        (directory / name / "seed-0").mkdir(parents=True)
    shown = said("compare", str(directory))
    assert not [name for name in file_names() if not shows(shown, f"left out: {name}")]
    said("status", str(directory))


@each
def test_a_directory_an_option_or_a_file_of_such_a_name_is_an_error_in_words(
    text: str, tmp_path: Path
) -> None:
    if "\x00" in text:
        return  # No command line can hold it.
    commands = [
        ("compare", f"./{text}"),
        ("status", f"./{text}"),
        ("report", f"./{text}"),
        ("tensorboard", f"./{text}", "--rebuild"),
        ("claims", f"./{text}"),
        ("compare", "--runs-dir", str(tmp_path), f"--metric={text}"),
    ]
    for command in commands:
        assert said(*command)


@each
def test_an_experiment_file_full_of_it_is_refused_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    quoted = json.dumps(text)
    file.write_text(
        f"name: {quoted}\nseeds: {quoted}\ncorpus: {{name: {quoted}}}\ncompare: {{metric: {quoted}}}\n{quoted}: 1\n"
        f"arms:\n  none: []\n  {quoted}: [{{site: {quoted}, mask: {quoted}, radius: {quoted}}}]\n"
        f"  b: {{title: {quoted}, masks: []}}\npanels: {{{quoted}: {{}}}}\n"
    )
    shown = said("plan", str(file), "--runs-dir", str(tmp_path), "--set", f"corpus.name={text}")
    assert "error" in shown
    assert not [line for line in shown.splitlines() if line.startswith(("[40/40]", "error: all is well"))]


def test_corpus_shows_lines_of_files_as_they_are(tmp_path: Path) -> None:
    lines = [" ".join(text.split()) for text in HOSTILE.values() if len(text) < 200]
    lines = [line.encode(errors="ignore").decode().replace("\x00", "") for line in lines]
    for split in ("train", "valid", "test"):
        for side in ("de", "en"):
            (tmp_path / f"{split}.{side}").write_text(
                "".join(f"{line}\n" for line in lines), encoding="utf-8"
            )
    options = [f"path={tmp_path}", "src=de", "tgt=en", "tokenizer=word"]
    shown = said("corpus", "files", *(part for o in options for part in ("--set", o)), "--samples", "50")
    for words in ("the [mask] sat", "<script>", "[2J[H[31mred", "{{ 7*7 }}"):
        assert words in shown
