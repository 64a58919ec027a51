"""Columns of the HParams page: settings that differ between an experiment's runs, and their final metrics.

A setting differs also if only some runs have it; the cells of the others are empty.

Without this record the page shows every setting and every logged number. An experiment has one record, at
its root. A page over several experiments uses the columns of the first record it finds for all of them, so
show one experiment at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maskbench.errors import MaskbenchError
from maskbench.runs.directory import RunDirectory
from maskbench.runs.json_files import wrap_corruption
from maskbench.tensorboard.events import SummaryValue
from maskbench.tensorboard.hparams import Setting, make_plugin_value, parent_folder_name, settings
from maskbench.text import sanitize

ALWAYS_SHOWN = ("arm", "masks")


def make_columns(runs: Sequence[RunDirectory], compared: str) -> SummaryValue | None:
    """Return the record of an experiment's columns; None if no run has begun.

    Args:
        compared: the metric that gets verdicts; it becomes the first metric column.
    """
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    values = differing(filter(None, map(_settings, runs)))
    if not values:
        return None
    names = [api_pb2.MetricName(tag=sanitize(metric)) for metric in list_final_metrics(runs, compared)]
    experiment = api_pb2.Experiment(
        hparam_infos=[_info(key, found) for key, found in values.items()],
        metric_infos=[api_pb2.MetricInfo(name=name) for name in names],
    )
    return make_plugin_value(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))


def differing(found: Iterable[Mapping[str, Setting]]) -> dict[str, list[Setting]]:
    """Return the distinct values of `arm`, `masks` and every key that differs, in order of appearance.

    A key differs if it has several values, or if some of the runs lack it: an option of one arm's mask, or
    `train.epochs` beside `train.steps`.
    """
    values: dict[str, dict[Setting, None]] = defaultdict(dict)
    holders: Counter[str] = Counter()
    n_runs = 0
    for one in found:
        n_runs += 1
        holders.update(one.keys())
        for key, value in one.items():
            values[key][value] = None
    return {
        key: list(seen)
        for key, seen in values.items()
        if key in ALWAYS_SHOWN or len(seen) > 1 or holders[key] < n_runs
    }


def list_final_metrics(runs: Iterable[RunDirectory], compared: str) -> list[str]:
    """Return the names of all final metrics of the runs, `compared` first."""
    names: dict[str, None] = {}
    for run in runs:
        names |= dict.fromkeys(_metrics(run))
    return sorted(names, key=lambda name: name != compared)


def _settings(run: RunDirectory) -> dict[str, Setting] | None:
    try:
        record = run.record()
        with wrap_corruption(run.path / "run.json"):
            return None if record is None else settings(record, parent_folder_name(run))
    except MaskbenchError:  # `compare` reports it
        return None


def _metrics(run: RunDirectory) -> list[str]:
    try:
        with wrap_corruption(run.path / "result.json"):
            return list((run.result() or {"metrics": {}})["metrics"])
    except MaskbenchError:  # `compare` reports it
        return []


def _info(key: str, values: Sequence[Setting]) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    numbers = [value for value in values if not isinstance(value, str)]
    # Keys with one value are here because some runs lack them; the page shows a setting at first if it differs.
    differs = len(values) > 1 or key not in ALWAYS_SHOWN
    info = api_pb2.HParamInfo(name=key, differs=differs, type=api_pb2.DATA_TYPE_STRING)
    if len(numbers) == len(values):
        info.type = api_pb2.DATA_TYPE_FLOAT64
        info.domain_interval.CopyFrom(api_pb2.Interval(min_value=min(numbers), max_value=max(numbers)))
    elif not numbers:
        for value in values:
            info.domain_discrete.values.add(string_value=str(value))
    # Mixed numbers and texts (a schedule) get no domain: the page would filter the numbers out.
    return info
