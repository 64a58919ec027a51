"""Turns the tree of a file into an `Experiment`: sections, arms and panels, and the checks that span them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maskbench.config.parsing.nodes import Node, Override, empty_mapping
from maskbench.config.parsing.problems import Place, ProblemReport
from maskbench.config.parsing.validation import check_keys, format_value, must_be, validate
from maskbench.config.resolve.arms import ArmDraft, read_arms, select_arms
from maskbench.config.resolve.overrides import report_ineffective
from maskbench.config.resolve.panels import PanelBuilder, PanelDraft, read_panels
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.resolve.seeds import parse_seeds, read_seeds
from maskbench.config.schema.experiment import CompareConfig, Experiment
from maskbench.config.schema.names import MAX_NAME_LENGTH, check_name
from maskbench.registry import did_you_mean

TOP_LEVEL_KEYS = (
    *("name", "seeds", "baseline", "compare", "corpus", "model", "train", "decode", "evaluate"),
    *("arms", "panels", "quick"),
)
"""The keys of an experiment file, in the order a resolved one has them."""
REQUIRED_KEYS = ("name", "corpus", "arms")
QUICK_SUFFIX = "-quick"


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line picks from a file."""

    seeds: str | None = None
    arms: tuple[str, ...] = ()
    """`--arm`: these and the baseline; empty means all."""
    quick_arms: tuple[tuple[str, Place], ...] = ()
    """The arms `quick` names; `--arm` goes before them."""
    quick: bool = False
    """Whether the experiment's name says so."""

    def with_quick_arms(self, arms: Node, report: ProblemReport) -> Selection:
        """Return the selection with the arms that `quick` names."""
        named = []
        for item in arms.items:
            if isinstance(item.value, str):
                named.append((item.value, item.place))
            else:
                report.add(item.place, f"quick.arms must hold names of arms, got {format_value(item)}")
        return replace(self, quick_arms=tuple(named))


def resolve_experiment(
    tree: Node, selection: Selection, checks: RegistryValidator, options: Sequence[Override]
) -> Experiment | None:
    """Return the experiment; None if there are problems, which are all in the report.

    Args:
        tree: the file, with `quick` and `--set` laid over it.
        selection: seeds and arms of the command line.
        checks: asks the plug-ins, and has the report.
        options: what `--set` changed, to tell where it reached nothing.
    """
    report = checks.report
    if not must_be("mapping", tree, "an experiment file", report):
        return None
    _check_top_level(tree, report)
    name = _name(tree, selection, report)
    seeds = _seeds(tree, selection, report)
    compare = validate(CompareConfig, tree.get("compare") or empty_mapping(tree.place), "compare", report)
    arms_node, panels_node = tree.get("arms"), tree.get("panels")
    arms = read_arms(arms_node, report) if arms_node else []
    panels = read_panels(panels_node, report) if panels_node else [PanelDraft(None)]
    report_ineffective(options, [panel.changes for panel in panels], "panel", report)
    report_ineffective(options, [arm.changes for arm in arms], "arm", report)
    baseline = _baseline(tree, arms, report)
    names = _selected(arms, selection, baseline, report)
    built = [PanelBuilder(tree, checks, compare).panel(panel, arms, baseline) for panel in panels]
    if report.n_found or compare is None or baseline is None:
        return None
    complete = [panel for panel in built if panel is not None]
    kept = tuple(p.model_copy(update={"arms": tuple(a for a in p.arms if a.name in names)}) for p in complete)
    return Experiment(name=name, seeds=seeds, compare=compare, panels=kept)


def _check_top_level(tree: Node, report: ProblemReport) -> None:
    check_keys(tree, "the experiment", TOP_LEVEL_KEYS, report)
    missing = [key for key in REQUIRED_KEYS if key not in tree.entries]
    for key in missing:
        report.add(tree.place, f"missing key {key!r}; an experiment needs {', '.join(REQUIRED_KEYS)}")


def _name(tree: Node, selection: Selection, report: ProblemReport) -> str:
    node = tree.get("name")
    if node is None:
        return ""
    if not isinstance(node.value, str):
        hint = "; put it in quotes" if isinstance(node.value, int | float) else ""
        report.add(node.place, f"name must be text, got {format_value(node)}{hint}")
        return ""
    name = node.value + QUICK_SUFFIX if selection.quick else node.value
    try:
        return check_name(name)
    except ValueError as error:
        too_long = selection.quick and len(name) > MAX_NAME_LENGTH >= len(node.value)
        reason = f"is too long for --quick, which appends {QUICK_SUFFIX!r}" if too_long else error
        report.add(node.place, f"name {reason}, got {format_value(node)}")
        return ""


def _seeds(tree: Node, selection: Selection, report: ProblemReport) -> tuple[int, ...]:
    # Those of the file are checked even where --seeds replaces them.
    seeds = read_seeds(tree.get("seeds"), report)
    return seeds if selection.seeds is None else parse_seeds(selection.seeds, report)


def _baseline(tree: Node, arms: list[ArmDraft], report: ProblemReport) -> str | None:
    node, names = tree.get("baseline"), [arm.name for arm in arms]
    known = ", ".join(names)
    if node is None:
        if "none" in names:
            return "none"
        if names:
            report.add(tree.place, f"missing key 'baseline': no arm is called none (arms: {known})")
        return None
    if isinstance(node.value, str) and node.value in names:
        return node.value
    # Without any arm, what is wrong with the arms has been said.
    if names:
        hint = did_you_mean(node.value, names) if isinstance(node.value, str) else ""
        report.add(node.place, f"baseline must be an arm, got {format_value(node)}{hint} (arms: {known})")
    return None


def _selected(
    arms: list[ArmDraft], selection: Selection, baseline: str | None, report: ProblemReport
) -> set[str]:
    """Return the names of the arms to keep."""
    quick = select_arms(arms, list(selection.quick_arms), report)
    wanted = select_arms(arms, [(arm, Place(f"--arm {arm}")) for arm in selection.arms], report) or quick
    return (wanted or {arm.name for arm in arms}) | ({baseline} if baseline else set())
