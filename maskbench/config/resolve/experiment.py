"""Turn the tree of a file into an `Experiment`: name, seeds, baseline, arms and panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maskbench.config.parsing.nodes import Node, Override, empty_mapping
from maskbench.config.parsing.problems import Place, ProblemReport
from maskbench.config.parsing.validation import check_keys, format_value, must_be, validate
from maskbench.config.resolve.arms import ArmDraft, read_arms, select_arms
from maskbench.config.resolve.overrides import report_ineffective
from maskbench.config.resolve.panels import PanelDraft, build_panel, read_panels
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.resolve.retired import read_retired
from maskbench.config.resolve.seeds import parse_seeds, read_seeds
from maskbench.config.resolve.unused_settings import check_replaced_by_panels, is_corpus_needed
from maskbench.config.schema.experiment import CompareConfig, Experiment, RetiredArm
from maskbench.config.schema.names import MAX_NAME_LENGTH, check_name
from maskbench.registry import did_you_mean

TOP_LEVEL_KEYS = (
    *("name", "seeds", "baseline", "compare", "corpus", "model", "train", "decode", "evaluate"),
    *("arms", "retired", "panels", "quick"),
)
"""The keys of an experiment file, in the order a resolved one has them."""
REQUIRED_KEYS = ("name", "corpus", "arms")
QUICK_SUFFIX = "-quick"


@dataclass(frozen=True, slots=True)
class Selection:
    """The seeds and arms that the command line selects."""

    seeds: str | None = None
    arms: tuple[str, ...] = ()
    """`--arm`: keep these and the baseline; empty: keep all."""
    quick_arms: tuple[tuple[str, Place], ...] = ()
    """The arms that `quick` names; `--arm` overrides them."""
    quick: bool = False
    """Whether the experiment's name ends in `-quick`."""

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
    tree: Node, selection: Selection, validator: RegistryValidator, overrides: Sequence[Override]
) -> Experiment | None:
    """Return the experiment; if anything is invalid, report all problems and return None.

    Args:
        tree: the file with the overrides of `quick` and `--set` applied.
        selection: seeds and arms of the command line.
        validator: validates corpora and strategies, and contains the report.
        overrides: those of `quick` and `--set`; one that every panel or arm overrides is reported.
    """
    report = validator.report
    if not must_be("mapping", tree, "an experiment file", report):
        return None
    check_keys(tree, "the experiment", TOP_LEVEL_KEYS, report)
    name = _read_name(tree, selection, report)
    # The seeds of the file are validated even where --seeds replaces them.
    seeds = read_seeds(tree.get("seeds"), report)
    if selection.seeds is not None:
        seeds = parse_seeds(selection.seeds, report)
    compare = validate(CompareConfig, tree.get("compare") or empty_mapping(tree.place), "compare", report)

    arms_node, panels_node = tree.get("arms"), tree.get("panels")
    arms = read_arms(arms_node, report) if arms_node else []
    retired = read_retired(tree.entries["retired"].node, arms, report) if "retired" in tree.entries else ()
    panels = read_panels(panels_node, report) if panels_node else [PanelDraft(None)]
    own = [panel.overrides for panel in panels] if panels_node else []
    for key in REQUIRED_KEYS:
        if key not in tree.entries and (key != "corpus" or is_corpus_needed(own)):
            report.add(tree.place, f"missing key {key!r}; an experiment needs {', '.join(REQUIRED_KEYS)}")
    report_ineffective(overrides, [panel.overrides for panel in panels], "panel", report)
    report_ineffective(overrides, [arm.overrides for arm in arms], "arm", report)
    baseline = _read_baseline(tree, arms, report)
    named = [(arm, Place(f"--arm {arm}")) for arm in selection.arms]
    quick_arms = select_arms(arms, _not_retired(selection.quick_arms, retired, report), report)
    option_arms = select_arms(arms, _not_retired(named, retired, report), report)
    kept = (option_arms or quick_arms or {arm.name for arm in arms}) | {baseline}

    if not validator.trusted:
        check_replaced_by_panels(tree, own, arms, validator)
    # Every arm is built and validated, also those that are left out.
    built = [build_panel(panel, tree, arms, baseline, compare, validator) for panel in panels]
    if report.n_found or compare is None or baseline is None:
        return None
    complete = tuple(
        panel.model_copy(update={"arms": tuple(arm for arm in panel.arms if arm.name in kept)})
        for panel in built
        if panel is not None
    )
    return Experiment(name=name, seeds=seeds, compare=compare, panels=complete, retired=retired)


def _not_retired(
    wanted: Sequence[tuple[str, Place]], retired: Sequence[RetiredArm], report: ProblemReport
) -> list[tuple[str, Place]]:
    """Return the wanted arms without the retired ones, which are reported."""
    reasons = {name: arm.reason for arm in retired for name in (arm.name, arm.title)}
    for text, place in wanted:
        if text in reasons:
            report.add(place, f"arm {text!r} is retired ({reasons[text]}): it is not trained any more")
    return [(text, place) for text, place in wanted if text not in reasons]


def _read_name(tree: Node, selection: Selection, report: ProblemReport) -> str:
    """Return the experiment's name; if it is invalid, report it and return ""."""
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


def _read_baseline(tree: Node, arms: list[ArmDraft], report: ProblemReport) -> str | None:
    """Return the name of the baseline arm; if there is none, report it and return None."""
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
    # Without any arm, the report already has a problem about `arms`.
    if names:
        hint = did_you_mean(node.value, names) if isinstance(node.value, str) else ""
        report.add(node.place, f"baseline must be an arm, got {format_value(node)}{hint} (arms: {known})")
    return None
