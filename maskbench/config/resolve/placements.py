"""Validate the corpus and the mask placements of a file against the options their plug-ins declare.

Plug-ins are looked up in the registries, which the caller has filled. A resolved file is not validated again:
it was validated before it was written, and reading it must not need the plug-ins, which need torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from maskbench import registry
from maskbench.config.parsing.nodes import MappingEntry, Node
from maskbench.config.parsing.problems import ProblemReport, shorten
from maskbench.config.parsing.validation import format_value, must_be, validate
from maskbench.config.resolve.evaluation_checks import CorpusCapabilities
from maskbench.config.resolve.placement_rules import Candidate, PlacementValidator, check_arm, reason
from maskbench.config.resolve.shorthand import expand_shorthand, get_preset_name, is_list_of_masks
from maskbench.config.schema.experiment import CorpusConfig, ModelConfig, PlacementConfig
from maskbench.errors import ConfigError, MaskbenchError
from maskbench.registry import did_you_mean

PLACEMENT_KEYS = (
    *("site", "mask", "layers", "heads", "phases", "refresh"),
    *("apply", "fill", "legality", "unsafe", "freeze_at"),
)
"""The keys of a placement that are not options of its strategy."""

_PLACEMENT_EXAMPLE = "{site: encoder_self, mask: window, radius: 2}"


@dataclass(frozen=True, slots=True)
class RegistryValidator:
    """Validates a corpus and placements and adds problems to a report."""

    report: ProblemReport
    trusted: bool = False
    """Whether the file is a resolved one; options are then not validated."""

    def corpus(self, node: Node) -> CorpusConfig | None:
        """Return the corpus with its options normalised; if it is invalid, report that and return None."""
        if not must_be("mapping", node, "corpus", self.report):
            return None
        named = validate(CorpusConfig, node.filter_keys(lambda key: key == "name"), "corpus", self.report)
        if named is None:
            return None
        options = node.filter_keys(lambda key: key != "name")
        if self.trusted:
            return CorpusConfig(name=named.name, options=options.to_python())
        cls = self.corpus_class(named.name, node.get("name"))
        checked = validate(cls.Options, options, "corpus", self.report, ("name",)) if cls else None
        if checked is None:
            return None
        return CorpusConfig(name=named.name, options=checked.model_dump(mode="json"))

    def corpus_class(self, name: str, node: Node | None) -> Any:
        """Return the builder of a corpus; if there is none of that name, report it at `node` and return None."""
        return self._lookup(registry.CORPORA, name, node)

    def capabilities(self, config: CorpusConfig, node: Node) -> CorpusCapabilities | None:
        """Return the splits, annotations and tags of the corpus; None if they are unknown."""
        if self.trusted:
            return None
        cls = registry.CORPORA.lookup(config.name)
        try:
            options = cls.Options.model_validate(config.options)
            return CorpusCapabilities(
                config.name,
                tuple(cls.split_names(options)),
                cls.annotations(options),
                cls.tags(options),
                cls.origins(options),
            )
        except (ValueError, MaskbenchError) as error:
            self.report.add(node.place, f"corpus: {reason(error)}")
            return None

    def arm(self, nodes: Sequence[Node], what: str, model: ModelConfig | None) -> list[PlacementConfig]:
        """Return the valid placements of an arm, options normalised; report problems with the others.

        Args:
            nodes: the placements in the file.
            what: the name of the arm in messages.
            model: the arm's model; None if its section is invalid.
        """
        if self.trusted:
            read = [self._as_written(node, f"{what}[{i}]") for i, node in enumerate(nodes)]
            return [placement for placement in read if placement is not None]
        n_found = self.report.n_found
        found = [self._placement(node, f"{what}[{i}]", model) for i, node in enumerate(nodes)]
        validators = [validator for validator in found if validator is not None]
        if self.report.n_found == n_found and len(validators) == len(found):
            check_arm(validators)
        return [validator.placement for validator in validators]

    def placement(self, node: Node, what: str, model: ModelConfig) -> PlacementConfig | None:
        """Return one placement without checking its arm; if it is invalid, report that and return None."""
        validator = self._placement(node, what, model)
        return validator.placement if validator else None

    def _as_written(self, node: Node, what: str) -> PlacementConfig | None:
        if not self._is_mapping(node, what, _PLACEMENT_EXAMPLE):
            return None
        fields, options = _halves(node)
        placement = validate(PlacementConfig, fields, what, self.report)
        return placement and placement.model_copy(update={"options": options.to_python()})

    def _is_mapping(self, node: Node, what: str, example: str) -> bool:
        is_mapping = isinstance(node.value, dict)
        if not is_mapping:
            message = f"{what} must be a mapping such as {example}, got {format_value(node)}"
            self.report.add(node.place, message)
        return is_mapping

    def _placement(self, node: Node, what: str, model: ModelConfig | None) -> PlacementValidator | None:
        """Return a placement and its strategy; if anything is invalid, report it and return None."""
        if not self._is_mapping(node, what, _PLACEMENT_EXAMPLE):
            return None
        preset, node = get_preset_name(node), expand_shorthand(node, what, self.report)
        placement = validate(PlacementConfig, _halves(node)[0], what, self.report)
        cls = self._strategy(node.get("mask"))
        if cls is None:
            return None
        written = self._with_parts(node, what, placement, model)
        options = self._options(cls, written) if written else None
        if placement is None:
            return None
        candidate = Candidate(cls, _with_options(placement, options), what, preset)
        checked = PlacementValidator(self.report, candidate, node).check(options, model)
        if checked is None or options is None:
            return None
        return PlacementValidator(self.report, replace(candidate, placement=checked), node)

    def _options(self, cls: Any, node: Node, beside: tuple[str, ...] = PLACEMENT_KEYS) -> Any:
        name = str(node.entries["mask"].node.value)
        return validate(cls.Options, _halves(node)[1], name, self.report, beside)

    def _with_parts(
        self, node: Node, what: str, whole: PlacementConfig | None, model: ModelConfig | None
    ) -> Node | None:
        """Return a placement, or a part of a combination, with the short forms in its own parts expanded.

        If a part is invalid, report that and return None.
        """
        parts = node.get("of")
        if parts is None or not is_list_of_masks(parts):
            return node
        what = f"{what}.{node.entries['mask'].node.value}"
        found = [self._part(part, f"{what}[{i}]", whole, model) for i, part in enumerate(parts.items)]
        written = tuple(part for part in found if part is not None)
        of = MappingEntry(node.entries["of"].key_place, Node(parts.place, written))
        return Node(node.place, {**node.entries, "of": of}) if len(written) == len(found) else None

    def _part(
        self, node: Node, what: str, whole: PlacementConfig | None, model: ModelConfig | None
    ) -> Node | None:
        """Return a part of a combination, short forms expanded; if invalid, report that and return None."""
        n_found = self.report.n_found
        if not self._is_mapping(node, what, "{mask: window, radius: 2}"):
            return None
        preset, node = get_preset_name(node), expand_shorthand(node, what, self.report)
        for key in PLACEMENT_KEYS:
            if key != "mask" and key in node.entries:
                message = f"{what}: {key} is said once for the whole combination, not for a part of it"
                self.report.add(node.entries[key].key_place, message)
        name = node.get("mask")
        if name is None or not isinstance(name.value, str):
            self.report.add((name or node).place, f"{what} must name its mask, got {format_value(name)}")
        cls = self._strategy(name) if self.report.n_found == n_found else None
        written = self._with_parts(node, what, whole, model) if cls else None
        options = self._options(cls, written, ("mask",)) if written else None
        if whole is not None and options is not None:
            alike = whole.model_copy(update={"mask": str(node.entries["mask"].node.value)})
            candidate = Candidate(cls, _with_options(alike, options), what, preset)
            PlacementValidator(self.report, candidate, node).check_as_part(options, model)
        return written if options is not None and self.report.n_found == n_found else None

    def _strategy(self, name: Node | None) -> Any:
        """Return the strategy class of a mask's name; if there is none, report that and return None."""
        if name is None or not isinstance(name.value, str):
            return None
        if name.value in registry.MASKS.names():
            return registry.MASKS.lookup(name.value)
        known, presets = registry.MASKS.names(), sorted(registry.PRESETS)
        listed = f"known: {', '.join(known)}" + (f"; presets: {', '.join(presets)}" if presets else "")
        hint = did_you_mean(name.value, [*known, *presets])
        message = f"no {registry.MASKS.kind} named {shorten(name.value)!r}{hint} ({listed})"
        self.report.add(name.place, shorten(message, 600))
        return None

    def _lookup(self, plugins: registry.Registry[Any], name: str, node: Node | None) -> Any:
        try:
            return plugins.lookup(name)
        except ConfigError as error:
            if node:
                self.report.add(node.place, shorten(str(error), 600))
            return None


def _halves(node: Node) -> tuple[Node, Node]:
    """Split a placement into its own keys and the options of its strategy."""
    return node.filter_keys(lambda key: key in PLACEMENT_KEYS), node.filter_keys(
        lambda key: key not in PLACEMENT_KEYS
    )


def _with_options(placement: PlacementConfig, options: Any) -> PlacementConfig:
    """Return a placement with its options normalised; unchanged if `options` is None (invalid)."""
    if options is None:
        return placement
    return placement.model_copy(update={"options": options.model_dump(mode="json")})
