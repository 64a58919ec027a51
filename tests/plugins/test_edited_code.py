"""The code of a plug-in is part of what a run is: old and new code are not averaged, and a copy is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from plugin_sources import EXPERIMENT, FIRST_KEY, line_of
from typer.testing import CliRunner
from warm_process import maskbench

from maskbench import plugins, registry
from maskbench.cli.main import app

EDITED = FIRST_KEY.replace("(kv_idx == 0)", "(kv_idx == 1)")
PLUGIN = ("--plugin", "first.py")


def told(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Run a command in a process of its own: one that trains, or one that a plug-in may leave."""
    ended = maskbench(*arguments, cwd=cwd)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def told_here(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Run a command that trains nothing in this process, which knows no plug-in before it nor after it."""
    with pytest.MonkeyPatch.context() as patch:
        for each in registry.REGISTRIES:
            patch.setattr(each, "_entries", dict(each))
        patch.setattr(plugins, "_loaded", {})
        patch.chdir(cwd)
        ended = CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.exit_code, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edited")
    (folder / "first.py").write_text(FIRST_KEY, encoding="utf-8")
    (folder / "first.yaml").write_text(EXPERIMENT, encoding="utf-8")
    code, said = told("run", *PLUGIN, "first.yaml", "--workers", "1", cwd=folder)
    assert code == 0, said
    assert f"plugins:first@{hashlib.sha256(FIRST_KEY.encode()).hexdigest()[:6]}" in said
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def edit(folder: Path) -> None:
    (folder / "first.py").write_text(EDITED, encoding="utf-8")


def record(folder: Path, arm: str, seed: int = 0) -> dict[str, object]:
    return json.loads((folder / f"runs/first/{arm}/seed-{seed}/run.json").read_text(encoding="utf-8"))


def test_a_run_is_bound_to_the_code_it_uses_and_keeps_a_copy(trained: Path) -> None:
    sha256 = hashlib.sha256(FIRST_KEY.encode()).hexdigest()
    used, unused = record(trained, "first"), record(trained, "none")
    assert used["identity"]["plugins"] == {"mask strategy first_key": sha256}
    assert used["plugin_files"] == [
        {
            "name": "first",
            "sha256": sha256,
            "file": "first.py",
            "package": None,
            "used_for": ["mask strategy first_key"],
            "copies": ["plugins/first.py"],
        }
    ]
    assert (trained / "runs/first/first/seed-0/plugins/first.py").read_text(encoding="utf-8") == FIRST_KEY
    assert "plugins" not in unused["identity"] and unused["plugin_files"] == []
    assert not (trained / "runs/first/none/seed-0/plugins").exists()


def test_more_seeds_with_edited_code_are_refused_before_anything_is_trained(folder: Path) -> None:
    edit(folder)
    for words in (("run",), ("plan",)):
        code, said = told_here(*words, *PLUGIN, "first.yaml", "--set", "seeds=2", cwd=folder)
        assert code == 5
        assert "1 of 4 runs were made by other code of a plug-in" in said
        before, after = (hashlib.sha256(text.encode()).hexdigest()[:12] for text in (FIRST_KEY, EDITED))
        assert f"of the mask strategy first_key (sha256) {before} -> {after}" in said
        assert "first seed 0" in said and "none seed 0" not in said
    assert not (folder / "runs/first/none/seed-1").exists()


def test_runs_of_both_codes_are_not_put_into_one_table(folder: Path) -> None:
    """Seeds that are asked for alone train; the table over both then refuses, as with different data."""
    edit(folder)
    both = ("--set", "seeds=2")
    code, said = told("run", *PLUGIN, "first.yaml", *both, "--seeds", "1-1", "--workers", "1", cwd=folder)
    assert code == 2, said
    assert record(folder, "first", 1)["identity"] != record(folder, "first")["identity"]
    assert record(folder, "none", 1)["identity"] == record(folder, "none")["identity"]
    for command in (("compare", "runs/first"), ("report", "runs/first")):
        code, said = told_here(*command, cwd=folder)
        assert code == 2 and "comes from a plug-in whose code was edited between them" in said
        assert "first, seed 0" in said and "first, seed 1" in said and "none" not in said


def test_the_unedited_code_goes_on(folder: Path) -> None:
    code, said = told_here("run", *PLUGIN, "first.yaml", cwd=folder)
    assert code == 0 and "2 skipped" in said
    shutil.move(folder / "first.py", folder / "renamed.py")
    code, said = told_here("run", "--plugin", "renamed.py", "first.yaml", cwd=folder)
    assert code == 0 and "2 skipped" in said


def test_runs_from_before_stay_valid_until_the_code_is_edited(folder: Path) -> None:
    for arm in ("first", "none"):
        path = folder / f"runs/first/{arm}/seed-0/run.json"
        old = json.loads(path.read_text(encoding="utf-8"))
        del old["plugin_files"]
        old["identity"].pop("plugins", None)
        path.write_text(json.dumps(old), encoding="utf-8")
    code, said = told_here("run", *PLUGIN, "first.yaml", cwd=folder)
    assert code == 0 and "2 skipped" in said
    edit(folder)
    code, said = told_here("run", *PLUGIN, "first.yaml", cwd=folder)
    assert code == 5 and "other code of a plug-in" in said


def test_without_the_plugin_the_message_names_it(folder: Path) -> None:
    for words in (
        ("run", "first.yaml"),
        ("plan", "first.yaml"),
        ("masks", "first_key"),
        ("audit", "first_key"),
    ):
        code, said = told_here(*words, cwd=folder)
        assert code == 2
        assert (
            "'first_key' is of the plug-in first, which runs/first/first/seed-0 used: give --plugin first.py"
            in said
        )
    code, said = told_here("masks", "nobodys", cwd=folder)
    assert code == 2 and "--plugin" not in said


def test_the_recipes_name_the_plugin(folder: Path) -> None:
    sha256 = hashlib.sha256(FIRST_KEY.encode()).hexdigest()
    code, said = told_here("report", "runs/first", "--output", "page.html", cwd=folder)
    assert code == 0, said
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "maskbench run --plugin first.py first.yaml" in page
    assert f"SHA-256 {sha256}, copy in first/first/seed-0/plugins/first.py" in page
    code, said = told_here("plan", *PLUGIN, "first.yaml", cwd=folder)
    assert code == 0 and f"first (first.py), SHA-256 {sha256[:12]}: mask strategy first_key" in " ".join(
        said.split()
    )


@pytest.mark.slow
def test_verify_checks_the_copy_and_replays_with_it(folder: Path) -> None:
    cell = ("verify", "runs/first", "--cell", "first/seed-0", "-j", "1")
    code, said = told(*cell, cwd=folder)
    copy = "runs/first/first/seed-0/plugins/first.py"
    assert code == 2 and f"the run keeps a copy: {copy}" in said
    code, said = told(*cell, "--plugin", copy, cwd=folder)
    assert code == 0 and "identical" in said and f"copy in {copy}" in said, said
    (folder / copy).write_text(EDITED, encoding="utf-8")
    code, said = told("verify", "runs/first", "--hashes-only", cwd=folder)
    assert code == 3 and f"{copy}: not the plug-in whose hash run.json has" in said


MOMENTS = {
    "import": ("class OwnOptions", "{}\n\n\nclass OwnOptions", 2),
    "build": ("    def mask_mod", "    def __init__(self, *rest):\n        {}\n\n    def mask_mod", 2),
    "call": ("        return lambda", "        {}\n        return lambda", 2),
    # The audit before training looks at the middle, so this moment is one of the training process.
    "training": (
        "        return lambda",
        "        if ctx.request.clock.step == 1: {}\n        return lambda",
        3,
    ),
}


@pytest.mark.parametrize(
    ("moment", "way"),
    [
        ("import", "os._exit(0)"),
        ("build", "sys.exit(0)"),
        ("call", "sys.exit(0)"),
        pytest.param("training", "os._exit(0)", marks=pytest.mark.slow),
    ],
)
def test_a_plugin_that_leaves_does_not_leave_success(tmp_path: Path, moment: str, way: str) -> None:
    old, new, wanted = MOMENTS[moment]
    text = FIRST_KEY.replace(old, new.format(way), 1)
    (tmp_path / "first.py").write_text(text, encoding="utf-8")
    (tmp_path / "first.yaml").write_text(EXPERIMENT, encoding="utf-8")
    code, said = told("run", *PLUGIN, "first.yaml", "--arm", "first", "-j", "1", cwd=tmp_path)
    assert code == wanted, said
    assert f"first.py:{line_of(text, way)}: error: " in said and f"it called {way}" in said
    if moment == "training":
        assert "failed: first seed 0: " in said
        status = json.loads((tmp_path / "runs/first/first/seed-0/status.json").read_text(encoding="utf-8"))
        assert status["state"] == "failed" and way in status["error"]["message"]
    else:
        assert not (tmp_path / "runs/first/first").exists()
