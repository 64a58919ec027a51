"""The example package, installed beside maskbench into a fresh environment: its strategy is there without a word."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "maskbench-example"
SMALL = (
    *("--set", "seeds=1", "--set", "corpus={name: copy, pairs: 60, max_length: 6}"),
    *("--set", "model={d_model: 12, n_heads: 3, d_ff: 20, encoder_layers: 1, decoder_layers: 1}"),
    *("--set", "train={steps: 4, batch_tokens: 96, valid_every: 2, warmup_steps: 1}"),
)


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "-q", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has maskbench and the example installed from wheels."""
    folder = tmp_path_factory.mktemp("fresh")
    # A build leaves files beside its sources.
    copy = shutil.copytree(EXAMPLE, folder / "example")
    for project in (ROOT, copy):
        pip("wheel", "--no-build-isolation", "-w", str(folder / "wheels"), str(project))
    venv.create(folder / "env", with_pip=False, symlinks=os.name != "nt")
    scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / Path(sys.executable).name
    wheels = [str(wheel) for wheel in (folder / "wheels").glob("*.whl")]
    assert len(wheels) == 2
    pip("--python", str(python), "install", "--no-index", *wheels)
    # What both need is taken from the environment of the tests, behind what is installed here.
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(purelib) / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return scripts / "maskbench"


def run(command: Path, *arguments: str, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
    done = subprocess.run(
        [str(command), *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LISTED_AND_DRAWN = """
import sys
from maskbench.cli.main import app
app(["masks", "--json"], standalone_mode=False)
print("--- drawn")
app(["masks", "near_or_rare", "--show"], standalone_mode=False)
print("--- from")
print(sys.modules["maskbench"].__file__, sys.modules["maskbench_example"].__file__)
"""


def test_the_fresh_environment_lists_and_draws_the_strategy_by_its_own_maskbench(
    fresh: Path, tmp_path: Path
) -> None:
    said = run(fresh.parent / Path(sys.executable).name, "-c", LISTED_AND_DRAWN, cwd=tmp_path)
    listed, _, rest = said.partition("--- drawn\n")
    drawn, _, files = rest.partition("--- from\n")
    names = {item["name"]: item for item in json.loads(listed)}
    assert names["near_or_rare"]["kind"] == "attention mask" and "window" in names
    assert drawn.startswith("{site: encoder_self, mask: near_or_rare") and "██" in drawn
    assert len(files.split()) == 2 and all(str(fresh.parent.parent) in path for path in files.split())


def test_the_strategy_passes_the_audit(fresh: Path, tmp_path: Path) -> None:
    run(fresh, "audit", "near_or_rare", cwd=tmp_path)


def test_the_experiment_of_the_example_runs(fresh: Path, tmp_path: Path) -> None:
    file = EXAMPLE / "near-or-rare.yaml"
    run(fresh, "run", str(file), "--runs-dir", str(tmp_path / "runs"), "--workers", "1", *SMALL, cwd=tmp_path)
    directory = tmp_path / "runs" / "near-or-rare" / "near-or-rare" / "seed-0"
    record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    assert len(record["plugins"]["near_or_rare"]) == 64
    assert (
        json.loads((directory / "result.json").read_text(encoding="utf-8"))["masks"][0]["mask"]
        == "near_or_rare"
    )
