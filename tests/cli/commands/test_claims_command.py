"""`maskbench claims` as users call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import experiment, scored, write
from typer.testing import CliRunner, Result

from maskbench.cli.main import app

ROOT = Path(__file__).parents[3]
BASE = (0.50, 0.51, 0.49, 0.52, 0.5001, 0.48)
CLAIM = "source: article 9, experiment: fake, metric: test/exact_match, expects: higher, min_effect: 0.01"
FILE = f"""claims:
  up-is-better: {{says: "Up is [bold]better[/bold].", arm: up, {CLAIM}}}
  down-is-better: {{says: "Down is better.", arm: down, {CLAIM}}}
  far-is-better: {{says: "Far \\e[31m is better.", arm: far, {CLAIM}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "claims.yaml").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finished(folder: Path) -> Path:
    gains = {"none": 0.0, "up": 0.05, "down": -0.05}
    rows = {arm: [scored(base + gain) for base in (*BASE, 0.53)] for arm, gain in gains.items()}
    write(folder / "runs", experiment(list(gains), 7), rows)
    return folder


def call(*arguments: str) -> Result:
    env = {"COLUMNS": "200", "TERM": "dumb", "GITHUB_ACTIONS": None, "FORCE_COLOR": None}
    return CliRunner().invoke(app, ["claims", *arguments], env=env)


def test_every_claim_has_its_state_in_a_word_and_what_it_rests_on(finished: Path) -> None:
    result = call("claims.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    up, down, far = result.stdout.rpartition("\n\n")[0].split("\n\n")
    assert up.splitlines() == [
        "supported  Up is [bold]better[/bold].",
        "           up-is-better: article 9",
        "           fake: up, test/exact_match higher, by 0.01",
        "           mean 55.4 ± 1.7 %, difference +5.0 [5.0, 5.0], p 0.031 (Holm), n 7",
        "           higher, as claimed",
    ]
    assert down.startswith("refuted    Down is better.") and down.endswith("lower, where the claim is higher")
    assert far.startswith("undecided  Far [31m is better.") and "without the arm far" in far
    assert result.stdout.endswith("\n1 supported, 1 refuted, 1 undecided\n")


def test_before_any_run_all_is_undecided_and_that_is_no_error(folder: Path) -> None:
    result = call("claims.yaml")
    assert result.exit_code == 0
    assert result.stdout.count("undecided  ") == 3 and result.stdout.count("not run yet") == 3


def test_runs_are_looked_for_where_the_option_says(finished: Path) -> None:
    (finished / "runs").rename(finished / "elsewhere")
    assert "0 supported" in call("claims.yaml").stdout
    assert "1 supported" in call("claims.yaml", "--runs-dir", "elsewhere").stdout


def test_json_has_the_claims_in_the_order_of_the_file(finished: Path) -> None:
    claims = json.loads(call("claims.yaml", "--json").stdout)
    assert [(one["claim"], one["status"]) for one in claims] == [
        ("up-is-better", "supported"),
        ("down-is-better", "refuted"),
        ("far-is-better", "undecided"),
    ]
    assert claims[0]["evidence"]["difference"] == pytest.approx(0.05)


def test_a_bad_file_is_refused_with_every_problem_and_its_place(folder: Path) -> None:
    text = FILE.replace("expects: higher", "expects: best").replace("0.01}", "0}")
    (folder / "claims.yaml").write_text(text, encoding="utf-8")
    result = call("claims.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "claims.yaml:2:" in result.stderr and "claims.yaml:4:" in result.stderr
    assert (
        "must be higher, lower, no difference" in result.stderr and "must be greater than 0" in result.stderr
    )


def test_outside_a_checkout_it_says_what_to_do(folder: Path) -> None:
    result = call()
    assert result.exit_code == 2
    assert "experiments/claims.yaml is not in this folder" in result.stderr and "name a file" in result.stderr


def test_the_shipped_claims_fit_80_columns_and_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom maskbench.cli.main import app\n"
        "try: app(['claims', '--runs-dir', sys.argv[1]])\nfinally: assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout.splitlines()[-1].startswith("0 supported, 0 refuted, ")
