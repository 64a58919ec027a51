"""Load an experiment file as an `Experiment`, or raise one error that lists all problems with their places.

The names a file may use are those of the registries; the caller imports `maskbench.masks` and
`maskbench.data` (and plug-ins) first. Nothing here imports torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from maskbench.config.parsing.file_reader import read_text
from maskbench.config.parsing.nodes import Node, Override
from maskbench.config.parsing.problems import ProblemReport, split_lines
from maskbench.config.parsing.validation import must_be
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.config.resolve.arms import read_arms
from maskbench.config.resolve.dump import dump_resolved
from maskbench.config.resolve.experiment import Selection, resolve_experiment
from maskbench.config.resolve.overrides import (
    QUICK_SECTIONS,
    apply_overrides,
    keep_panels,
    parse_set_options,
    read_overrides,
)
from maskbench.config.resolve.panels import read_panels
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.resolve.unused_settings import find_unused_settings
from maskbench.config.schema.experiment import Experiment
from maskbench.config.schema.metrics import read_recorded_metrics
from maskbench.errors import ConfigError

__all__ = ["dump_resolved", "find_hints", "load_experiment", "load_resolved", "locate_error"]


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
        arms: `--arm`: keep only these arms and the baseline; the key of a grid keeps all its arms.
        quick: apply the file's `quick` section and append `-quick` to the experiment's name.

    Raises:
        ConfigError: the file or an option is invalid; the message has all problems, each with its
            place, the offending line and what to do.
    """
    report = ProblemReport(str(path))
    tree = parse_yaml(read_text(path, report), report)
    set_options = parse_set_options(overrides, report)
    selection = Selection(seeds, tuple(arms), quick=quick)
    validator = RegistryValidator(report)
    as_written = resolve_experiment(
        apply_overrides(tree, set_options, report), selection, validator, set_options
    )
    as_quick = as_written
    # Both variants are validated, so that a mistake in `quick` is found before the first --quick.
    if "quick" in tree.entries:
        quick_tree, quick_selection, quick_overrides = _apply_quick(tree, selection, report)
        as_quick = resolve_experiment(
            apply_overrides(quick_tree, set_options, report),
            quick_selection,
            validator,
            [*quick_overrides, *set_options],
        )
    return _finish(as_quick if quick else as_written, report)


def load_resolved(path: Path) -> Experiment:
    """Return the experiment in a file that `dump_resolved` wrote.

    The options of strategies and corpora are not validated again, so torch is not needed.

    Raises:
        ConfigError: the file, or the record of plug-ins' metrics beside it, is damaged.
    """
    report = ProblemReport(str(path))
    tree = parse_yaml(read_text(path, report), report)
    read_recorded_metrics(path)
    return _finish(resolve_experiment(tree, Selection(), RegistryValidator(report, trusted=True), []), report)


def locate_error(path: Path, key: str, message: str, *, overrides: Sequence[str] = ()) -> ConfigError:
    """Return an error at the value of a dotted key, for a problem that was found after the file was loaded.

    If neither the file nor the overrides have the key, the error has the place of the nearest key above it.
    """
    report = ProblemReport(str(path))
    node = apply_overrides(
        parse_yaml(read_text(path, report), report), parse_set_options(overrides, report), report
    )
    for part in key.split("."):
        node = node.get(part) or node
    # A problem is shown on one line.
    return report.fail(node.place, "; ".join(line.strip() for line in message.splitlines()))


def find_hints(path: Path, *, overrides: Sequence[str] = ()) -> list[str]:
    """Return a sentence, with its line, for every setting of a valid file that has no effect in any run."""
    report = ProblemReport(str(path))
    set_options = parse_set_options(overrides, report)
    tree = apply_overrides(parse_yaml(read_text(path, report), report), set_options, report)
    panels, arms = tree.get("panels"), tree.get("arms")
    found = find_unused_settings(
        tree,
        [panel.overrides for panel in read_panels(panels, report)] if panels else [],
        read_arms(arms, report) if arms else [],
    )
    return [f"{path}:{place.line}: {sentence}" for place, sentence in found if place.line]


def _apply_quick(
    tree: Node, selection: Selection, report: ProblemReport
) -> tuple[Node, Selection, list[Override]]:
    """Apply the file's `quick` section; return the file, the selection with its arms, and its overrides."""
    block = tree.entries["quick"].node
    if not must_be("mapping", block, "quick", report):
        return tree, selection, []
    arms, panels = block.get("arms"), block.get("panels")
    if arms is not None and must_be("list", arms, "quick.arms", report):
        selection = selection.with_quick_arms(arms, report)
    if panels is not None and must_be("list", panels, "quick.panels", report):
        tree = keep_panels(tree, panels, report)
    settings = block.filter_keys(lambda key: key not in ("seeds", "arms", "panels"))
    overrides = read_overrides(settings, "quick", QUICK_SECTIONS, report)
    if "seeds" in block.entries:
        seeds = block.entries["seeds"]
        overrides.append(Override("seeds", seeds.key_place, seeds.node))
    return apply_overrides(tree, overrides, report), selection, overrides


def _finish(experiment: Experiment | None, report: ProblemReport) -> Experiment:
    """Return the experiment with its question: the comment that the file opens with, without the hash signs.

    Raises:
        ConfigError: there are problems.
    """
    report.raise_if_any()
    if experiment is None:
        raise AssertionError("an experiment was refused without a problem")
    comment = itertools.takewhile(lambda line: line.startswith("#"), split_lines(report.text))
    return experiment.model_copy(update={"question": "\n".join(line[1:].strip() for line in comment)})
