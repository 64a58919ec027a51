"""The panels of an experiment file, and every arm of one with all its settings.

A panel is a comparison of its own: the file's settings with a few changed, the same arms, the same baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

from maskbench.config.parsing.nodes import Node, Override, empty_mapping
from maskbench.config.parsing.problems import Place, ProblemReport, shorten
from maskbench.config.parsing.validation import Model, find_node, format_value, must_be, validate
from maskbench.config.resolve.arms import ArmDraft
from maskbench.config.resolve.evaluation_checks import find_missing_for_comparison, find_unmeasurable
from maskbench.config.resolve.evaluation_masks import Lending, read_evaluation_masks
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
    """A panel as the file has it."""

    name: str | None
    changes: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class PanelSections:
    """The checked sections of one panel or arm; None where one has problems."""

    corpus: CorpusConfig | None
    model: ModelConfig | None
    train: TrainConfig | None
    decode: DecodeConfig | None
    evaluate: EvaluateConfig | None


def read_panels(node: Node, report: ProblemReport) -> list[PanelDraft]:
    """Return the panels in file order; what is wrong is noted."""
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


@dataclass(frozen=True, slots=True)
class PanelBuilder:
    """Builds the panels of one file."""

    tree: Node
    checks: RegistryValidator
    compare: CompareConfig | None

    @property
    def report(self) -> ProblemReport:
        return self.checks.report

    def panel(self, draft: PanelDraft, arms: list[ArmDraft], baseline: str | None) -> PanelConfig | None:
        """Return the panel with every arm; None if there are problems."""
        laid_over = apply_overrides(self.tree, draft.changes, self.report)
        tree, named_masks = read_evaluation_masks(laid_over, arms, self.report)
        settings = self.settings(tree)
        self._check_splits(tree, settings)
        configs = {arm.name: self.arm(arm, tree, settings) for arm in arms}
        if self.report.n_found or baseline is None:
            return None
        complete = {name: config for name, config in configs.items() if config is not None}
        lending = Lending(self.checks, named_masks, {})
        complete = {name: _lent_to(name, config, lending) for name, config in complete.items()}
        if self.report.n_found:
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

    def settings(self, tree: Node) -> PanelSections:
        """Return the sections of a tree."""
        corpus = tree.get("corpus")
        return PanelSections(
            corpus=self.checks.corpus(corpus) if corpus else None,
            model=self._section(ModelConfig, tree, "model"),
            train=self._section(TrainConfig, tree, "train"),
            decode=self._section(DecodeConfig, tree, "decode"),
            evaluate=self._section(EvaluateConfig, tree, "evaluate"),
        )

    def _section(self, model: type[Model], tree: Node, name: str) -> Model | None:
        return validate(model, tree.get(name) or empty_mapping(tree.place), name, self.report)

    def arm(self, draft: ArmDraft, tree: Node, settings: PanelSections) -> RunConfig | None:
        """Return an arm's settings in a panel; None if there are problems."""
        if draft.changes:
            settings = self.settings(apply_overrides(tree, draft.changes, self.report))
        masks = self.checks.arm(draft.masks.items, f"arms.{draft.family}", settings.model)
        streams = self._streams(draft)
        start = validate(
            StartConfig, draft.start or empty_mapping(draft.place), f"arms.{draft.family}", self.report
        )
        if self.report.n_found or start is None:
            return None
        return _run_config(settings, masks, streams, start)

    def _streams(self, draft: ArmDraft) -> str:
        node = draft.streams
        if node is None:
            return "a"
        what = f"arms.{draft.family}.streams"
        if not isinstance(node.value, str):
            self.report.add(node.place, f"{what} must be text, got {format_value(node)}")
            return "a"
        try:
            return check_name(node.value)
        except ValueError as error:
            self.report.add(node.place, f"{what} {error}, got {format_value(node)}")
            return "a"

    def _check_splits(self, tree: Node, settings: PanelSections) -> None:
        """Check that the corpus offers what is evaluated, and that what is compared is evaluated."""
        corpus, evaluate, compare = settings.corpus, settings.evaluate, self.compare
        if corpus is None or evaluate is None:
            return
        node = tree.get("corpus")
        capabilities = self.checks.capabilities(corpus, node) if node else None
        for path, message in find_unmeasurable(evaluate, capabilities) if capabilities else ():
            place = _first_place(tree, path, ("corpus",))
            if "evaluate" not in tree.entries:
                message += f"; evaluate.{path[1]} has its default unless the file says otherwise"
            self.report.add(place, message)
        if compare is not None:
            for key, message in find_missing_for_comparison(compare.metric, evaluate, capabilities):
                self.report.add(_first_place(tree, ("compare", "metric"), ("evaluate", key), ()), message)


def _first_place(tree: Node, *paths: tuple[str | int, ...]) -> Place:
    """Return the place of the first path that the tree has."""
    return next((node.place for path in paths if (node := find_node(tree, path))), tree.place)


def _lent_to(arm: str, config: RunConfig, lending: Lending) -> RunConfig:
    """Return an arm's settings with the masks of others that it is evaluated under."""
    return config.model_copy(update={"under": lending.to(arm, config.model)})


def _run_config(
    settings: PanelSections, masks: list[PlacementConfig], streams: str, start: StartConfig
) -> RunConfig:
    """Put sections without problems together."""
    sections = {name: getattr(settings, name) for name in PANEL_SECTIONS}
    return RunConfig.model_validate({**sections, **dict(start), "masks": tuple(masks), "streams": streams})


def list_differing_keys(config: RunConfig, other: RunConfig) -> tuple[str, ...]:
    """Return the dotted keys, masks aside, at which two runs differ, in the order of the file."""
    mine, others = flatten_settings(config), flatten_settings(other)
    return tuple(key for key in {**others, **mine} if mine.get(key, ...) != others.get(key, ...))


def flatten_settings(config: RunConfig) -> dict[str, object]:
    """Return every setting but the masks under its dotted key, as plain JSON."""
    dump = config.model_dump(mode="json")
    dump["corpus"] = {"name": dump["corpus"]["name"], **dump["corpus"]["options"]}
    flat = {f"{section}.{key}": value for section in PANEL_SECTIONS for key, value in dump[section].items()}
    return {**flat, **{key: dump[key] for key in ("streams", *StartConfig.model_fields)}}
