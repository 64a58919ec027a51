"""`maskbench compare` as users call it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import experiment, scored, write
from typer.testing import CliRunner, Result

import maskbench
from maskbench.cli.main import app

ARMS = {"none": 0.0, "up": 0.02, "down": -0.02}
# No two alike, because runs of different seeds never are.
BASE = (0.90, 0.9100001, 0.8900002, 0.9200003, 0.9000004, 0.8800005)


def fake_experiment(root: Path, name: str = "fake") -> Path:
    runs = {arm: [scored(score + gain) for score in BASE] for arm, gain in (("none", 0.0), ("up", 0.02))}
    return write(root, experiment(["none", "up"], 6, name=name), runs)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return fake_experiment(tmp_path / "runs")


def call(*arguments: str | Path) -> Result:
    env = {"COLUMNS": "100", "TERM": "dumb", "GITHUB_ACTIONS": None, "FORCE_COLOR": None}
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


def real(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Call the program in a process of its own."""
    command = [sys.executable, "-m", "maskbench.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **env}, timeout=60, check=False)


def test_a_directory_gives_its_table(directory: Path) -> None:
    result = call("compare", directory)
    assert result.exit_code == 0
    assert re.search(r"^up .*▲ better", result.stdout, re.MULTILINE)
    assert result.stderr == ""


def test_without_a_directory_it_takes_the_newest_experiment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = fake_experiment(directory.parent, "newer")
    os.utime(newer / "experiment.yaml", (2**32, 2**32))
    monkeypatch.chdir(directory.parent.parent)
    assert call("compare").stdout.splitlines()[0] == "newer"
    assert call("compare", "--runs-dir", directory.parent).stdout.splitlines()[0] == "newer"


def test_several_directories_give_several_tables(directory: Path) -> None:
    other = fake_experiment(directory.parent, "other")
    found = json.loads(call("compare", directory, other, "--format", "json").stdout)
    assert [panel["experiment"] for panel in found["panels"]] == ["fake", "other"]
    assert found["experiment"] is None


def test_json_is_one_document_and_nothing_else(directory: Path) -> None:
    result = call("compare", directory, "--format", "json")
    assert json.loads(result.stdout)["arms"][1]["verdict"] == "better"
    assert result.stderr == ""


def test_choices_reach_the_table(directory: Path) -> None:
    options = ("--metric", "test/nll", "--baseline", "up", "--alpha", "0.1", "--min-effect", "0.5")
    found = json.loads(call("compare", directory, *options, "-f", "json").stdout)
    assert [found[key] for key in ("metric", "baseline", "alpha", "min_effect")] == [
        "test/nll",
        "up",
        0.1,
        0.5,
    ]
    assert len(found["warnings"]) == 4


FORMS = {"json": ".json", "table": ".txt", "csv": ".csv", "markdown": ".md", "latex": ".tex"}


@pytest.mark.parametrize("form", FORMS)
def test_output_goes_to_a_file(directory: Path, tmp_path: Path, form: str) -> None:
    printed = call("compare", directory, "--format", form)
    result = call("compare", directory, "--format", form, "--output", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "out").read_bytes() == printed.stdout_bytes


@pytest.mark.parametrize(("form", "suffix"), [*FORMS.items(), ("json", ".JSON"), ("table", "")])
def test_the_suffix_names_the_format_unless_it_is_given(
    directory: Path, tmp_path: Path, form: str, suffix: str
) -> None:
    call("compare", directory, "--output", tmp_path / f"out{suffix}")
    assert (tmp_path / f"out{suffix}").read_bytes() == call("compare", directory, "-f", form).stdout_bytes
    call("compare", directory, "-f", "csv", "-o", tmp_path / f"csv{suffix}")
    assert (tmp_path / f"csv{suffix}").read_text().startswith("experiment,panel,")


@pytest.mark.parametrize("form", FORMS)
def test_every_format_has_every_experiment(directory: Path, form: str) -> None:
    other = fake_experiment(directory.parent, "other")
    shown = call("compare", directory, other, "--format", form).stdout
    assert shown.index("fake") < shown.index("other")
    assert shown.count("better") >= 2


@pytest.mark.parametrize("form", FORMS)
def test_arms_are_sorted_in_every_format(tmp_path: Path, form: str) -> None:
    gains = {"none": 0.0, "small": 0.01, "large": 0.03}
    runs = {arm: [scored(score + gain) for score in BASE] for arm, gain in gains.items()}
    directory = write(tmp_path, experiment(list(runs), 6), runs)
    shown = call("compare", directory, "--sort-by", "difference", "-f", form).stdout
    # The headline is sorted by itself, so the table below it is what is looked at.
    assert shown.rindex("large") < shown.rindex("small")
    unsorted = call("compare", directory, "-f", form).stdout
    assert unsorted.rindex("large") > unsorted.rindex("small")


@pytest.mark.parametrize("form", FORMS)
def test_a_demand_that_is_not_met_exits_6_after_the_table(directory: Path, form: str) -> None:
    result = call("compare", directory, "-f", form, "--fail-unless", "up worse", "--fail-unless", "up better")
    assert result.exit_code == 6
    assert result.stdout == call("compare", directory, "-f", form).stdout
    assert result.stderr.startswith("not met: 'up worse' in fake: up is better than none by 2.0 points [")
    assert len(result.stderr.splitlines()) == 1


def test_demands_that_are_met_change_nothing(directory: Path) -> None:
    result = call(
        "compare", directory, "--fail-unless", "up better", "--fail-unless", "up not worse|identical"
    )
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_demand_that_names_nothing_exits_2_before_anything_is_written(
    directory: Path, tmp_path: Path
) -> None:
    result = call("compare", directory, "-o", tmp_path / "out.csv", "--fail-unless", "upp better")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no arm named 'upp'; did you mean 'up'?" in result.stderr
    assert not (tmp_path / "out.csv").exists()


def test_joint_intervals_are_wider_and_said_to_be(tmp_path: Path) -> None:
    runs = {
        arm: [scored(s + g * (1 + i / 7)) for i, s in enumerate((*BASE, *BASE))] for arm, g in ARMS.items()
    }
    directory = write(tmp_path, experiment(list(runs), 12), runs)
    alone, joint = (call("compare", directory, *more).stdout for more in ((), ("--simultaneous",)))
    low, high = (
        json.loads(call("compare", directory, "-f", "json", *m).stdout)["arms"][1]["difference"]["low"]
        for m in ((), ("--simultaneous",))
    )
    assert high < low
    assert "each for itself, before correction" in " ".join(alone.split())
    assert "wide enough for all arms to hold together" in " ".join(joint.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "no such directory: missing"),
        (["--runs-dir", "missing"], "`maskbench run FILE`"),
        (["runs/fake", "--baseline", "nonne"], "did you mean 'none'"),
        (["runs/fake", "--metric", "test/bleuu"], "did you mean 'test/bleu'"),
        (["runs/fake", "--alpha", "7"], "--alpha must lie between 0 and 1"),
        (["runs/fake", "--format", "yaml"], "'yaml' is not one of"),
        (["runs/fake/none/seed-0"], "compare the whole: maskbench compare"),
    ],
)
def test_bad_usage_exits_2_with_a_message_and_no_traceback(
    directory: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(directory.parent.parent)
    result = call("compare", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
    assert "Traceback" not in result.stderr


def test_an_unwritable_output_exits_4(directory: Path) -> None:
    result = call("compare", directory, "--output", directory / "experiment.yaml" / "out")
    assert result.exit_code == 4
    assert "cannot write" in result.stderr


def test_a_hostile_directory_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    result = call("compare", tmp_path / "\x1b[2Jgone")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_shown(option: str) -> None:
    assert call(option).stdout == f"maskbench {maskbench.__version__}\n"


def test_no_command_shows_the_help() -> None:
    result = call()
    assert "compare" in result.output and "run" in result.output


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_option(option: str) -> None:
    shown = call("compare", option).stdout
    for name in ("--metric", "--baseline", "--alpha", "--min-effect", "--format", "--output", "--runs-dir"):
        assert name in shown


class TestInAProcessOfItsOwn:
    def test_a_closed_pipe_is_no_error(self, directory: Path) -> None:
        # The reader leaves at once, so writing fails; the shell reports the writer's exit code.
        script = f"set -o pipefail; {sys.executable} -m maskbench.cli compare {directory} | true"
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")

    def test_a_console_of_an_old_code_page_gets_ascii(self, directory: Path) -> None:
        done = real("compare", directory, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"^ better" in done.stdout

    @pytest.mark.parametrize(
        "arguments", [["--help"], ["--version"], ["compare", "--help"], ["compare", "{dir}"]]
    )
    def test_torch_is_never_imported(self, directory: Path, arguments: list[str]) -> None:
        code = (
            "import sys\n"
            "from maskbench.cli.main import app\n"
            "app(sys.argv[1:], standalone_mode=False)\n"
            "print(sorted({'torch', 'tokenizers', 'sacrebleu', 'click'} & set(sys.modules)), file=sys.stderr)"
        )
        filled = [argument.format(dir=directory) for argument in arguments]
        done = subprocess.run(
            [sys.executable, "-c", code, *filled], capture_output=True, timeout=60, check=False
        )
        assert done.stderr.decode().strip() == "[]"
