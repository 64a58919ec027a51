"""The catalogue of the field is consistent, its page is what was measured, and the tools behind it notice planted faults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.field import __main__ as command
from benchmarks.field import edited_import, measure, oracle, page, reports, results
from benchmarks.field.catalogue import full_name, packages
from benchmarks.field.entry import Edit, Entry, Judgement, Package
from maskbench.model_audit.target import subject_for

ENTRIES = [(package, entry) for package in packages() for entry in package.entries]
JUDGEMENTS = [(package, judgement) for package in packages() for judgement in package.judgements]
PROOFS = {proof.name for proof in page.proofs()}


class Decoder(nn.Module):
    """A decoder of running means; a later token is read where `leak` is not 0."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.head = nn.Linear(8, 30)
        self.leak = leak

    def forward(self, ids):
        vectors = self.words(ids)
        count = torch.arange(1, ids.shape[1] + 1).to(vectors)[:, None]
        return self.head(vectors.cumsum(1) / count + self.leak * vectors.roll(-1, 1))


def build_sound():
    return subject_for(Decoder(), vocab_size=30, max_length=20)


def build_leaking():
    return subject_for(Decoder(0.1), vocab_size=30, max_length=20)


def build_raising():
    raise OSError("no weights here")


def build_killed():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


LEAK = Judgement(
    "defect",
    "It reads the next token",
    ("leaking",),
    ("causality", "future gradients"),
    "The next vector is added.",
    "decoder.py:1",
    "It happens in evaluation.",
    control={"leaking": build_sound},
    control_is="the addition",
    report="it-reads",
)
TOYS = Package(
    "toys",
    "1.0",
    "nowhere",
    entries=tuple(
        Entry(name, "package", build)
        for name, build in {
            "sound": build_sound,
            "leaking": build_leaking,
            "raising": build_raising,
            "killed": build_killed,
        }.items()
    ),
    judgements=(LEAK,),
)


@pytest.fixture
def toys(monkeypatch):
    """The catalogue is one package of toys."""
    for module in (measure, page, command):
        monkeypatch.setattr(module, "packages", lambda: [TOYS])
    monkeypatch.setattr(measure, "LENGTHS", measure.LENGTHS[:2])
    monkeypatch.setattr(measure, "SEEDS", range(2))
    return TOYS


def measured(name, what="cells", **more):
    (found,) = measure.results([{"entry": f"toys/{name}", "what": what, **more}])
    return found


# The catalogue


def test_names_are_unique():
    names = [full_name(package, entry) for package, entry in ENTRIES]
    assert len(set(names)) == len(names)
    titles = [judgement.title for _, judgement in JUDGEMENTS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("package", "judgement"), JUDGEMENTS, ids=[judgement.title for _, judgement in JUDGEMENTS]
)
def test_a_judgement_says_all_that_it_must(package, judgement):
    assert set(judgement.entries) <= {entry.name for entry in package.entries}
    assert set(judgement.proofs) <= PROOFS
    assert set(judgement.control) <= set(judgement.entries)
    for place in judgement.where.split(", "):
        assert re.fullmatch(r"(\S+\.py)?:\d+(-\d+)?", place), judgement.where
    assert all((judgement.cause, judgement.ruled_out, judgement.control_is, judgement.mend_is))
    assert not judgement.title.endswith(".")
    if judgement.verdict == "defect":
        assert (reports.FOLDER / f"{judgement.report}.md").is_file()
    else:
        assert judgement.source


def test_versions_are_pinned():
    for package in packages():
        assert all("==" in requirement for requirement in package.requirements)
        assert bool(package.missing) != bool(package.entries), package.name


def test_reports_have_a_script_without_maskbench():
    assert reports.all_reports()
    for report in reports.all_reports():
        assert "maskbench" not in report.script
        assert report.seen.strip()
        compile(report.script, report.name, "exec")


def test_no_report_is_left_over():
    named = {report.name for report in reports.all_reports()} | {"evidence"}
    assert {file.stem for file in reports.FOLDER.glob("*.md")} == named


# The page


def test_the_page_is_what_was_measured():
    for file, text in page.pages(results.Results()).items():
        assert file.read_text(encoding="utf-8") == text, "run: python -m benchmarks.field --only-page"


def test_nothing_is_left_unexplained():
    assert page.problems(ENTRIES, results.Results()) == []


def test_every_entry_is_measured_in_its_version():
    kept = results.Results()
    for package, entry in ENTRIES:
        found = kept.of(full_name(package, entry))
        assert found is not None, full_name(package, entry)
        assert found["requirements"][:-1] == list(package.requirements)
    assert {name for name, _ in kept} == {full_name(package, entry) for package, entry in ENTRIES}


def test_no_cell_is_empty():
    for row in page.rows(ENTRIES, results.Results()):
        if row.is_built:
            assert set(row.found["cells"]) == PROOFS
            assert all(cell.get("detail") for cell in row.found["cells"].values() if cell["state"] != "holds")
        else:
            assert row.found["error"]


def test_failing_cells_were_repeated():
    # Some were measured with every seed at every pair of lengths.
    wanted = {len(measure.repetitions()), len(measure.LENGTHS) * len(measure.SEEDS)}
    for row in page.rows(ENTRIES, results.Results()):
        failing = {name for name, cell in row.found.get("cells", {}).items() if cell["state"] == "fails"}
        assert set(row.found.get("repeats", {})) == failing
        for counts in row.found.get("repeats", {}).values():
            assert sum(counts.get(key, 0) for key in ("fails", "holds", "not made")) in wanted


# Measuring


def test_what_holds_and_what_fails(toys):
    sound, leaking = measured("sound")["result"], measured("leaking")["result"]
    assert sound["kind"] == "decoder"
    assert sound["repeats"] == {}
    assert set(sound["cells"]) == PROOFS
    assert sound["cells"]["cached decoding"]["state"] == "does not apply"
    assert leaking["cells"]["causality"]["state"] == "fails"
    assert leaking["repeats"]["causality"]["fails"] == 3
    assert 0 < leaking["repeats"]["causality"]["least"] <= leaking["repeats"]["causality"]["most"]


def test_an_entry_that_cannot_be_built_harms_no_other(toys):
    names = ("raising", "killed", "sound")
    found = list(measure.results([{"entry": f"toys/{name}", "what": "cells"} for name in names]))
    assert found[0]["error"] == "OSError: no weights here"
    assert found[1]["error"] == "its process died"
    assert "result" in found[2]


def test_an_entry_that_takes_too_long_is_ended(toys, monkeypatch):
    monkeypatch.setattr(measure, "LIMIT", 0.01)
    assert "not done after" in measured("sound")["error"]


def test_a_control_is_measured(toys):
    found = measured("leaking", "control", judgement=LEAK.title, proofs=["causality"])
    assert found["result"]["causality"]["state"] == "holds"


def test_what_a_model_cannot_do_is_told_apart(toys):
    finding = SimpleNamespace(
        answer=SimpleNamespace(passed=None, unable=True, value=None, limit=None, verdict=""),
        dtype="float64",
        sentence="labels: TypeError: none (/some/where/site-packages/toys/model.py:3)",
    )
    assert measure.cell(finding) == {
        "state": "could not run",
        "detail": "labels: TypeError: none (toys/model.py:3)",
    }


# Edits


@pytest.fixture
def module_file(tmp_path, monkeypatch):
    """A module with a mistake in its second line."""
    file = tmp_path / "mistaken_module.py"
    file.write_text("def double(x):\n    return 3 * x\n\n\nSIX = double(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mistaken_module", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return file


def edit(**changed):
    return replace(
        Edit(
            "mistaken_module",
            2,
            2,
            "    # doubled\n    return 2 * x",
            edited_import.digest("    return 3 * x"),
        ),
        **changed,
    )


def test_an_edit_acts_while_a_module_is_imported(module_file):
    before = module_file.read_text()
    edited_import.install([edit()])
    import mistaken_module

    assert mistaken_module.SIX == 6
    assert module_file.read_text() == before


def test_edits_keep_the_numbers_of_the_installed_file(module_file):
    last = edit(first=5, last=5, text="SIX = double(30)", was=edited_import.digest("SIX = double(3)"))
    edited_import.install([edit(), last])
    import mistaken_module

    assert mistaken_module.SIX == 60


def test_an_edit_of_other_lines_is_refused(module_file):
    edited_import.install([edit(was="0" * 12)])
    with pytest.raises(edited_import.EditRefusedError, match="lines 2 to 2"):
        importlib_import("mistaken_module")


def importlib_import(name):
    import importlib

    return importlib.import_module(name)


def test_an_edit_comes_too_late(module_file):
    importlib_import("mistaken_module")
    with pytest.raises(edited_import.EditRefusedError, match="imported already"):
        edited_import.install([edit()])


# Results


def test_two_commands_keep_what_the_other_measured(tmp_path):
    file = tmp_path / "results.jsonl"
    one, other = results.Results(file), results.Results(file)
    one.put("toys/sound", TOYS, {"cells": {}})
    other.put("toys/leaking", TOYS, {"cells": {}})
    one.put_trial("toys/sound", LEAK, "control", {"cells": {}})
    assert [name for name, _ in results.Results(file)] == ["toys/leaking", "toys/sound"]


def test_results_of_another_version_or_engine_are_old(tmp_path, monkeypatch):
    kept = results.Results(tmp_path / "results.jsonl")
    kept.put("toys/sound", TOYS, {"cells": {}})
    assert kept.is_current("toys/sound", TOYS)
    assert not kept.is_current("toys/leaking", TOYS)
    assert not kept.is_current("toys/sound", replace(TOYS, version="1.1"))
    monkeypatch.setattr(results, "engine", lambda: "another")
    assert not kept.is_current("toys/sound", TOYS)


def test_a_trial_of_another_judgement_is_old(tmp_path):
    kept = results.Results(tmp_path / "results.jsonl")
    kept.put("toys/leaking", TOYS, {"cells": {}})
    kept.put_trial("toys/leaking", LEAK, "mend", {"cells": {}})
    assert kept.trial("toys/leaking", LEAK, "mend") is not None
    assert kept.trial("toys/leaking", replace(LEAK, mend=(edit(),)), "mend") is None
    assert kept.trial("toys/leaking", replace(LEAK, cause="Other words."), "mend") is not None


# What the page says of wrong results


def fill(toys, tmp_path, trial):
    kept = results.Results(tmp_path / "results.jsonl")
    cells = {name: {"state": "holds"} for name in PROOFS}
    leaks = {**cells, "causality": {"state": "fails", "value": 0.1, "limit": 1e-13, "detail": "it leaks"}}
    repeats = {"causality": {"fails": 4, "least": 0.1, "most": 0.2}}
    kept.put("toys/sound", toys, {"cells": cells, "repeats": {}})
    kept.put("toys/leaking", toys, {"cells": leaks, "repeats": repeats})
    if trial:
        kept.put_trial("toys/leaking", LEAK, "control", trial)
    return kept


def problems(toys, kept):
    return page.problems([(toys, entry) for entry in toys.entries], kept)


def test_a_control_that_fails_too_is_a_problem(toys, tmp_path):
    assert problems(toys, fill(toys, tmp_path, {"cells": {"causality": {"state": "holds"}}})) == []
    (said,) = problems(toys, fill(toys, tmp_path, {"cells": {"causality": {"state": "fails"}}}))
    assert "with the control of" in said
    (said,) = problems(toys, fill(toys, tmp_path, None))
    assert "was not made" in said


def test_a_failing_cell_without_a_judgement_is_a_problem(toys, tmp_path):
    kept = fill(toys, tmp_path, {"cells": {"causality": {"state": "holds"}}})
    found = dict(kept.of("toys/sound"))
    found["cells"] = {**found["cells"], "reach": {"state": "fails", "detail": "nothing is read"}}
    kept.put("toys/sound", toys, found)
    assert problems(toys, kept) == ["toys/sound: reach fails, and no judgement says why"]


def test_an_oracle_that_disagrees_is_a_problem(toys, tmp_path):
    kept = fill(toys, tmp_path, {"cells": {"causality": {"state": "holds"}}})
    kept.put_oracle("toys/leaking", {"seed": 0, "moved": {"causality": 0.1, "truncation": 0.0}})
    assert problems(toys, kept) == []
    kept.put_oracle("toys/leaking", {"seed": 0, "moved": {"causality": 0.0}})
    assert problems(toys, kept) == ["toys/leaking: causality: the oracle saw 0"]


# The oracle


class Bad(Decoder):
    """A decoder with one fault that `check` asks for."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def forward(self, ids):
        scores = super().forward(ids)
        if self.fault == "future":
            return scores + self.words(ids).sum((1, 2))[:, None, None]
        if self.fault == "length":
            return scores + ids.shape[1] / 100
        return scores + scores[1:].sum(0) if self.fault == "mates" else scores


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("", set()),
        ("future", {"causality", "truncation"}),
        ("length", {"truncation"}),
        ("mates", {"batch mates"}),
    ],
)
def test_the_oracle_sees_planted_faults(fault, expected):
    before = torch.get_default_dtype()
    try:
        torch.manual_seed(0)
        found = oracle.check(Bad(fault), "decoder", range(4, 30), 20, 1)
    finally:
        torch.set_default_dtype(before)
    seen = {proof for proof, moved in found.items() if moved > oracle.NOISE}
    # What reads other rows reads the rows' later tokens as well.
    assert seen - ({"causality"} if fault == "mates" else set()) == expected
    assert set(found) == {"causality", "truncation", "batch mates"}


# The command


def test_names_select_entries(toys):
    assert [entry.name for _, entry in command.selected(["toys/s*"])] == ["sound"]
    assert len(command.selected(["toys"])) == len(command.selected([])) == 4
    with pytest.raises(SystemExit, match="no 'nothing'"):
        command.selected(["nothing"])


def test_tasks_with_edits_have_a_process_of_their_own():
    tasks = [(("a==1",), {"what": "cells"}), (("a==1",), {"what": "mend"}), (("b==1",), {"what": "cells"})]
    tasks += [(("b==1",), {"what": "control"})] * command.AT_ONCE
    found = list(command.chunks(tasks))
    assert [(requirements, len(group)) for requirements, group in found] == [
        (("a==1",), 1),
        (("a==1",), 1),
        (("b==1",), command.AT_ONCE),
        (("b==1",), 1),
    ]


def test_what_cannot_be_installed_is_said(monkeypatch):
    def refuse(requirements):
        raise command.NotInstalledError("ERROR: no such version")

    monkeypatch.setattr(command, "python_with", refuse)
    (found,) = command.performed(("toys==9",), [{"entry": "toys/sound", "what": "cells"}])
    assert found["error"] == "not installed: ERROR: no such version"


def test_a_process_that_dies_leaves_its_tasks_told(monkeypatch):
    monkeypatch.setattr(command, "python_with", lambda requirements: "/bin/false")
    (found,) = command.performed(("toys==9",), [{"entry": "toys/sound", "what": "cells"}])
    assert "ended with 1" in found["error"]


def test_the_worker_speaks_lines_of_json():
    name = "x-transformers/no-such-option"
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.field.measure"],
        input=json.dumps({"entry": name, "what": "mend"}),
        capture_output=True,
        text=True,
        cwd=results.CHECKOUT,
        timeout=120,
    )
    (line,) = ended.stdout.splitlines()
    assert json.loads(line)["error"].startswith("KeyError")


# Reports


def test_a_report_that_prints_something_else_is_told(monkeypatch, capsys):
    report = reports.Report("one", TOYS, "print(1 + 1)", "3\n")
    monkeypatch.setattr(reports, "python_with", lambda requirements: sys.executable)
    (said,) = reports.failures([report])
    assert "-3" in said
    assert "+2" in said
    assert reports.failures([replace(report, seen="2\n")]) == []
    assert "ModuleNotFoundError" in reports.run_report(replace(report, script="import maskbench"))
