"""Checks every hash of finished runs against the bytes that it is of; writes nothing.

A run's identity is compared with its keys, its checkpoints with their manifests, its translations and training losses
with the hashes in result.json, its corpus with the same corpus built again. The scores in result.json have no hash, so
they are compared with the lines of metrics.jsonl, which a replay compares byte by byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskbench.config.schema.experiment import CorpusConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.data import load_corpus
from maskbench.errors import MaskbenchError
from maskbench.experiment.plan import corpus_key
from maskbench.records.collect import read_recorded_plugins, read_run
from maskbench.records.sentences import counts_match_value, is_additive, read_counts, sentences_file_name
from maskbench.runs.checkpoint import scan_checkpoints
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import hash_identity_keys
from maskbench.runs.json_files import canonical_json, read_json
from maskbench.training.evaluate import outputs_sha256
from maskbench.verification.finished_runs import FinishedRun

FILES_OF_A_CHECKPOINT = 3

# What reading a file of the right name and the wrong content can raise.
_UNREADABLE = (MaskbenchError, OSError, ValueError, TypeError, AttributeError, LookupError)


@dataclass(slots=True)
class HashReport:
    """The result of checking."""

    right: int = 0
    """How many hashes match their bytes."""
    wrong: list[str] = field(default_factory=list)
    """A sentence for each thing that does not match."""
    unchecked: list[str] = field(default_factory=list)
    """A sentence for each thing that could not be checked here."""

    def expect(self, fits: bool, what: str) -> None:
        """Count a hash that matches, or add a sentence on what does not."""
        if fits:
            self.right += 1
        else:
            self.note(what)

    def note(self, what: str) -> None:
        """Add a sentence on what does not match, once: a missing file fails several checks."""
        if what not in self.wrong:
            self.wrong.append(what)


def check_hashes(
    cells: Sequence[FinishedRun], cache_dir: Path, notify: Callable[[str], None] = lambda what: None
) -> HashReport:
    """Check every hash of the runs.

    Args:
        cells: finished runs.
        cache_dir: where their corpora are built again; not the folder that the runs read theirs from.
        notify: is notify what is being done.
    """
    found, corpora = HashReport(), _Corpora(cache_dir, notify)
    notify("checking the hashes")
    for cell in cells:
        checks = (_identity, _plugins, _checkpoints, _translations, _losses, _scores, _sentences)
        for check in checks:
            try:
                check(cell.run, found)
            except _UNREADABLE as error:
                found.note(f"{cell.name}: {_describe(error)}")
        reason = read_run(cell.run, cell.arm).reason
        if reason:
            found.note(f"{cell.name}: {reason}")
        _corpus(cell, corpora, found)
    found.unchecked = [*dict.fromkeys(found.unchecked), *corpora.failures]
    return found


def _describe(error: Exception) -> str:
    if isinstance(error, LookupError):
        return f"the entry {error} is missing"
    return str(error)


def _record(run: RunDirectory) -> dict[str, Any]:
    record = run.record()
    if record is None:
        raise FileNotFoundError("run.json is missing")
    return record


def _result(run: RunDirectory) -> dict[str, Any]:
    return run.result() or {}


def _identity(run: RunDirectory, found: HashReport) -> None:
    record = _record(run)
    found.expect(
        hash_identity_keys(record["identity"]) == record["hash"],
        f"{run.path / 'run.json'}: the settings it lists are not those its hash {record['hash']} was taken of",
    )


def _plugins(run: RunDirectory, found: HashReport) -> None:
    """Compare the copies of plug-ins with the hash of the code that the run used."""
    for plugin in read_recorded_plugins(_record(run)):
        if not plugin.copies:
            found.unchecked.append(f"the plug-in {plugin.name}, of which {run.path} holds no copy")
            continue
        digest = hashlib.sha256()
        for name in plugin.copies:
            digest.update((run.path / name).read_bytes())
        found.expect(
            digest.hexdigest() == plugin.sha256,
            f"{run.path / plugin.copies[0]}: not the plug-in whose hash run.json has",
        )


def _checkpoints(run: RunDirectory, found: HashReport) -> None:
    scanned = scan_checkpoints(run.checkpoints, str(_record(run)["hash"]))
    found.right += FILES_OF_A_CHECKPOINT * len(scanned.valid)
    found.wrong += scanned.damaged
    best = read_json(run.checkpoints / "best.json") or {}
    selected, metric, value = (best.get(key) for key in ("step", "metric", "value"))
    logged = [line[metric] for line in run.metrics.read() if line["step"] == selected and metric in line]
    if best and value not in logged:
        said = repr(logged[-1]) if logged else "nothing"
        found.note(
            f"{run.checkpoints / 'best.json'}: {metric} is {value!r} at step {selected}, and {said} was logged"
        )
    if selected not in {checkpoint.step for checkpoint in scanned.valid}:
        found.note(f"{run.checkpoints}: the selected checkpoint, step {selected}, is not there whole")


def _translations(run: RunDirectory, found: HashReport) -> None:
    files = sorted((run.path / "translations").glob("*.jsonl"))
    said = {
        file.name.removesuffix(".jsonl"): sorted(run.translations(file.name[:-6]).items()) for file in files
    }
    recorded = _result(run)["outputs_sha256"]
    if recorded is None and not said:
        return
    found.expect(
        outputs_sha256(said) == recorded,
        f"{run.path / 'translations'}: not the translations whose hash result.json has",
    )


def _losses(run: RunDirectory, found: HashReport) -> None:
    values = [line["train/nll"] for line in run.metrics.read() if "train/nll" in line]
    digest = hashlib.sha256(canonical_json(values).encode()).hexdigest()
    found.expect(
        digest == _result(run)["train_nll_sha256"],
        f"{run.metrics.path}: not the training losses whose hash result.json has",
    )


def _scores(run: RunDirectory, found: HashReport) -> None:
    """Compare the scores of result.json with those that were logged; these are no hashes, so they are not counted."""
    logged: dict[str, Any] = {}
    for line in run.metrics.read():
        logged |= line
    for name, value in _result(run)["metrics"].items():
        if logged.get(name) != value:
            said = repr(logged[name]) if name in logged else "nothing"
            found.note(f"{run.path / 'result.json'}: {name} is {value!r}, and {said} was logged")


def _sentences(run: RunDirectory, found: HashReport) -> None:
    """Compare the sums over single sentences with the scores of result.json; these are no hashes either."""
    missing: dict[Path, None] = {}
    for metric, value in _result(run)["metrics"].items():
        name = metric_name(metric)
        if name is None or not is_additive(name):
            continue
        counts = read_counts(run, name)
        if counts is None:
            missing[run.sentences(sentences_file_name(name)).path] = None
        elif not counts_match_value(name, counts, value):
            found.note(
                f"{run.sentences(sentences_file_name(name)).path}: its sentences do not add up to {metric}, {value!r}"
            )
    found.unchecked += [
        f"{path} {'does not have all numbers of single sentences' if path.exists() else 'is not there'}"
        for path in missing
    ]


def _corpus(cell: FinishedRun, corpora: _Corpora, found: HashReport) -> None:
    rebuilt = corpora.sha256(cell.arm.config.corpus)
    if rebuilt is None:
        return
    try:
        recorded = _record(cell.run)["identity"]["data_sha256"]
    except _UNREADABLE as error:
        found.note(f"{cell.name}: {_describe(error)}")
        return
    found.expect(
        rebuilt == recorded,
        f"{cell.name}: its corpus {cell.arm.config.corpus.name} is another one when it is built again",
    )


class _Corpora:
    """Builds corpora again, each once."""

    def __init__(self, cache_dir: Path, notify: Callable[[str], None]) -> None:
        self._cache_dir, self._told = cache_dir, notify
        self._known: dict[str, str | None] = {}
        self.failures: list[str] = []

    def sha256(self, config: CorpusConfig) -> str | None:
        """Return the hash of a corpus, or None where it cannot be built here."""
        key = corpus_key(config)
        if key not in self._known:
            self._told(f"building the corpus {config.name} again")
            try:
                self._known[key] = load_corpus(config, self._cache_dir).sha256
            except (MaskbenchError, ValueError) as error:
                self._known[key] = None
                self.failures.append(f"the corpus {config.name} cannot be built here: {error}")
        return self._known[key]
