"""Write an experiment as YAML text: defaults filled in, grids expanded, `--set` applied.

The file is a valid experiment file. Loading it gives an equal `Experiment`.
"""

from __future__ import annotations

from typing import Any

import yaml

from maskbench.config.parsing.yaml_reader import resolve_scalar
from maskbench.config.resolve.panels import flatten_settings
from maskbench.config.schema.experiment import (
    ArmConfig,
    Experiment,
    PanelConfig,
    PlacementConfig,
    RunConfig,
    StartConfig,
)

_WIDTH = 110
_LENGTH = "train.length"
_TAGS = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}

Flat = dict[str, Any]
"""Settings that arms may set, by dotted key. `train.length` stands for the one of `train.steps` and
`train.epochs` that is present; its value is that key and its value."""


def dump_resolved(experiment: Experiment) -> str:
    """Return the experiment as the text of an experiment file.

    Raises:
        ValueError: no file can express it: the panels have different arms, or an arm's masks differ between
            them.
    """
    first = experiment.panels[0]
    rows = _rows(experiment.panels)
    common = _common(rows, first.baseline)
    config = first.arms[0].config
    data: dict[str, Any] = {
        "name": experiment.name,
        "seeds": list(experiment.seeds),
        "baseline": first.baseline,
    }
    data["compare"] = experiment.compare.model_dump(mode="json")
    data["corpus"] = _corpus(config)
    for key, value in _spelled(common[0]).items():
        section, _, name = key.partition(".")
        data.setdefault(section, {})[name] = value
    data["evaluate"] = _evaluate(first)
    data["arms"] = {arm.name: _arm(arm, rows[arm.name], common) for arm in first.arms}
    if experiment.retired:
        data["retired"] = {arm.title: arm.reason for arm in experiment.retired}
    if first.name is not None:
        named = zip(experiment.panels, common, strict=True)
        data["panels"] = {panel.name: _panel(panel, settings, first, common[0]) for panel, settings in named}
    comment = "".join(f"# {line}".rstrip() + "\n" for line in experiment.question.split("\n"))
    return (comment if experiment.question else "") + _to_yaml(data)


def _rows(panels: tuple[PanelConfig, ...]) -> dict[str, list[Flat]]:
    """Return, for each arm, its settings in every panel."""
    rows: dict[str, list[Flat]] = {arm.name: [] for arm in panels[0].arms}
    for panel in panels:
        same_arms = [arm.name for arm in panel.arms] == list(rows)
        for arm, first in zip(panel.arms, panels[0].arms, strict=same_arms):
            if not same_arms or _unsettable(arm) != _unsettable(first):
                raise ValueError(f"panel {panel.name!r} has other arms than {panels[0].name!r}")
            rows[arm.name].append(_flat(arm.config))
    return rows


def _unsettable(arm: ArmConfig) -> tuple[object, ...]:
    """Return the fields of an arm that no panel can change."""
    config = arm.config
    return arm.title, config.masks, config.streams, config.init_from, config.train_only


def _flat(config: RunConfig) -> Flat:
    """Return the settings of a run that an arm may set."""
    settings = {key: value for key, value in flatten_settings(config).items() if _is_settable(key)}
    for key in ("train.steps", "train.epochs"):
        if key in settings:
            settings[_LENGTH] = (key, settings.pop(key))
    return settings


def _is_settable(key: str) -> bool:
    return key.startswith(("model.", "train.", "decode."))


def _spelled(settings: Flat) -> Flat:
    """Return settings under the keys of an experiment file."""
    spelled = {key: value for key, value in settings.items() if key != _LENGTH}
    return {**spelled, **dict([settings[_LENGTH]])} if _LENGTH in settings else spelled


def _common(rows: dict[str, list[Flat]], baseline: str) -> list[Flat]:
    """Return, for each panel, the settings of an arm without a `set`.

    What an arm sets is the same in every panel. So if some arm's value of a key differs between panels, the
    panels set it; otherwise the baseline's value is used.
    """
    common: list[Flat] = [{} for _ in rows[baseline]]
    for key in rows[baseline][0]:
        columns = [[settings[key] for settings in row] for row in (rows[baseline], *rows.values())]
        varying = (column for column in columns if any(value != column[0] for value in column))
        for settings, value in zip(common, next(varying, columns[0]), strict=True):
            settings[key] = value
    return common


def _arm(arm: ArmConfig, row: list[Flat], common: list[Flat]) -> Any:
    """Return the arm as a list of placements, or as a mapping if it has other keys than `masks`."""
    own: Flat = {}
    for here, shared in zip(row, common, strict=True):
        own |= {key: value for key, value in here.items() if value != shared[key]}
    if any(here[key] != value for here in row for key, value in own.items()):
        raise ValueError(f"arm {arm.name!r} differs between panels")
    long: dict[str, Any] = {"title": arm.title} if arm.title != arm.name else {}
    long["masks"] = [_placement(placement) for placement in arm.config.masks]
    if own:
        long["set"] = _spelled(own)
    if arm.config.streams != "a":
        long["streams"] = arm.config.streams
    start = arm.config.model_dump(mode="json", include=set(StartConfig.model_fields), exclude_none=True)
    long |= {key: start[key] for key in StartConfig.model_fields if key in start}
    return long if len(long) > 1 else long["masks"]


def _placement(placement: PlacementConfig) -> dict[str, Any]:
    """Return a placement as one flat mapping: its keys and the options of its strategy."""
    fields = placement.model_dump(mode="json", exclude={"options"}, exclude_none=True)
    return {**fields, **placement.options}


def _evaluate(panel: PanelConfig) -> dict[str, Any]:
    """Return a panel's `evaluate` section; masks of arms outside the panel are written out."""
    config = panel.arms[0].config
    there = {"own", *(arm.name for arm in panel.arms)}
    named = [name if name in there else _masks(name, config.under[name]) for name in config.evaluate.masks]
    section = {**config.evaluate.model_dump(mode="json"), "masks": named}
    # Written also where it is empty: a file without it would keep what is learned.
    return {**section, "keep": list(config.evaluate.keep)} if config.under else section


def _masks(name: str, placements: tuple[PlacementConfig, ...]) -> Any:
    """Return an item of `evaluate.masks` for masks that no arm of the panel has."""
    if name == "none" and not placements:
        return name
    return {name: [_placement(placement) for placement in placements]}


def _corpus(config: RunConfig) -> dict[str, Any]:
    return {"name": config.corpus.name, **config.corpus.options}


def _panel(panel: PanelConfig, settings: Flat, first: PanelConfig, base: Flat) -> dict[str, Any]:
    """Return the settings in which a panel differs from the first one."""
    mine, others = panel.arms[0].config, first.arms[0].config
    changes: dict[str, Any] = {}
    if mine.corpus != others.corpus:
        changes["corpus"] = _corpus(mine)
    changes |= _spelled({key: value for key, value in settings.items() if value != base[key]})
    evaluate = _evaluate(first)
    for key, value in ({"keep": []} | _evaluate(panel)).items():
        if value != evaluate.get(key, []):
            changes[f"evaluate.{key}"] = value
    return changes


class _Dumper(yaml.SafeDumper):
    """Quotes every string that `yaml_reader` would not read as a string."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag an unquoted scalar has."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        try:
            return f"tag:yaml.org,2002:{_TAGS[type(resolve_scalar(value))]}" if value != "<<" else "!quoted"
        except ValueError:
            return "!quoted"

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: write equal values out in full each time."""
        return True


def _to_yaml(data: dict[str, Any]) -> str:
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=None
    )
    return text
