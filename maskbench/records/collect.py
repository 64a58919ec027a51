"""Reads every planned run of a panel; damage becomes a state.

A run that is damaged, missing, still running or made with other settings never stops a comparison: it
becomes a `CollectedRun` with a state and a reason. This module writes nothing and takes no lock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from maskbench.config.schema.experiment import ArmConfig, RetiredArm
from maskbench.errors import MaskbenchError
from maskbench.records.locate import FoundPanel
from maskbench.records.plans import Plan, read_plans
from maskbench.runs.directory import RunDirectory, RunStatus
from maskbench.runs.identity import requested_identity
from maskbench.statistics.sequential import Rule
from maskbench.statistics.split_overlap import SplitOverlaps

CollectedState: TypeAlias = Literal["done", "waiting", "failed", "diverged"]
"""`waiting`: planned, running or interrupted. `failed`: ended in an error, or its files cannot be used."""

_WAITING = {
    "planned": "not started",
    "running": "still running",
    "interrupted": "interrupted; `maskbench run` goes on where it stopped",
}

# Errors that reading a file with wrong content can raise.
_UNREADABLE = (MaskbenchError, OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class RecordedPlugin:
    """A plug-in as a run.json names it."""

    name: str
    sha256: str
    file: str | None = None
    """Name of its file; None in a run.json from before this was recorded."""
    package: str | None = None
    """Name and version of the installed package it comes from; None for a file."""
    used_for: tuple[str, ...] | None = None
    """What the run takes from it, such as `mask strategy round_robin`; None where only what was loaded is known."""
    copies: tuple[str, ...] = ()
    """Paths in the run's directory of the copies of its files."""

    @property
    def option(self) -> str | None:
        """What `--plugin` is given; None for an installed package."""
        return None if self.package is not None else self.file or f"{self.name}.py"


@dataclass(frozen=True, slots=True)
class RunProvenance:
    """Data, software versions, environment and commit that made a run."""

    data_sha256: str
    results_version: int
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    commit: str | None
    dirty: bool
    overlaps: SplitOverlaps = field(default_factory=SplitOverlaps)
    """What the splits of its corpus have in common; of an older run nothing is known, and it has no splits."""
    code: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the plug-in code of every strategy and metric it uses, by what uses it."""
    plugins: tuple[RecordedPlugin, ...] = ()
    """The plug-ins it uses."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The contents of a finished run's result.json."""

    metrics: Mapping[str, float]
    signatures: Mapping[str, str]
    outputs_sha256: str | None
    train_nll_sha256: str | None
    peak_memory_mb: float | None
    parameters: int | None
    oracle: bool = False
    """Whether a mask of the run reads annotations of the corpus."""
    masks: tuple[Mapping[str, Any], ...] = ()
    """The proof of every placement: what it did in training (`maskbench.masks.mask_audit`)."""
    untrained_positions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """With learned positions: pairs longer than all of training, and all pairs, of every split that has some."""
    loss_without_tokens: bool = False
    """Whether the loss of every logged step was 0, because no target token counted in it."""
    masks_off: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The run's own soft masks that were off, by the name of the masks it was evaluated under."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a metric that was asked for has no value, as a clause, by its name."""
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a metric's value does not say, as clauses, by its name."""
    cut_off: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By split: how many translations were cut at their maximal length, and how many there are."""


@dataclass(frozen=True, slots=True)
class CollectedRun:
    """One run as read from its directory."""

    arm: str
    seed: int
    state: CollectedState
    reason: str = ""
    """Reason why the run is not done; empty if it is."""
    result: RunResult | None = None
    """Present exactly if the run is done."""
    provenance: RunProvenance | None = None
    """Present exactly if the run is done."""

    def failing(self, reason: str) -> CollectedRun:
        """Return a copy of this run with the state `failed` and a reason, without a result."""
        return CollectedRun(self.arm, self.seed, "failed", reason)


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """The cost probe's measurements by arm; empty if it has not run."""

    relative_step_time: Mapping[str, float] = field(default_factory=dict)
    """Step time divided by the baseline's."""
    tokens_per_second: Mapping[str, float] = field(default_factory=dict)
    """Target tokens per second of training."""
    log_step_seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Mean log of step seconds per batch of steps (`effect.batch_mean_logs`); empty from an older probe."""


@dataclass(frozen=True, slots=True)
class CollectedPanel:
    """A panel with its runs, costs and plans."""

    found: FoundPanel
    runs: Mapping[tuple[str, int], CollectedRun]
    """Every planned run, by arm and seed; an arm that was closed early has no later seeds."""
    costs: MeasuredCosts
    remarks: tuple[str, ...]
    """One sentence for each unplanned run or unreadable file that was left out."""
    plans: tuple[Plan, ...] = ()
    """All plans over time, the current one last; empty if plans.jsonl does not exist."""
    plans_are_damaged: bool = False
    """Whether plans.jsonl exists but cannot be read."""
    retired_runs: Mapping[tuple[str, int], CollectedRun] = field(default_factory=dict)
    """The runs of retired arms, by arm and seed; a seed that was never begun is waiting."""

    @property
    def overlaps(self) -> SplitOverlaps:
        """What the splits of the corpus have in common, from the first run that knows it."""
        return recorded_overlaps(self.runs.values())

    @property
    def rule(self) -> Rule:
        """The stopping rule: seeds fixed in advance, or added until the comparison was decided.

        "sequential" if the plans are damaged, because its inference is valid in both cases; "fixed" without
        plans.
        """
        if self.plans_are_damaged:
            return "sequential"
        return self.plans[-1].rule if self.plans else "fixed"

    @property
    def limit(self) -> int | None:
        """Maximum number of seeds under the sequential rule; None without a limit or a plan."""
        return self.plans[-1].limit if self.plans else None


def collect_panel(found: FoundPanel) -> CollectedPanel:
    """Read every planned run of a panel, its costs and plans; unplanned runs become remarks."""
    plans, unknown = _plans(found)
    closed = plans[-1].closed_in(found.panel.name) if plans else {}
    cells = {
        (arm.name, seed): read_run(found.directory.run(arm.name, seed), arm)
        for arm in found.panel.arms
        for seed in found.experiment.seeds
        if seed in closed.get(arm.name, found.experiment.seeds)
    }
    costs, unread = read_costs(found)
    retired = {
        (arm.name, seed): read_run(found.directory.run(arm.name, seed), None)
        for arm in found.experiment.retired
        for seed in found.experiment.seeds
    }
    remarks = (*unknown, *describe_unplanned_runs(found), *unread)
    return CollectedPanel(found, cells, costs, remarks, plans, bool(unknown), retired)


def retired_with_results(found: FoundPanel) -> list[RetiredArm]:
    """Return the retired arms of which a run has ended in the panel's directory."""
    runs = found.directory.runs() if found.experiment.retired else []
    ended = {run.arm for run in runs if read_run(run, None).state != "waiting"}
    return [arm for arm in found.experiment.retired if arm.name in ended]


def read_run(run: RunDirectory, arm: ArmConfig | None) -> CollectedRun:
    """Read one run; a defect becomes its state and reason, not an error.

    Args:
        arm: what the run has to be; None: a retired arm, of whose settings only its runs tell.
    """
    try:
        status = run.status()
        if status.state != "done":
            return _unfinished(run, status)
        record, result = run.record(), run.result()
        if record is None:
            return CollectedRun(
                run.arm, run.seed, "failed", "run.json is missing, so nobody knows what it is"
            )
        if result is None:
            return CollectedRun(
                run.arm, run.seed, "failed", "result.json is missing, though status.json says it is done"
            )
        reason = _foreign(record, run, arm)
        if reason:
            return CollectedRun(run.arm, run.seed, "failed", reason)
        return CollectedRun(run.arm, run.seed, "done", "", _outcome(result), _origin(record))
    except _UNREADABLE as error:
        return CollectedRun(run.arm, run.seed, "failed", _explained(error))


def recorded_overlaps(runs: Iterable[CollectedRun]) -> SplitOverlaps:
    """Return what the splits of the runs' corpus have in common; without splits if no run recorded it."""
    known = (run.provenance.overlaps for run in runs if run.provenance)
    return next((overlaps for overlaps in known if overlaps.splits), SplitOverlaps())


def read_costs(found: FoundPanel) -> tuple[MeasuredCosts, list[str]]:
    """Read cost.json; return the costs, and a remark if the file is damaged."""
    try:
        cost = found.directory.cost() or {}
        time, speed = (cost.get(key, {}) for key in ("relative_step_time", "tokens_per_second"))
        return MeasuredCosts(
            {str(arm): _number(value) for arm, value in time.items()},
            {str(arm): _number(value) for arm, value in speed.items()},
            {str(arm): tuple(map(_number, logs)) for arm, logs in cost.get("log_step_seconds", {}).items()},
        ), []
    except _UNREADABLE as error:
        return MeasuredCosts(), [f"the cost measurement cannot be read: {_explained(error)}"]


def _plans(found: FoundPanel) -> tuple[tuple[Plan, ...], list[str]]:
    """Read plans.jsonl; return the plans, and a remark if the file is damaged."""
    try:
        return read_plans(found.directory), []
    except _UNREADABLE as error:
        return (), [
            "plans.jsonl cannot be read, so nobody knows whether seeds were added after seeing results, and the"
            f" stricter rule for that case is used: {_explained(error)}"
        ]


def _unfinished(run: RunDirectory, status: RunStatus) -> CollectedRun:
    if status.state not in ("failed", "diverged"):
        return CollectedRun(run.arm, run.seed, "waiting", _WAITING.get(status.state, status.state))
    message = str((status.error or {}).get("message", ""))
    # A worker's message may hold a whole traceback; its last line says what happened.
    last = message.strip().split("\n")[-1] if message.strip() else "no reason was recorded"
    return CollectedRun(run.arm, run.seed, status.state, f"{status.state}: {last}")


def _foreign(record: Mapping[str, Any], run: RunDirectory, arm: ArmConfig | None) -> str:
    """Return why a run is not the one that experiment.yaml asks for; empty if it is."""
    if (record["arm"], record["seed"]) != (run.arm, run.seed):
        return f"foreign: run.json says it is arm {record['arm']}, seed {record['seed']}"
    if arm is None:
        return ""
    recorded = record["identity"]
    expected = requested_identity(arm.config, recorded, data_sha256=recorded["data_sha256"])
    differences = replace(expected, results_version=recorded["results_version"]).differences(recorded)
    if not differences:
        return ""
    more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
    return f"foreign: its settings are not those of experiment.yaml ({differences[0]}{more})"


def _origin(record: Mapping[str, Any]) -> RunProvenance:
    git = record.get("git") or {}
    return RunProvenance(
        data_sha256=str(record["identity"]["data_sha256"]),
        results_version=int(record["identity"]["results_version"]),
        versions={str(k): str(v) for k, v in record.get("versions", {}).items()},
        environment={str(k): str(v) for k, v in record.get("environment", {}).items()},
        commit=str(git["commit"]) if git.get("commit") else None,
        dirty=bool(git.get("dirty")),
        overlaps=SplitOverlaps() if record.get("data") is None else SplitOverlaps.from_json(record["data"]),
        code={str(k): str(v) for k, v in record["identity"].get("plugins", {}).items()},
        plugins=read_recorded_plugins(record),
    )


def read_recorded_plugins(record: Mapping[str, Any]) -> tuple[RecordedPlugin, ...]:
    """Return the plug-ins that a run.json names: those the run uses, or all that were loaded if no more was recorded."""
    if "plugin_files" not in record:
        return tuple(RecordedPlugin(str(k), str(v)) for k, v in sorted((record.get("plugins") or {}).items()))
    return tuple(
        RecordedPlugin(
            str(entry["name"]),
            str(entry["sha256"]),
            str(entry["file"]),
            None if entry["package"] is None else str(entry["package"]),
            tuple(map(str, entry["used_for"])),
            tuple(map(str, entry["copies"])),
        )
        for entry in record["plugin_files"]
    )


def _outcome(result: Mapping[str, Any]) -> RunResult:
    cost = result.get("cost") or {}
    memory, parameters = cost.get("peak_memory_mb"), result.get("parameters")
    return RunResult(
        metrics={str(name): _number(value) for name, value in result["metrics"].items()},
        signatures={str(name): str(text) for name, text in (result.get("signatures") or {}).items()},
        outputs_sha256=_sha256(result, "outputs_sha256"),
        train_nll_sha256=_sha256(result, "train_nll_sha256"),
        peak_memory_mb=None if memory is None else _number(memory),
        parameters=None if parameters is None else int(parameters),
        oracle=any(mask.get("oracle") is True for mask in result.get("masks") or ()),
        masks=tuple(dict(mask) for mask in result.get("masks") or ()),
        untrained_positions={
            str(split): (int(longer), int(total))
            for split, (longer, total) in (result.get("untrained_positions") or {}).items()
        },
        loss_without_tokens=result.get("loss_without_tokens") is True,
        masks_off={
            str(name): tuple(map(str, masks)) for name, masks in (result.get("masks_off") or {}).items()
        },
        undefined={str(name): str(reason) for name, reason in (result.get("undefined") or {}).items()},
        remarks={str(name): tuple(map(str, said)) for name, said in (result.get("remarks") or {}).items()},
        cut_off={
            str(split): (int(counts["cut"]), int(counts["sentences"]))
            for split, counts in (result.get("cut_off") or {}).items()
        },
    )


def _sha256(result: Mapping[str, Any], key: str) -> str | None:
    value = result.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} should be a text, got {value!r}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} stands where a finite number should")
    return float(value)


def _explained(error: Exception) -> str:
    if isinstance(error, MaskbenchError):
        return str(error)
    if isinstance(error, LookupError):
        return f"damaged: the entry {error} is missing"
    return f"damaged: {error}"


def describe_unplanned_runs(found: FoundPanel) -> list[str]:
    """Return a sentence for each arm with runs in the directory that experiment.yaml does not ask for."""
    retired = {arm.name for arm in found.experiment.retired}
    arms, seeds = {arm.name for arm in found.panel.arms} | retired, set(found.experiment.seeds)
    present = [(run.arm, run.seed) for run in found.directory.runs()]
    others: dict[str, list[int]] = {}
    for arm, seed in present:
        if arm not in arms or seed not in seeds:
            others.setdefault(arm, []).append(seed)
    return [
        f"left out: {arm}, {format_seeds(ran)}, which experiment.yaml does not ask for"
        for arm, ran in others.items()
    ]


def format_seeds(seeds: list[int]) -> str:
    """Return seeds as text, consecutive ones as a range: `seed 3`, `seeds 0-3, 7`."""
    ordered = sorted(seeds)
    spans: list[tuple[int, int]] = []
    for seed in ordered:
        if spans and seed == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], seed)
        else:
            spans.append((seed, seed))
    listed = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    return f"seed {listed}" if len(ordered) == 1 else f"seeds {listed}"
