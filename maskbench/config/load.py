"""Loads an experiment file: from text to an `Experiment`, or to every problem it has, each with its place.

The names a file may use are those of the registries; the caller imports `maskbench.masks` and `maskbench.data` (and
plug-ins) first. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskbench.config.parsing.file_reader import read_text
from maskbench.config.parsing.nodes import Node, Override
from maskbench.config.parsing.problems import ProblemReport, split_lines
from maskbench.config.parsing.validation import must_be
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.config.resolve.dump import dump_resolved
from maskbench.config.resolve.experiment import Selection, resolve_experiment
from maskbench.config.resolve.overrides import (
    QUICK_SECTIONS,
    apply_overrides,
    keep_panels,
    parse_set_options,
    read_overrides,
)
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.schema.experiment import Experiment
from maskbench.errors import ConfigError

__all__ = ["dump_resolved", "load_experiment", "load_resolved", "locate_error"]


def load_experiment(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    seeds: str | None = None,
    arms: Sequence[str] = (),
    quick: bool = False,
) -> Experiment:
    """Return the experiment in the file at `path`.

    Args:
        path: the experiment file.
        overrides: `K=V` of every `--set`: a dotted key of the file and a YAML value.
        seeds: `--seeds`, in place of the file's: `4` (a count), `0-7` or `1,3,5`.
        arms: `--arm`: exactly these arms are kept, and the baseline. The key of a grid stands for all its arms.
        quick: lay the file's `quick` over it, and end the experiment's name in `-quick`.

    Raises:
        ConfigError: anything is wrong with the file or the options; the message has all problems, each with its
            place, the offending line and what to do.
    """
    report = ProblemReport(str(path))
    tree = parse_yaml(read_text(path, report), report)
    changes = parse_set_options(overrides, report)
    selection = Selection(seeds, tuple(arms), quick=quick)
    # Both variants are checked: a mistake in `quick` should not wait for the first --quick.
    as_written = _resolve(_Variant(tree, selection), changes, report)
    as_quick = (
        _resolve(_quick(tree, selection, report), changes, report) if "quick" in tree.entries else as_written
    )
    return _finish(as_quick if quick else as_written, report)


def load_resolved(path: Path) -> Experiment:
    """Return the experiment in a file that `dump_resolved` wrote.

    No strategy or corpus is asked, so torch is not needed; their options are taken as they stand.

    Raises:
        ConfigError: the file is damaged.
    """
    report = ProblemReport(str(path))
    tree = parse_yaml(read_text(path, report), report)
    return _finish(resolve_experiment(tree, Selection(), RegistryValidator(report, trusted=True), []), report)


def locate_error(path: Path, key: str, message: str, *, overrides: Sequence[str] = ()) -> ConfigError:
    """Return an error about the value of a dotted key, for what only turned out after the file was loaded.

    The place is the value's, or that of the nearest key above it that the file or an override gives.
    """
    report = ProblemReport(str(path))
    node = apply_overrides(
        parse_yaml(read_text(path, report), report), parse_set_options(overrides, report), report
    )
    for part in key.split("."):
        node = node.get(part) or node
    # A problem is one line, its place in front.
    return report.fail(node.place, "; ".join(line.strip() for line in message.splitlines()))


@dataclass(frozen=True, slots=True)
class _Variant:
    """The file as it is, or with its `quick` laid over it."""

    tree: Node
    selection: Selection
    changes: tuple[Override, ...] = ()
    """What was laid over it."""


def _resolve(variant: _Variant, options: Sequence[Override], report: ProblemReport) -> Experiment | None:
    tree = apply_overrides(variant.tree, options, report)
    return resolve_experiment(
        tree, variant.selection, RegistryValidator(report), [*variant.changes, *options]
    )


def _quick(tree: Node, selection: Selection, report: ProblemReport) -> _Variant:
    """Return the file with its `quick` laid over it, and the arms and panels that `quick` names."""
    block = tree.entries["quick"].node
    if not must_be("mapping", block, "quick", report):
        return _Variant(tree, selection)
    arms, panels = block.get("arms"), block.get("panels")
    if arms is not None and must_be("list", arms, "quick.arms", report):
        selection = selection.with_quick_arms(arms, report)
    if panels is not None and must_be("list", panels, "quick.panels", report):
        tree = keep_panels(tree, panels, report)
    changes = read_overrides(
        block.filter_keys(lambda key: key not in ("seeds", "arms", "panels")), "quick", QUICK_SECTIONS, report
    )
    if "seeds" in block.entries:
        seeds = block.entries["seeds"]
        changes.append(Override("seeds", seeds.key_place, seeds.node))
    return _Variant(apply_overrides(tree, changes, report), selection, tuple(changes))


def _finish(experiment: Experiment | None, report: ProblemReport) -> Experiment:
    """Return the experiment with its question, or raise what was found."""
    report.raise_if_any()
    if experiment is None:
        raise AssertionError("an experiment was refused without a problem")
    return experiment.model_copy(update={"question": _question(report.text)})


def _question(text: str) -> str:
    """Return the comment the file opens with, without the hash signs."""
    comment: list[str] = []
    for line in split_lines(text):
        if not line.startswith("#"):
            break
        comment.append(line[1:].strip())
    return "\n".join(comment)
