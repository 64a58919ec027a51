"""Checks what the file says about plug-ins, the corpus and the mask strategies, against what they declare.

Plug-ins are found in the registries, which the caller has filled. A resolved file is trusted instead: it was checked
when it was written, and reading it must not need the plug-ins, which need torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from maskbench import registry
from maskbench.config.nodes import Node
from maskbench.config.problems import Report, shorten
from maskbench.config.schema import ATTENTION_SITES, CorpusConfig, ModelConfig, PlacementConfig, Refresh
from maskbench.config.validation import must_be, show, validate
from maskbench.errors import ConfigError, MaskbenchError
from maskbench.registry import did_you_mean

PLACEMENT_KEYS = ("site", "mask", "layers", "heads", "phases", "refresh")
"""The keys of a placement that are not options of its strategy."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Where problems go, and whether plug-ins are asked."""

    report: Report
    trusted: bool = False
    """True for a resolved file: options are taken as they stand."""

    def corpus(self, node: Node) -> CorpusConfig | None:
        """Return the corpus with its options normalised; None, and the problems noted, if something is wrong."""
        if not must_be("mapping", node, "corpus", self.report):
            return None
        named = validate(CorpusConfig, node.only(lambda key: key == "name"), "corpus", self.report)
        if named is None:
            return None
        options = node.only(lambda key: key != "name")
        if self.trusted:
            return CorpusConfig(name=named.name, options=options.plain())
        cls = self._lookup(registry.CORPORA, named.name, node.get("name"))
        checked = validate(cls.Options, options, "corpus", self.report, ("name",)) if cls else None
        if checked is None:
            return None
        return CorpusConfig(name=named.name, options=checked.model_dump(mode="json"))

    def splits(self, config: CorpusConfig, node: Node) -> list[str] | None:
        """Return the splits the corpus can be evaluated on; None where they are unknown."""
        if self.trusted:
            return None
        cls = registry.CORPORA.lookup(config.name)
        try:
            return list(cls.split_names(cls.Options.model_validate(config.options)))
        except (ValueError, MaskbenchError) as error:
            self.report.add(node.place, f"corpus: {_reason(error)}")
            return None

    def placement(self, node: Node, what: str, model: ModelConfig | None) -> PlacementConfig | None:
        """Return a placement with its options normalised; None, and the problems noted, if something is wrong.

        Args:
            node: the placement in the file.
            what: how messages call it.
            model: the model it acts in; None if that has problems of its own.
        """
        example = "{site: encoder_self, mask: window, radius: 2}"
        if not isinstance(node.value, dict):
            message = f"{what} must be a mapping such as {example}, got {show(node)}"
            self.report.add(node.place, message)
            return None
        fields = node.only(lambda key: key in PLACEMENT_KEYS)
        options = node.only(lambda key: key not in PLACEMENT_KEYS)
        placement = validate(PlacementConfig, fields, what, self.report)
        if self.trusted:
            return placement and placement.model_copy(update={"options": options.plain()})
        name = node.get("mask")
        if name is None or not isinstance(name.value, str):
            return None
        cls = self._lookup(registry.MASKS, name.value, name)
        checked = validate(cls.Options, options, name.value, self.report, PLACEMENT_KEYS) if cls else None
        if placement is None or cls is None:
            return None
        if checked is not None:
            placement = placement.model_copy(update={"options": checked.model_dump(mode="json")})
        fit = _Fit(self.report, cls, placement, node, what).check(checked, model)
        return fit if checked is not None else None

    def _lookup(self, plugins: registry.Registry[Any], name: str, node: Node | None) -> Any:
        try:
            return plugins.lookup(name)
        except ConfigError as error:
            if node:
                self.report.add(node.place, shorten(str(error), 600))
            return None


@dataclass(frozen=True, slots=True)
class _Fit:
    """Whether a strategy can act where a placement puts it."""

    report: Report
    strategy: Any
    placement: PlacementConfig
    node: Node
    what: str

    def check(self, options: Any, model: ModelConfig | None) -> PlacementConfig | None:
        """Return the placement, its refresh filled in; None, and the problems noted, if it does not fit.

        Without options, which have problems of their own, the strategy itself is not asked.
        """
        before = self.report.noted
        self._site()
        self._refresh()
        if model is not None:
            self._reach("layers", model)
            self._reach("heads", model)
        if model is not None and options is not None and self.report.noted == before:
            self._ask(options, model)
        return self._with_refresh() if self.report.noted == before else None

    def _add(self, key: str, message: str) -> None:
        self.report.add((self.node.get(key) or self.node).place, f"{self.what}: {message}")

    def _site(self) -> None:
        site, sites = self.placement.site, sorted(self.strategy.sites)
        if site not in sites:
            hint = did_you_mean(site, sites)
            self._add(
                "site", f"{self.placement.mask} does not act at {site}{hint} (its sites: {', '.join(sites)})"
            )

    def _refresh(self) -> None:
        if self.placement.refresh is not None and not self.strategy.stochastic:
            self._add("refresh", f"{self.placement.mask} draws nothing at random; leave refresh out")

    def _reach(self, key: str, model: ModelConfig) -> None:
        """Note layers or heads that the model does not have at this site."""
        chosen, site = getattr(self.placement, key), self.placement.site
        if chosen == "all":
            return
        if site not in ATTENTION_SITES:
            self._add(key, f"{site} has no {key}; leave {key} out")
            return
        layers = model.encoder_layers if site == "encoder_self" else model.decoder_layers
        count = layers if key == "layers" else model.n_heads
        beyond = [i for i in chosen if i >= count]
        if beyond:
            self._add(key, f"there is no {key[:-1]} {beyond[0]} at {site}: the model has 0 to {count - 1}")

    def _ask(self, options: Any, model: ModelConfig) -> None:
        try:
            self.strategy.check(self.placement.site, options, self.placement, model)
        except (ValueError, MaskbenchError) as error:
            self.report.add(self.node.place, f"{self.what}: {self.placement.mask}: {_reason(error)}")

    def _with_refresh(self) -> PlacementConfig:
        default = self.strategy.default_refresh
        if self.placement.refresh is not None or not self.strategy.stochastic or default is None:
            return self.placement
        refresh = default if isinstance(default, Refresh) else Refresh.model_validate(default)
        return self.placement.model_copy(update={"refresh": refresh})


def _reason(error: Exception) -> str:
    """Return an exception's message on one line."""
    if isinstance(error, ValidationError):
        return "; ".join(details["msg"] for details in error.errors(include_url=False))
    return " ".join(str(error).split()) or type(error).__name__
