"""Settings that override the file: a panel's, an arm's `set`, `quick`, and `--set` of the command line.

All of them are dotted keys with values. The last one wins, in this order: file, quick, `--set`, panel, arm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from pydantic import BaseModel

from maskbench.config.parsing.nodes import Node, Override, empty_mapping, set_by_path
from maskbench.config.parsing.problems import Place, ProblemReport, shorten
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.config.schema.experiment import (
    CompareConfig,
    DecodeConfig,
    EvaluateConfig,
    ModelConfig,
    TrainConfig,
)
from maskbench.errors import ConfigError
from maskbench.registry import did_you_mean

SECTIONS: dict[str, type[BaseModel] | None] = {
    "corpus": None,
    "model": ModelConfig,
    "train": TrainConfig,
    "decode": DecodeConfig,
    "evaluate": EvaluateConfig,
    "compare": CompareConfig,
}
"""The pydantic model of every section; None for the corpus, whose keys depend on its name."""

ARM_SECTIONS = ("model", "train", "decode")
"""Sections an arm may set. Corpus and evaluation are excluded, so that arms stay comparable."""
PANEL_SECTIONS = ("corpus", *ARM_SECTIONS, "evaluate")
QUICK_SECTIONS = (*PANEL_SECTIONS, "compare", "panels", "arms")

# Both say how long to train; setting one removes the other.
_EITHER = {"train.steps": "train.epochs", "train.epochs": "train.steps"}


def read_overrides(node: Node, what: str, sections: Sequence[str], report: ProblemReport) -> list[Override]:
    """Return the dotted keys and values of a mapping; report keys of other sections."""
    overrides = []
    for key, entry in node.entries.items():
        root, dot, rest = key.partition(".")
        if root in sections and (rest or (root == "corpus" and not dot)):
            overrides.append(Override(key, entry.key_place, entry.node))
            continue
        models = ((section, SECTIONS.get(section)) for section in sections)
        meant = next((f"{section}.{key}" for section, m in models if m and key in m.model_fields), None)
        hint = f"; did you mean {meant!r}?" if meant else ""
        form = f"write section.key, of {', '.join(sections)}"
        report.add(entry.key_place, f"unknown setting {shorten(key)!r} in {what}{hint} ({form})")
    return overrides


def apply_overrides(tree: Node, overrides: Iterable[Override], report: ProblemReport) -> Node:
    """Return `tree` with the overrides applied in order; report those that cannot be applied."""
    overrides = list(overrides)
    keys = {override.key for override in overrides}
    for override in overrides:
        section, _, other = _EITHER.get(override.key, "").partition(".")
        replaced = tree.get(section)
        if replaced and other in replaced.entries and f"{section}.{other}" not in keys:
            kept = {key: entry for key, entry in replaced.entries.items() if key != other}
            place = tree.entries[section].key_place
            tree = set_by_path(tree, Override(section, place, Node(replaced.place, kept)))
        try:
            tree = set_by_path(tree, override)
        except ValueError as error:
            report.add(override.key_place, f"cannot set {shorten(override.key)!r}: {error}")
    return tree


def keep_panels(tree: Node, wanted: Node, report: ProblemReport) -> Node:
    """Return the file with only the panels that the list `quick.panels` names, in the file's order."""
    panels = tree.get("panels") or empty_mapping(tree.place)
    known, names = list(panels.entries), [str(item.value) for item in wanted.items]
    for name, item in zip(names, wanted.items, strict=True):
        if name not in known:
            message = f"quick.panels: there is no panel {shorten(name)!r}{did_you_mean(name, known)}"
            report.add(item.place, f"{message} (panels: {', '.join(known) or 'none'})")
    if not names:
        report.add(wanted.place, "quick.panels must name at least one panel; without the key all are kept")
    if not set(names) & set(known):
        return tree
    return set_by_path(
        tree, Override("panels", tree.entries["panels"].key_place, panels.filter_keys(names.__contains__))
    )


def parse_set_options(overrides: Sequence[str], report: ProblemReport) -> list[Override]:
    """Return the overrides of `--set K=V`; the value is YAML, such as `[1, 2]`, `1e-3` or `true`."""
    parsed = []
    for text in overrides:
        option = f"--set {text}"
        key, equals, value = text.partition("=")
        if not equals or not key or not all(key.split(".")):
            report.add(Place(option), "must have the form KEY=VALUE, such as train.steps=100")
            continue
        n_found = report.n_found
        # An unreadable value is already in the report; continue with the next one.
        with suppress(ConfigError):
            node = parse_yaml(value, report, option)
            if report.n_found == n_found:
                parsed.append(Override(key, Place(option), node))
    return parsed


def report_ineffective(
    overrides: Iterable[Override], groups: Sequence[Sequence[Override]], what: str, report: ProblemReport
) -> None:
    """Report the overrides without effect: those whose key every panel, or every arm, sets itself.

    Args:
        overrides: those applied to the whole file.
        groups: the overrides of each panel or arm.
        what: "panel" or "arm".
        report: receives the problems.
    """
    for override in overrides:
        if groups and is_replaced_by_all(override.key, groups):
            report.add(override.key_place, f"{override.key} has no effect here: every {what} sets it itself")


def is_replaced_by_all(key: str, groups: Sequence[Sequence[Override]]) -> bool:
    """Return whether every group of overrides sets a dotted key itself, or a whole that the key is part of."""
    return all(
        any(key == own.key or key.startswith(f"{own.key}.") or _EITHER.get(own.key) == key for own in group)
        for group in groups
    )
