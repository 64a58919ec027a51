"""The directories of an experiment and of a run: their files, the write lock, and the state of a run.

    <experiment>[/<panel>]/
      experiment.yaml   cost.json   plans.jsonl
      <arm>/seed-<n>/   run.json  status.json  metrics.jsonl  timing.jsonl  checkpoints/  result.json
                        translations/  sentences/  samples.jsonl  histograms.jsonl  pictures/  plugins/

Reading executes no code, takes no lock and works while a run is in progress. Only the process that holds the
run's kernel lock writes; the kernel frees the lock when that process ends, so a kill needs no cleanup.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from maskbench.config.schema.metrics import RECORDS_FILE
from maskbench.errors import RunDirectoryError
from maskbench.files import write_atomically
from maskbench.registry import PluginCode
from maskbench.runs.identity import Identity, identity_with_plugins
from maskbench.runs.json_files import read_json, wrap_corruption, write_json
from maskbench.runs.jsonl import (
    JsonLines,
    check_histogram_line,
    check_metrics_line,
    check_sample_line,
    check_timing_line,
    encode_json_line,
)
from maskbench.runs.locks import lock_directory

RunStateName = Literal["planned", "running", "done", "failed", "diverged", "interrupted"]
"""State of a run; `running` is read as `interrupted` if the process no longer exists."""

_SEED = re.compile(r"seed-(\d+)")


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of a run, and the error that ended it, if any."""

    state: RunStateName
    error: Mapping[str, Any] | None = None
    """Holds `message`; for a diverged run also `step` and the quantity that was not finite."""
    pid: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Directory of one run: one arm trained with one seed."""

    path: Path
    """The folder `seed-<n>`; it need not exist yet."""

    @property
    def seed(self) -> int:
        """The seed, read from the folder's name."""
        found = _SEED.fullmatch(self.path.name)
        if found is None:
            raise RunDirectoryError(f"{self.path} is not a run: its folder should be called seed-<n>")
        return int(found[1])

    @property
    def arm(self) -> str:
        """The arm's name: the name of the parent folder."""
        return self.path.parent.name

    @property
    def metrics(self) -> JsonLines:
        """metrics.jsonl: logged numbers by step; no wall clock, so a repeated run gives the same bytes."""
        return JsonLines(self.path / "metrics.jsonl", check_metrics_line)

    @property
    def timing(self) -> JsonLines:
        """timing.jsonl: wall clock, memory and throughput; not part of any hash or byte comparison."""
        return JsonLines(self.path / "timing.jsonl", check_timing_line)

    @property
    def samples(self) -> JsonLines:
        """samples.jsonl: translations; keys `step`, `split`, `id`, `source`, `reference`, `hypothesis`."""
        return JsonLines(self.path / "samples.jsonl", check_sample_line)

    @property
    def histograms(self) -> JsonLines:
        """histograms.jsonl: learned mask parameters; keys `step`, `tag`, `edges` (n + 1) and `counts` (n)."""
        return JsonLines(self.path / "histograms.jsonl", check_histogram_line)

    def sentences(self, split: str) -> JsonLines:
        """Metric counts, one line per sentence pair: `{"id": 3, "token_accuracy": [right, tokens], ...}`."""
        return JsonLines(self.path / "sentences" / f"{split}.jsonl")

    @property
    def checkpoints(self) -> Path:
        """Folder that holds the `step-000200` folders and best.json; see `maskbench.runs.checkpoint`."""
        return self.path / "checkpoints"

    def picture(self, label: str, step: int) -> Path:
        """Return the path of a placement's picture after `step` updates."""
        return self.path / "pictures" / f"{label}-{step:06d}.png"

    def pictures(self) -> list[Path]:
        """Return the paths of all pictures, sorted by placement and step."""
        found = (self.path / "pictures").glob("*.png")
        return sorted(path for path in found if path.stem.rpartition("-")[2].isdecimal())

    def write_plugin(self, name: str, code: bytes) -> None:
        """Keep a copy of a plug-in's file.

        Args:
            name: the path inside this directory, as in run.json's `copies`.
        """
        write_atomically(self.path / name, code)

    def claim(
        self, record: Mapping[str, Any], identity: Identity, used: Mapping[str, PluginCode] | None = None
    ) -> None:
        """Write run.json, or check that the existing one has this identity; the caller holds the lock.

        Args:
            record: the contents of run.json (`identity.build_run_record`), written if there is none yet.
            identity: identity that the directory must hold.
            used: the code of plug-ins in it (`identity.identity_with_plugins`).

        Raises:
            RunDirectoryError: the directory holds another run; the message names the keys that differ.
        """
        present = read_json(self.path / "run.json")
        if present is None:
            write_json(self.path / "run.json", record)
            return
        with wrap_corruption(self.path / "run.json"):
            differences = identity.differences(identity_with_plugins(present, used or {}))
        if differences:
            listed = "\n  ".join(differences)
            raise RunDirectoryError(
                f"{self.path} holds another run; it differs in\n  {listed}\n"
                "choose another experiment name or --runs-dir, or move that directory away"
            )

    def record(self) -> dict[str, Any] | None:
        """Return run.json, or None before the first start."""
        return read_json(self.path / "run.json")

    def result(self) -> dict[str, Any] | None:
        """Return result.json, or None while the run is not done."""
        return read_json(self.path / "result.json")

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json, whose presence means "done"; only the status may be written after it."""
        write_json(self.path / "result.json", result)

    def status(self) -> RunStatus:
        """Return the run's state.

        With result.json the state is `done`, whatever status.json says; `running` without a live process is
        `interrupted`.
        """
        found = read_json(self.path / "status.json") or {}
        pid, host, error = (found.get(key) for key in ("pid", "host", "error"))
        if (self.path / "result.json").exists():
            return RunStatus("done", None, pid, host)
        with wrap_corruption(self.path / "status.json"):
            state = found.get("state", "planned")
            if state not in get_args(RunStateName):
                raise ValueError(f"no state is called {state!r}")
            if error is not None and not isinstance(error, Mapping):
                raise ValueError(f"error should be an object, got {error!r}")
            if state == "running" and not _alive(found):
                state = "interrupted"
        return RunStatus(state, error, pid, host)

    def write_status(self, state: RunStateName, error: Mapping[str, Any] | None = None) -> None:
        """Write status.json with the state and this process's pid, host and start time."""
        process = {"pid": os.getpid(), "host": platform.node(), "started": _start_time(os.getpid())}
        write_json(self.path / "status.json", {"state": state, **process, "error": error})

    def write_translations(
        self,
        split: str,
        rows: Iterable[tuple[int, str]],
        n_best: Sequence[Sequence[tuple[str, float, bool]]] = (),
    ) -> None:
        """Write translations/<split>.jsonl: one line per sentence pair with its id and hypothesis.

        Args:
            split: `test`, or `test@none` for translations made with other masks.
            n_best: for each pair, its best hypotheses, each with its score and whether the model ended it
                (False: it was cut at its maximal length); empty if only one was requested.
        """
        lines = []
        for row, (number, text) in enumerate(rows):
            line: dict[str, Any] = {"id": number, "hypothesis": text}
            if n_best:
                keys = ("hypothesis", "score", "ended")
                line["n_best"] = [dict(zip(keys, one, strict=True)) for one in n_best[row]]
            lines.append(encode_json_line(line))
        write_atomically(self.path / "translations" / f"{split}.jsonl", b"".join(lines))

    def write_sentences(self, split: str, parts: Iterable[Mapping[str, Any]]) -> None:
        """Write sentences/<split>.jsonl, one line per pair; splits are named as in `write_translations`."""
        write_atomically(self.sentences(split).path, b"".join(map(encode_json_line, parts)))

    def translations(self, split: str) -> dict[int, str]:
        """Return id -> hypothesis; empty if the split was not translated.

        Raises:
            RunDirectoryError: the file is damaged.
        """
        file = JsonLines(self.path / "translations" / f"{split}.jsonl")
        with wrap_corruption(file.path):
            return {int(row["id"]): str(row["hypothesis"]) for row in file.read()}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this directory's lock for writing.

        Raises:
            RunDirectoryError: another process holds the lock.
        """

        def describe_holder() -> str:
            pid = (read_json(self.path / "status.json") or {}).get("pid", "unknown")
            return f"another process is writing it (pid {pid}); wait for it or stop it"

        with lock_directory(self.path, describe_holder):
            yield


@dataclass(frozen=True, slots=True)
class ExperimentDirectory:
    """Directory of an experiment, or of one of its panels."""

    path: Path

    @classmethod
    def of(cls, root: Path, experiment: str, panel: str | None = None) -> ExperimentDirectory:
        """Return `root/<experiment>[/<panel>]`."""
        return cls(root / experiment / panel if panel else root / experiment)

    @property
    def experiment_file(self) -> Path:
        """Path of the resolved experiment file."""
        return self.path / "experiment.yaml"

    def run(self, arm: str, seed: int) -> RunDirectory:
        """Return the directory of one run, whether or not it exists."""
        return RunDirectory(self.path / arm / f"seed-{seed}")

    def runs(self) -> list[RunDirectory]:
        """Return every run that has a folder, sorted by arm and seed."""
        found = [
            RunDirectory(p) for p in self.path.glob("*/seed-*") if p.is_dir() and _SEED.fullmatch(p.name)
        ]
        return sorted(found, key=lambda run: (run.arm, run.seed))

    @property
    def plans(self) -> JsonLines:
        """plans.jsonl: one line per change of plan: seeds, stopping rule, number of results at that time."""
        return JsonLines(self.path / "plans.jsonl")

    def cost(self) -> dict[str, Any] | None:
        """Return cost.json, the cost probe's measurements, or None if there is none."""
        return read_json(self.path / "cost.json")

    def write_cost(self, cost: Mapping[str, Any]) -> None:
        """Write cost.json."""
        write_json(self.path / "cost.json", cost)

    def write_metrics(self, records: Mapping[str, Any]) -> None:
        """Write plugin-metrics.json: descriptions of plug-in metrics, for readers without the plug-ins."""
        write_json(self.path / RECORDS_FILE, records)

    def write_experiment(self, resolved: str) -> None:
        """Write experiment.yaml unless it already has this content."""
        data = resolved.encode()
        if not self.experiment_file.exists() or self.experiment_file.read_bytes() != data:
            write_atomically(self.experiment_file, data)


def _start_time(pid: int) -> float | None:
    """Return a process's start time in seconds, or None if there is no such process; detects reused pids."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _alive(status: Mapping[str, Any]) -> bool:
    """Whether the process in status.json still runs; a process on another host counts as running."""
    if status.get("host") != platform.node():
        return True
    started = _start_time(int(status.get("pid", -1)))
    return started is not None and abs(started - float(status.get("started") or 0.0)) < 1.0
