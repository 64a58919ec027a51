"""Records of a run for TensorBoard's HParams page: its settings, the group of its seeds, its final state.

The records go into the run's own event file, so that its curves and its settings belong to one TensorBoard
run. Settings come from run.json. The page accepts numbers and texts and drops or refuses other types, so
all other values are written as text.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from maskbench.runs.directory import RunDirectory, RunStateName
from maskbench.runs.json_files import canonical_json
from maskbench.tensorboard.events import SummaryValue
from maskbench.text import sanitize

Setting = float | str
"""A value of a column on the HParams page."""

NO_MASK = "none"


def settings(record: Mapping[str, Any], place: str) -> dict[str, Setting]:
    """Return a run's settings by dotted key, from the contents of run.json.

    `arm`, `masks` and `panel` come first. An option of a mask is called `site.mask.option`; the mask's name
    gets a number if a site has the mask twice.

    Args:
        place: name of the folder that holds the arm: the panel's, or the experiment's if it has no panels.
    """
    config = record["identity"]["config"]
    masks = list(_named_masks(config.get("masks") or ()))
    found: dict[str, Setting] = {"arm": str(record["arm"])}
    found["masks"] = ", ".join(name for name, _ in masks) or NO_MASK
    found["panel"] = place
    for name, placement in masks:
        options = {key: value for key, value in placement.items() if key not in ("site", "mask", "options")}
        found |= dict(_flat(f"{name}.", options))
        # Not flattened: a schedule is one option.
        found |= {f"{name}.{key}": _plain(value) for key, value in (placement.get("options") or {}).items()}
    for section, value in config.items():
        if section != "masks":
            found |= dict(_flat("", {section: value}))
    return {
        # JSON may hold half a surrogate pair, which cannot be written.
        sanitize(key.replace("corpus.options.", "corpus.")): sanitize(value)
        if isinstance(value, str)
        else value
        for key, value in found.items()
    }


def group_name(record: Mapping[str, Any], place: str) -> str:
    """Return the group name of an arm's seeds: the arm's name and a hash of configuration, data and `place`.

    Args:
        place: as for `settings`; it distinguishes equal arms of two experiments.
    """
    identity = record["identity"]
    told = {"config": identity["config"], "data": identity["data_sha256"], "place": place}
    return f"{sanitize(str(record['arm']))}-{hashlib.sha256(canonical_json(told).encode()).hexdigest()[:12]}"


def parent_folder_name(run: RunDirectory) -> str:
    """Return the name of the folder that holds a run's arm."""
    return run.path.resolve().parent.parent.name


def make_session_start(run: RunDirectory, record: Mapping[str, Any], time: float) -> SummaryValue:
    """Return the HParams record of a run's start, with its group and settings.

    Args:
        time: start of the run in seconds since 1970.
    """
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    place = parent_folder_name(run)
    info = SessionStartInfo(group_name=group_name(record, place), start_time_secs=time)
    for key, value in settings(record, place).items():
        if isinstance(value, str):
            info.hparams[key].string_value = value
        else:
            info.hparams[key].number_value = value
    return make_plugin_value(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def make_session_end(state: RunStateName, time: float) -> SummaryValue | None:
    """Return the HParams record of a run's end; None unless it is done, failed or diverged."""
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    statuses = {
        "done": api_pb2.STATUS_SUCCESS,
        "failed": api_pb2.STATUS_FAILURE,
        "diverged": api_pb2.STATUS_FAILURE,
    }
    if state not in statuses:
        return None
    info = SessionEndInfo(status=statuses[state], end_time_secs=time)
    return make_plugin_value(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def make_plugin_value(tag: str, data: Any) -> SummaryValue:
    """Return an event entry that holds plug-in data for the HParams page."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    described = metadata.create_summary_metadata(data)
    return Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)


def _named_masks(placements: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    names = [f"{placement['site']}.{placement['mask']}" for placement in placements]
    seen: Counter[str] = Counter()
    for name, placement in zip(names, placements, strict=True):
        seen[name] += 1
        yield (f"{name}-{seen[name]}" if names.count(name) > 1 else name), placement


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Setting]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", _plain(value)


def _plain(value: Any) -> Setting:
    """Return a JSON value as a number or a text for the page."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False)
