"""A placement to draw, from a strategy's name and `--set option=value`, checked as an experiment file is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskbench.config.parsing.nodes import Change, Node
from maskbench.config.parsing.problems import Report
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.config.resolve.overrides import lay_over, read_options
from maskbench.config.resolve.placements import Checks
from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.errors import ConfigError
from maskbench.masks.catalogue import flow
from maskbench.registry import MASKS, PRESETS


def placement_of(name: str, site: str, settings: Sequence[str], model: ModelConfig) -> PlacementConfig:
    """Return a placement of a strategy or a preset.

    Options that are not set are those of the strategy's example (or the preset's); where they do not go together with
    what is set, only the example's required ones.

    Args:
        settings: `option=value`, the value in YAML; `refresh`, `layers` and so on are set likewise.

    Raises:
        ConfigError: a setting is wrong, or the strategy does not act at `site`.
    """
    preset = PRESETS.get(name)
    mask = preset.mask if preset else name
    cls = MASKS.lookup(mask)
    given = cls.example.model_dump(mode="json", exclude_unset=True)
    given = {**given, **preset.options} if preset else given
    # Alone in its arm, a placement that leaks harms nobody.
    base = {"site": site, "mask": mask, "unsafe": True}
    try:
        return _checked({**base, **given}, settings, model)
    except ConfigError:
        if not settings or preset:
            raise
        required = {key for key, field in cls.Options.model_fields.items() if field.is_required()}
        least = {key: value for key, value in given.items() if key in required}
        try:
            return _checked({**base, **least}, settings, model)
        except ConfigError:
            pass
        raise


def _checked(written: Mapping[str, Any], settings: Sequence[str], model: ModelConfig) -> PlacementConfig:
    report = Report(str(written["mask"]))
    tree: Node = parse_yaml(flow(dict(written)), report)
    changes: list[Change] = read_options(settings, report)
    for change in changes:
        if change.key in ("site", "mask"):
            report.add(change.key_place, "give the strategy as the argument and the site with --site")
    report.raise_if_any()
    placement = Checks(report).placement(lay_over(tree, changes, report), "the placement", model)
    report.raise_if_any()
    assert placement is not None  # or there was a problem to report
    return placement
