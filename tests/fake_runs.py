"""Writes run directories of experiments that never ran, for tests of what reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maskbench.config.load import dump_resolved
from maskbench.config.schema.experiment import (
    ArmConfig,
    CompareConfig,
    CorpusConfig,
    Experiment,
    PanelConfig,
    PlacementConfig,
    RunConfig,
)
from maskbench.runs.identity import Identity
from maskbench.statistics.split_overlap import SplitOverlaps

DATA = "3f9a2c" + "0" * 58
GIT = {"commit": "1b2c3d4e" + "0" * 32, "dirty": False}


@dataclass(frozen=True)
class FakeRun:
    """What a run leaves behind; change it with `with_`."""

    metrics: Mapping[str, float]
    outputs: str
    """Stands for the bytes of all translations."""
    losses: str
    """Stands for the bytes of all training losses; those of other seeds are always others."""
    state: str = "done"
    message: str = "loss was nan at step 17"
    data: str = DATA
    git: Mapping[str, Any] | None = field(default_factory=lambda: GIT)
    versions: Mapping[str, str] = field(default_factory=lambda: {"maskbench": "0.1.0", "torch": "2.13.0"})
    threads: int = 1
    signatures: Mapping[str, str] = field(default_factory=dict)
    sentences: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """By split: what each pair adds to the metrics."""
    overlaps: SplitOverlaps | None = None
    """What the splits have in common; None: nothing is recorded, as in runs of older versions."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of result.json."""

    def with_(self, **changes: Any) -> FakeRun:
        """Return this run with other fields."""
        return replace(self, **changes)


def scored(score: float, *, metric: str = "test/exact_match", outputs: str | None = None) -> FakeRun:
    """Return a finished run with a score; runs with different scores have different outputs, unless told."""
    told = repr(score) if outputs is None else outputs
    others = {"test/nll": 1.5 - score / 2, "test/bleu": 40 * score} if metric == "test/exact_match" else {}
    return FakeRun({metric: score, **others}, outputs=told, losses=told)


def experiment(
    arms: Sequence[str],
    seeds: int = 8,
    *,
    name: str = "fake",
    metric: str = "test/exact_match",
    **compare: Any,
) -> Experiment:
    """Return an experiment without panels whose first arm is the baseline; every arm has a mask of its own."""
    configs = [arm_config(arm, number) for number, arm in enumerate(arms)]
    panel = PanelConfig(name=None, arms=tuple(configs), baseline=arms[0])
    return Experiment(
        name=name,
        seeds=tuple(range(seeds)),
        compare=CompareConfig(metric=metric, **compare),
        panels=(panel,),
        question="Do masks that are drawn anew beat masks that are drawn once?",
    )


def arm_config(name: str, number: int, *, pairs: int = 2000, **changes: Any) -> ArmConfig:
    """Return arm `number`; number 0 has no mask."""
    corpus = CorpusConfig(name="toydeen", options={"pairs": pairs})
    window = PlacementConfig(site="encoder_self", mask="window", options={"radius": number})
    config = RunConfig(corpus=corpus, masks=(window,) if number else ())
    return ArmConfig(name=name, title=changes.pop("title", name), config=config, **changes)


def write(root: Path, wanted: Experiment, runs: Mapping[str, Sequence[FakeRun | None]]) -> Path:
    """Write the only panel of an experiment and its runs by arm, seed by seed (None: no such run); return its folder."""
    panel, directory = wanted.panels[0], root / wanted.name
    directory.mkdir(parents=True)
    (directory / "experiment.yaml").write_text(dump_resolved(wanted), encoding="utf-8")
    for arm in panel.arms:
        for seed, run in zip(wanted.seeds, runs.get(arm.name, ()), strict=False):
            if run is not None:
                write_run(directory / arm.name / f"seed-{seed}", arm, seed, run)
    return directory


def write_run(directory: Path, arm: ArmConfig, seed: int, run: FakeRun) -> None:
    """Write one run."""
    directory.mkdir(parents=True, exist_ok=True)
    identity = Identity(arm.config.identity(), run.data)
    record = {
        "format": 1,
        "arm": arm.name,
        "seed": seed,
        "hash": identity.hash,
        "identity": identity.to_json(),
        "versions": dict(run.versions),
        "git": run.git,
        "environment": {"threads": run.threads, "device": "cpu"},
        **({} if run.overlaps is None else {"data": run.overlaps.to_json()}),
    }
    error = {"message": run.message} if run.state in ("failed", "diverged") else None
    _write(directory / "run.json", record)
    _write(directory / "status.json", {"state": run.state, "pid": 1, "host": "elsewhere", "error": error})
    for split, parts in run.sentences.items():
        (directory / "sentences").mkdir(exist_ok=True)
        lines = "".join(f"{json.dumps(part)}\n" for part in parts)
        (directory / "sentences" / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    if run.state == "done":
        _write(directory / "result.json", _result(run, seed))


def _result(run: FakeRun, seed: int) -> dict[str, Any]:
    return {
        "metrics": dict(run.metrics),
        "signatures": dict(run.signatures),
        **run.also,
        "selected_step": 1800,
        "parameters": 812_000,
        "cost": {"tokens_per_second": 900.0, "peak_memory_mb": 410.0, "seconds": 60.0},
        "masks": [],
        "outputs_sha256": hashlib.sha256(run.outputs.encode()).hexdigest(),
        "train_nll_sha256": hashlib.sha256(f"{seed} {run.losses}".encode()).hexdigest(),
    }


def write_costs(directory: Path, relative: Mapping[str, float]) -> None:
    """Write what the cost probe measured."""
    speed = {arm: 5000.0 / time for arm, time in relative.items()}
    step = {arm: 0.02 * time for arm, time in relative.items()}
    _write(
        directory / "cost.json",
        {"relative_step_time": dict(relative), "tokens_per_second": speed, "step_seconds": step},
    )


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
