"""What is installed: the package list, the wheel's only top-level name, the pins."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def folders() -> set[str]:
    library = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "maskbench").rglob("*.py")}
    commands = {
        ".".join(("maskbench", *p.parent.relative_to(ROOT).parts)) for p in (ROOT / "cli").rglob("*.py")
    }
    return library | commands


def test_setup_cfg_lists_every_package(metadata):
    assert set(metadata["options"]["packages"].split()) == folders()


def test_the_wheel_holds_every_module_under_one_top_level_name(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("maskbench-*.whl")
    names = [n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n]
    assert {n.split("/")[0] for n in names} == {"maskbench"}
    sources = {
        "maskbench/" + p.relative_to(ROOT / "maskbench").as_posix()
        for p in (ROOT / "maskbench").rglob("*.py")
    }
    sources |= {f"maskbench/{p.relative_to(ROOT).as_posix()}" for p in (ROOT / "cli").rglob("*.py")}
    sources |= {"maskbench/py.typed"}
    sources |= {
        "maskbench/" + p.relative_to(ROOT / "maskbench").as_posix()
        for p in (ROOT / "maskbench/report/templates").iterdir()
    }
    assert set(names) == sources


def test_torch_is_pinned_for_ci_and_a_range_for_users(metadata):
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in constraints
    assert re.search(r"^torch >= \S+, < 3$", metadata["options"]["install_requires"], re.MULTILINE)


def test_every_direct_requirement_is_pinned(metadata):
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    extras = metadata["options.extras_require"]
    lines = [
        *metadata["options"]["install_requires"].split("\n"),
        *extras["test"].split("\n"),
        *extras["dev"].split("\n"),
    ]
    direct = {re.split(r"[ ><=]", line)[0].lower() for line in lines if line.strip()}
    assert direct <= pinned


def test_inside_cli_imports_are_relative():
    for path in (ROOT / "cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import cli|from cli|from maskbench\.cli)", text, re.MULTILINE), path.name


def test_ci_calls_exactly_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = [
        ln
        for ln in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
        if ln and not ln.startswith("#")
    ]
    assert script[-1] == "make test"
    assert re.search(r"^make test\b", readme, re.MULTILINE)
    assert re.search(r"^make run\b", readme, re.MULTILINE)
