"""Settings that are laid over the file: a panel's, an arm's `set`, `quick`, and `--set` of the command line.

All of them are dotted keys with values. Later ones win: file, quick, `--set`, panel, arm.
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
"""Every section, with the model that has its keys; those of the corpus depend on its name."""

ARM_SECTIONS = ("model", "train", "decode")
"""What an arm may set: never the corpus or how it is measured, or arms could not be compared."""
PANEL_SECTIONS = ("corpus", *ARM_SECTIONS, "evaluate")
QUICK_SECTIONS = (*PANEL_SECTIONS, "compare", "panels", "arms")

# Either says how long to train; setting one puts the other out of force.
_EITHER = {"train.steps": "train.epochs", "train.epochs": "train.steps"}


def read_overrides(node: Node, what: str, sections: Sequence[str], report: ProblemReport) -> list[Override]:
    """Return the dotted keys of a mapping with their values; keys of other sections are noted."""
    changes = []
    for key, entry in node.entries.items():
        root, dot, rest = key.partition(".")
        if root in sections and (rest or (root == "corpus" and not dot)):
            changes.append(Override(key, entry.key_place, entry.node))
        else:
            report.add(entry.key_place, _unknown(key, what, sections))
    return changes


def _unknown(key: str, what: str, sections: Sequence[str]) -> str:
    meant = [
        f"{section}.{key}"
        for section in sections
        if (model := SECTIONS.get(section)) and key in model.model_fields
    ]
    hint = f"; did you mean {meant[0]!r}?" if meant else ""
    return f"unknown setting {shorten(key)!r} in {what}{hint} (write section.key, of {', '.join(sections)})"


def apply_overrides(tree: Node, changes: Iterable[Override], report: ProblemReport) -> Node:
    """Return `tree` with the changes made, in order."""
    changes = list(changes)
    keys = {change.key for change in changes}
    for change in changes:
        other = _EITHER.get(change.key)
        if other and other not in keys:
            tree = _without_train_key(tree, other.removeprefix("train."))
        try:
            tree = set_by_path(tree, change)
        except ValueError as error:
            report.add(change.key_place, f"cannot set {shorten(change.key)!r}: {error}")
    return tree


def keep_panels(tree: Node, wanted: Node, report: ProblemReport) -> Node:
    """Return the file with the panels that the list `quick.panels` names, in the file's order."""
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


def _without_train_key(tree: Node, key: str) -> Node:
    train = tree.get("train")
    if train is None or key not in train.entries:
        return tree
    place = tree.entries["train"].key_place
    return set_by_path(tree, Override("train", place, train.filter_keys(lambda other: other != key)))


def parse_set_options(overrides: Sequence[str], report: ProblemReport) -> list[Override]:
    """Return what `--set K=V` says; the value is YAML, so `[1, 2]`, `1e-3` and `true` are what they look like."""
    changes = []
    for text in overrides:
        option = f"--set {text}"
        key, equals, value = text.partition("=")
        if not equals or not key or not all(key.split(".")):
            report.add(Place(option), "must have the form KEY=VALUE, such as train.steps=100")
            continue
        n_found = report.n_found
        # A value that cannot be read is in the report; the others are read all the same.
        with suppress(ConfigError):
            node = parse_yaml(value, report, option)
            if report.n_found == n_found:
                changes.append(Override(key, Place(option), node))
    return changes


def report_ineffective(
    changes: Iterable[Override], groups: Sequence[Sequence[Override]], what: str, report: ProblemReport
) -> None:
    """Note changes that reach nothing because every panel, or every arm, sets the same itself.

    Args:
        changes: made to the file as a whole.
        groups: what each panel or arm sets.
        what: "panel" or "arm".
    """
    for change in changes:
        if groups and all(any(_covers(own.key, change.key) for own in owns) for owns in groups):
            message = f"{change.key} has no effect here: every {what} sets it itself"
            report.add(change.key_place, message)


def _covers(own: str, key: str) -> bool:
    return key == own or key.startswith(f"{own}.") or _EITHER.get(own) == key
