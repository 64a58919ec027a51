"""Build the panels of an experiment file: every arm of every panel with all its settings.

A panel is a separate comparison: it overrides some settings of the file and has the same arms and baseline.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from maskbench.config.parsing.nodes import Node, Override, empty_mapping
from maskbench.config.parsing.problems import Place, ProblemReport, shorten
from maskbench.config.parsing.validation import Model, NodePath, find_node, format_value, must_be, validate
from maskbench.config.resolve.arms import ArmDraft
from maskbench.config.resolve.evaluation_checks import find_missing_for_comparison, find_unmeasurable
from maskbench.config.resolve.evaluation_masks import read_evaluation_masks
from maskbench.config.resolve.kept_masks import find_keep, read_keep, resolve_keep
from maskbench.config.resolve.overrides import PANEL_SECTIONS, apply_overrides, read_overrides
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.schema.experiment import (
    ArmConfig,
    CompareConfig,
    CorpusConfig,
    DecodeConfig,
    EvaluateConfig,
    ModelConfig,
    PanelConfig,
    PlacementConfig,
    RunConfig,
    StartConfig,
    TrainConfig,
)
from maskbench.config.schema.names import check_name

MAX_PANELS = 64


@dataclass(frozen=True, slots=True)
class PanelDraft:
    """A panel as written in the file, before validation."""

    name: str | None
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class PanelSections:
    """The validated sections of one panel or arm; an invalid section is None."""

    corpus: CorpusConfig | None
    model: ModelConfig | None
    train: TrainConfig | None
    decode: DecodeConfig | None
    evaluate: EvaluateConfig | None


def read_panels(node: Node, report: ProblemReport) -> list[PanelDraft]:
    """Return the panels in file order; add problems to the report."""
    if not must_be("mapping", node, "panels", report):
        return []
    if not node.entries:
        report.add(node.place, "panels must name at least one panel; without any, leave the key out")
    if len(node.entries) > MAX_PANELS:
        report.add(node.place, f"there are {len(node.entries)} panels; at most {MAX_PANELS} are allowed")
        return []
    drafts = []
    for name, entry in node.entries.items():
        try:
            check_name(name)
        except ValueError as error:
            report.add(entry.key_place, f"panel {shorten(name)!r} {error}")
            continue
        what = f"panels.{name}"
        if must_be("mapping", entry.node, what, report):
            drafts.append(PanelDraft(name, tuple(read_overrides(entry.node, what, PANEL_SECTIONS, report))))
    return drafts


def build_panel(
    draft: PanelDraft,
    tree: Node,
    arms: Sequence[ArmDraft],
    baseline: str | None,
    compare: CompareConfig | None,
    validator: RegistryValidator,
) -> PanelConfig | None:
    """Return a panel with every arm and all its settings; if anything is invalid, report it and return None.

    Args:
        draft: the panel as written in the file.
        tree: the file.
        arms: every arm of the file.
        baseline: the name of the baseline arm; None if it is invalid.
        compare: the section `compare`; None if it is invalid.
        validator: validates corpora and strategies, and contains the report.
    """
    report = validator.report
    panel_tree = apply_overrides(tree, draft.overrides, report)
    panel_tree, evaluation_masks = read_evaluation_masks(panel_tree, arms, report)
    keep_node = find_keep(panel_tree)
    panel_tree = read_keep(panel_tree, report)
    sections = _read_sections(panel_tree, validator)
    _check_evaluation(panel_tree, sections, compare, validator)
    configs = {arm.name: _build_run_config(arm, panel_tree, sections, validator) for arm in arms}
    if report.n_found or baseline is None:
        return None

    complete = {name: config for name, config in configs.items() if config is not None}
    # Evaluation masks are the same for all arms with the same model: validate them once per model.
    validated: dict[tuple[str, ModelConfig], tuple[PlacementConfig, ...]] = {}
    for name, config in complete.items():
        for masks in evaluation_masks.values():
            if (masks.name, config.model) not in validated:
                what = f"evaluate.masks, in the model of {name!r}: {masks.what}"
                placements = validator.arm(masks.masks.items, what, config.model)
                validated[masks.name, config.model] = tuple(placements)
        under = {mask_name: validated[mask_name, config.model] for mask_name in evaluation_masks}
        complete[name] = config.model_copy(update={"under": under})
    # A resolved file lists what is kept; one without the list was written when nothing was.
    if not validator.trusted and not report.n_found:
        lent = itertools.chain.from_iterable(validated.values())
        own = itertools.chain.from_iterable(config.masks for config in complete.values())
        keep = resolve_keep(keep_node, (*own, *lent), report) if evaluation_masks else ()
        for name, config in complete.items():
            evaluate = config.evaluate.model_copy(update={"keep": keep})
            complete[name] = config.model_copy(update={"evaluate": evaluate})
    if report.n_found:
        return None
    built = [
        ArmConfig(
            name=arm.name,
            title=arm.title,
            config=complete[arm.name],
            also_different=list_differing_keys(complete[arm.name], complete[baseline]),
        )
        for arm in arms
    ]
    return PanelConfig(name=draft.name, arms=tuple(built), baseline=baseline)


def _read_sections(tree: Node, validator: RegistryValidator) -> PanelSections:
    """Return the validated sections of a tree."""

    def section(model: type[Model], name: str) -> Model | None:
        return validate(model, tree.get(name) or empty_mapping(tree.place), name, validator.report)

    corpus = tree.get("corpus")
    return PanelSections(
        corpus=validator.corpus(corpus) if corpus else None,
        model=section(ModelConfig, "model"),
        train=section(TrainConfig, "train"),
        decode=section(DecodeConfig, "decode"),
        evaluate=section(EvaluateConfig, "evaluate"),
    )


def _build_run_config(
    draft: ArmDraft, tree: Node, sections: PanelSections, validator: RegistryValidator
) -> RunConfig | None:
    """Return an arm's settings in a panel; if anything is invalid, report it and return None."""
    report, what = validator.report, f"arms.{draft.family}"
    if draft.overrides:
        sections = _read_sections(apply_overrides(tree, draft.overrides, report), validator)
    masks = validator.arm(draft.masks.items, what, sections.model)
    start = validate(StartConfig, draft.start or empty_mapping(draft.place), what, report)
    streams, node = "a", draft.streams
    if node is not None and not isinstance(node.value, str):
        report.add(node.place, f"{what}.streams must be text, got {format_value(node)}")
    elif node is not None:
        try:
            streams = check_name(str(node.value))
        except ValueError as error:
            report.add(node.place, f"{what}.streams {error}, got {format_value(node)}")
    if report.n_found or start is None:
        return None
    settings = {name: getattr(sections, name) for name in PANEL_SECTIONS}
    return RunConfig.model_validate({**settings, **dict(start), "masks": tuple(masks), "streams": streams})


def _check_evaluation(
    tree: Node, sections: PanelSections, compare: CompareConfig | None, validator: RegistryValidator
) -> None:
    """Report what `evaluate` names but the corpus lacks, and a compared metric that is not evaluated."""
    corpus, evaluate, report = sections.corpus, sections.evaluate, validator.report
    if corpus is None or evaluate is None:
        return
    node = tree.get("corpus")
    capabilities = validator.capabilities(corpus, node) if node else None
    for path, message in find_unmeasurable(evaluate, capabilities) if capabilities else ():
        if "evaluate" not in tree.entries:
            message += f"; evaluate.{path[1]} has its default unless the file says otherwise"
        report.add(_find_place(tree, path, ("corpus",)), message)
    if compare is not None:
        for key, message in find_missing_for_comparison(compare.metric, evaluate, capabilities):
            report.add(_find_place(tree, ("compare", "metric"), ("evaluate", key), ()), message)


def _find_place(tree: Node, *paths: NodePath) -> Place:
    """Return the place of the first path that exists in the tree; else the place of the tree."""
    return next((node.place for path in paths if (node := find_node(tree, path))), tree.place)


def list_differing_keys(config: RunConfig, other: RunConfig) -> tuple[str, ...]:
    """Return the dotted keys, except masks, that differ between two runs, in the order of the file."""
    mine, others = flatten_settings(config), flatten_settings(other)
    return tuple(key for key in {**others, **mine} if mine.get(key, ...) != others.get(key, ...))


def flatten_settings(config: RunConfig) -> dict[str, object]:
    """Return every setting except masks by its dotted key, as plain JSON values."""
    dump = config.model_dump(mode="json")
    dump["corpus"] = {"name": dump["corpus"]["name"], **dump["corpus"]["options"]}
    flat = {f"{section}.{key}": value for section in PANEL_SECTIONS for key, value in dump[section].items()}
    return {**flat, **{key: dump[key] for key in ("streams", *StartConfig.model_fields)}}
