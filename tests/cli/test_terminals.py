"""What commands print on: no style with NO_COLOR, nothing where stdout is closed, help that breaks where it must."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import experiment, scored, write
from rich.text import Text
from typer.testing import CliRunner

from maskbench.cli.main import app
from maskbench.cli.terminal import console_on

CLI = Path(__file__).parents[2] / "cli"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wanted", "styled"), [("1", False), ("", True)])
def test_no_color_means_no_style_at_all(monkeypatch: pytest.MonkeyPatch, wanted: str, styled: bool) -> None:
    for name in ("GITHUB_ACTIONS", "CI", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", wanted)
    terminal = Terminal()
    console_on(terminal).print(
        Text("bold", style="bold"), Text("dim", style="dim italic"), Text("red", style="red")
    )
    assert ("\x1b" in terminal.getvalue()) is styled
    assert "bold" in terminal.getvalue()


def test_consoles_of_streams_are_made_in_one_place() -> None:
    makers = [path.name for path in CLI.rglob("*.py") if "Console(file=" in path.read_text(encoding="utf-8")]
    # The other one writes into a string, to make a file.
    assert sorted(makers) == ["render.py", "terminal.py"]


@pytest.mark.parametrize("command", ["compare", "status"])
def test_a_closed_stdout_is_no_error(tmp_path: Path, command: str) -> None:
    directory = write(tmp_path, experiment(["none", "up"], 2), {a: [scored(0.5)] * 2 for a in ("none", "up")})
    ended = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "maskbench.cli", command, str(directory)],
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["run", "tensorboard", "verify", "report"])
def test_help_breaks_lines_only_where_the_terminal_does(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400", "TERM": "dumb"})
    paragraphs = [row.strip() for row in result.stdout.split("Arguments")[0].splitlines()]
    assert all(row.endswith(".") for row in paragraphs if row and not row.startswith(("Usage", "╭", "+")))


def test_a_short_option_means_one_thing() -> None:
    assert "-n" in CliRunner().invoke(app, ["run", "--help"]).stdout
    result = CliRunner().invoke(app, ["explain", "runs", "arm", "-n", "3"])
    assert result.exit_code == 2 and "No such option" in result.stderr
