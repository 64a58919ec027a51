"""What has been measured: one JSON object for each entry, a line each, in `docs/field/results.jsonl`."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.field.entry import Edit, Judgement, Package
from benchmarks.field.environment import CHECKOUT

FILE = CHECKOUT / "docs" / "field" / "results.jsonl"
ENGINE = CHECKOUT / "maskbench" / "model_audit"


def engine() -> str:
    """Return a digest of the proofs' code; results of another one are measured again. Its layout and comments do not count."""
    files = sorted(ENGINE.rglob("*.py"))
    text = "".join(
        file.relative_to(ENGINE).as_posix() + ast.dump(ast.parse(file.read_text(encoding="utf-8")))
        for file in files
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stamp(requirements: Sequence[str]) -> dict[str, Any]:
    """Return what a measurement was made with; one with another stamp is old."""
    torch_here = f"torch=={version('torch').partition('+')[0]}"
    return {"requirements": [*requirements, torch_here], "engine": engine()}


class Results:
    """All measurements, kept in the file after every change; several commands may write to it at a time."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._lock = FileLock(file.with_suffix(".lock"))
        self._found = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        return {(line := json.loads(text))["entry"]: line for text in lines}

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return iter(sorted(self._found.items()))

    def of(self, name: str) -> Mapping[str, Any] | None:
        """Return what is measured of an entry."""
        return self._found.get(name)

    def is_current(self, name: str, package: Package) -> bool:
        """Whether an entry is measured with this version, torch and engine."""
        found, wanted = self._found.get(name), stamp(package.requirements)
        return found is not None and all(found.get(key) == value for key, value in wanted.items())

    def put(self, name: str, package: Package, found: Mapping[str, Any]) -> None:
        """Keep the cells of an entry, or the error that came instead; what was seen of its judgements is dropped."""
        today = datetime.now(UTC).date().isoformat()
        self._write(name, {"entry": name, "date": today, **stamp(package.requirements), **found})

    def put_oracle(self, name: str, found: Mapping[str, Any]) -> None:
        """Keep what the oracle measured, in place of what it measured before."""
        self._write(name, {**self._found[name], "oracle": dict(found)})

    def forget_oracle(self) -> None:
        """Forget all that the oracle measured."""
        for name, found in list(self):
            if "oracle" in found:
                self._write(name, {key: value for key, value in found.items() if key != "oracle"})

    def put_trial(self, name: str, judgement: Judgement, what: str, found: Mapping[str, Any]) -> None:
        """Keep what a control, a mend or an earlier version showed."""
        entry = dict(self._found[name])
        trials = {title: dict(kept) for title, kept in entry.get("trials", {}).items()}
        trials.setdefault(judgement.title, {})[what] = {"of": digest_of(judgement, what), **found}
        self._write(name, {**entry, "trials": trials})

    def trial(self, name: str, judgement: Judgement, what: str) -> Mapping[str, Any] | None:
        """Return what a control, a mend or an earlier version showed; None if it is of another judgement or missing."""
        found = self._found.get(name, {}).get("trials", {}).get(judgement.title, {}).get(what)
        return found if found and found["of"] == digest_of(judgement, what) else None

    def drop(self, names: Sequence[str]) -> None:
        """Forget entries, such as those that the catalogue no longer has."""
        with self._lock:
            self._found = {name: entry for name, entry in self._read().items() if name not in names}
            self._save()

    def _write(self, name: str, entry: dict[str, Any]) -> None:
        with self._lock:
            self._found = {**self._read(), name: entry}
            self._save()

    def _save(self) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for _, line in sorted(self._found.items()))
        aside = self._file.with_suffix(".tmp")
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, self._file)


def digest_of(judgement: Judgement, what: str) -> str:
    """Return a digest of what a trial of a judgement depends on."""
    edits: tuple[Edit, ...] = judgement.mend if what == "mend" else ()
    how = judgement.control_is if what == "control" else ""
    return hashlib.sha256(repr((judgement.proofs, edits, how)).encode()).hexdigest()[:8]
