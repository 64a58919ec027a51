"""The plan of an experiment: its runs, their order, and what would happen to each.

Planning reads run directories and writes nothing. A run with a result is kept, one that was begun is resumed, and a
directory that holds another run is refused. So running the same file again costs nothing, and adding arms or seeds
costs only these. No torch here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, Experiment
from maskbench.errors import MaskbenchError, RunDirectoryError
from maskbench.records.collect import read_run
from maskbench.registry import PluginCode
from maskbench.runs.directory import ExperimentDirectory, RunDirectory
from maskbench.runs.identity import PLUGIN_CODE, identity_with_plugins, requested_identity
from maskbench.runs.json_files import wrap_corruption
from maskbench.runs.starting_point import find_starting_point

if TYPE_CHECKING:
    from maskbench.data.corpus import Corpus

CACHE = ".cache"
"""The folder of built corpora inside the runs directory; no experiment can have this name."""

PlanState = Literal["new", "finished", "resumed", "diverged", "changed", "damaged"]


class RunName(NamedTuple):
    """Names a run of an experiment."""

    panel: str | None
    arm: str
    seed: int

    def __str__(self) -> str:
        place = f"{self.panel}/{self.arm}" if self.panel else self.arm
        return f"{place} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of the plan, and what would happen to it."""

    panel: str | None
    arm: ArmConfig
    seed: int
    directory: RunDirectory
    state: PlanState
    """`new`: trained; `resumed`: was begun, trained to its end; `finished`, `diverged`: left as it is, since the same
    seed would end in the same way; `changed`: the directory holds another run, refused; `damaged`: it is done, and its
    files cannot be used, refused."""
    differences: tuple[str, ...] = ()
    """Of a changed run: `train.lr 0.001 -> 0.0003`, recorded -> asked for. Of a damaged one: what is wrong."""

    @property
    def name(self) -> RunName:
        """Panel, arm and seed."""
        return RunName(self.panel, self.arm.name, self.seed)

    @property
    def is_due(self) -> bool:
        """Whether this run would train."""
        return self.state in ("new", "resumed")


def corpus_key(corpus: CorpusConfig) -> str:
    """Return a string that is equal exactly for equal corpus settings."""
    return json.dumps([corpus.name, corpus.options], sort_keys=True)


def plan_runs(
    experiment: Experiment, runs_dir: Path, corpora: Mapping[str, Corpus] | None = None
) -> tuple[PlannedRun, ...]:
    """Return every run of the experiment in the order in which they would start; reads directories, writes nothing.

    All arms of one seed come before the next seed, so an interrupted study stays balanced, and the order of the arms
    is rotated from seed to seed, so that no arm always trains at the same time of the study.

    Args:
        experiment: the loaded experiment.
        runs_dir: the directory that holds experiments.
        corpora: each corpus by `corpus_key`, once it is built; without them, corpora that were changed since are not
            noticed, nor is other attention of long sentences.
    """
    runs = []
    for position, seed in enumerate(experiment.seeds):
        for panel in experiment.panels:
            turn = position % len(panel.arms)
            for arm in (*panel.arms[turn:], *panel.arms[:turn]):
                directory = ExperimentDirectory.of(runs_dir, experiment.name, panel.name).run(arm.name, seed)
                corpus = None if corpora is None else corpora[corpus_key(arm.config.corpus)]
                state, differences = _examine(directory, arm, seed, corpus)
                runs.append(PlannedRun(panel.name, arm, seed, directory, state, differences))
    return tuple(runs)


def _examine(
    directory: RunDirectory, arm: ArmConfig, seed: int, corpus: Corpus | None
) -> tuple[PlanState, tuple[str, ...]]:
    try:
        record, status = directory.record(), directory.status()
        if record is None and status.state != "done":
            return "new", ()
        if record is not None:
            used = _used_code(arm)
            with wrap_corruption(directory.path / "run.json"):
                recorded = identity_with_plugins(record, used)
                weights = _starting_weights(arm, seed)
                wanted = requested_identity(
                    arm.config,
                    recorded,
                    data_sha256=None if corpus is None else corpus.sha256,
                    init_sha256=weights,
                    plugins={what: code.sha256 for what, code in used.items()},
                    attention_paths="recorded" if corpus is None else _attention_paths(arm, corpus),
                )
                differences = wanted.differences(recorded)
            if differences:
                return "changed", tuple(differences)
    except RunDirectoryError as error:
        return "damaged", (str(error),)
    if status.state == "done":
        cell = read_run(directory, arm)
        place = "" if str(directory.path) in cell.reason else f"{directory.path}: "
        return ("finished", ()) if cell.state == "done" else ("damaged", (place + cell.reason,))
    return ("diverged" if status.state == "diverged" else "resumed"), ()


def _used_code(arm: ArmConfig) -> Mapping[str, PluginCode]:
    """Return the plug-in code that the arm's runs would use."""
    # Imported here because it needs torch: readers of run directories import this module for its names.
    from maskbench.plugins.uses import used_code

    return used_code(arm.config)


def _attention_paths(arm: ArmConfig, corpus: Corpus) -> int | None:
    """Return the version of the attention of long sentences that the arm's runs would use; None without long sentences."""
    from maskbench.model.attention_path import paths_version

    return paths_version(arm.config.model, corpus.max_length)


def _starting_weights(arm: ArmConfig, seed: int) -> str | None:
    """Return the hash of the weights from which a run would start; None if it initialises its own.

    None also where they cannot be read: a finished run needs them no more, and a run that is due is refused when its
    model is built, with the reason.
    """
    if arm.config.init_from is None:
        return None
    try:
        return find_starting_point(arm.config.init_from, seed).sha256
    except MaskbenchError:
        return None


def refuse_unusable_runs(runs: Sequence[PlannedRun]) -> None:
    """Raise if any directory of the plan holds another run, or a finished one that cannot be used.

    Raises:
        RunDirectoryError: naming every such run, what differs, and what to do.
    """
    damaged = [run for run in runs if run.state == "damaged"]
    if damaged:
        n = len(damaged)
        lines = [f"{n} of {len(runs)} runs {'is' if n == 1 else 'are'} damaged; nothing was trained"]
        lines += [f"  {run.name}: {run.differences[0]}" for run in damaged]
        lines.append(
            f"move {'its folder' if n == 1 else 'their folders'} away, for example {damaged[0].directory.path}, and the "
            "same command trains what is missing anew"
        )
        raise RunDirectoryError("\n".join(lines))
    changed = [run for run in runs if run.state == "changed"]
    if not changed:
        return
    groups: dict[tuple[str, ...], list[PlannedRun]] = {}
    for run in changed:
        groups.setdefault(run.differences, []).append(run)
    is_code = all(line.startswith(PLUGIN_CODE) for run in changed for line in run.differences)
    made = "by other code of a plug-in" if is_code else "with other settings"
    lines = [f"{len(changed)} of {len(runs)} runs were made {made}; nothing was trained"]
    for differences, members in groups.items():
        lines += [f"  {_named(members)}:", *(f"    {line}" for line in differences)]
    if any(line.startswith(PLUGIN_CODE) for run in changed for line in run.differences):
        lines.append(
            "runs of different code are not averaged; every run keeps a copy of its plug-in, in plugins/"
        )
    restored = "code" if is_code else "settings"
    lines.append(f"restore the {restored}, give the experiment another name, choose another --runs-dir,")
    lines.append(f"or move these runs away, for example {changed[0].directory.path}")
    raise RunDirectoryError("\n".join(lines))


def _named(runs: Sequence[PlannedRun]) -> str:
    shown = ", ".join(str(run.name) for run in runs[:3])
    return f"{shown} and {len(runs) - 3} more" if len(runs) > 3 else shown
