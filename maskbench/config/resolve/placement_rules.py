"""Whether a strategy can act where a placement puts it, and whether the placements of an arm go together.

`maskbench.masks.plan` refuses the same for arms that are built by a program; here each refusal has its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from maskbench import registry
from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import ProblemReport
from maskbench.config.schema.experiment import (
    ATTENTION_SITES,
    LEAKING_APPLICATIONS,
    ModelConfig,
    PlacementConfig,
    Refresh,
)
from maskbench.errors import MaskbenchError
from maskbench.registry import did_you_mean

_HARMLESS = {"apply": "hard", "legality": "full"}
"""The settings under which nothing leaks: those of a placement that has no say in the matter."""


@dataclass(frozen=True, slots=True)
class PlacementValidator:
    """A strategy and the placement that puts it somewhere."""

    report: ProblemReport
    strategy: Any
    placement: PlacementConfig
    node: Node
    """The placement in the file, short forms written out."""
    what: str
    """How messages call it."""
    preset: str = ""
    """The preset that the file names in place of the strategy, if it does."""

    def check(self, options: Any, model: ModelConfig | None) -> PlacementConfig | None:
        """Return the placement, its refresh filled in; None, and the problems noted, if it does not fit.

        Without options, which have problems of their own, the strategy itself is not asked.
        """
        before = self.report.n_found
        self._site()
        self._refresh()
        self._leaks()
        self._freezing()
        if model is not None:
            self._reach("layers", model)
            self._reach("heads", model)
        if model is not None and options is not None and self.report.n_found == before:
            self._ask(options, model)
        return self._with_refresh() if self.report.n_found == before else None

    def check_as_part(self, options: Any, model: ModelConfig | None) -> None:
        """Note what is wrong with a part of a combination, whose node has no keys but `mask` and options."""
        before = self.report.n_found
        self._site()
        if model is not None and self.report.n_found == before:
            self._ask(options, model)

    def add(self, key: str, message: str) -> None:
        """Note a problem at a key of the placement, or at the placement where it has no such key."""
        self.report.add((self.node.get(key) or self.node).place, f"{self.what}: {message}")

    @property
    def is_normaliser(self) -> bool:
        """Whether the strategy turns scores into weights in place of the softmax."""
        return bool(self.strategy.kind == "normaliser")

    def _site(self) -> None:
        site, name, sites = self.placement.site, self.placement.mask, sorted(self.strategy.sites)
        if self.preset and site in sites:
            name, sites = self.preset, sorted(registry.PRESETS[self.preset].sites)
        if site not in sites:
            hint = did_you_mean(site, sites)
            self.add("site", f"{name} does not act at {site}{hint} (its sites: {', '.join(sites)})")

    def _refresh(self) -> None:
        if self.placement.refresh is not None and not self.strategy.stochastic:
            self.add("refresh", f"{self.placement.mask} draws nothing at random; leave refresh out")

    def _leaks(self) -> None:
        """Note what lets hidden positions have an influence, unless the author says that this is meant."""
        placement = self.placement
        for key, harmless in _HARMLESS.items():
            value = getattr(placement, key)
            if value == harmless:
                continue
            if placement.site not in ATTENTION_SITES:
                self.add(key, f"{placement.site} has no attention; leave {key} out")
            elif not placement.unsafe and (key == "legality" or value in LEAKING_APPLICATIONS):
                message = f"{key}: {value} lets hidden positions have an influence"
                self.add(key, f"{message}; add unsafe: true if that is what you want to measure")

    def _freezing(self) -> None:
        """Note a schedule whose state at the time of freezing nobody keeps."""
        if self.placement.freeze_at is not None and any(
            set(node.entries) == {"plateau"} for node in self.node.walk()
        ):
            message = "freeze_at does not go with a plateau schedule"
            self.add("freeze_at", f"{message}: how often validation stalled by then is not remembered")

    def _reach(self, key: Literal["layers", "heads"], model: ModelConfig) -> None:
        """Note layers or heads that the model does not have at this site."""
        chosen, site = getattr(self.placement, key), self.placement.site
        if chosen == "all":
            return
        if site not in ATTENTION_SITES:
            self.add(key, f"{site} has no {key}; leave {key} out")
            return
        layers = model.encoder_layers if site == "encoder_self" else model.decoder_layers
        count = layers if key == "layers" else model.n_heads
        beyond = [i for i in chosen if i >= count]
        if beyond:
            self.add(key, f"there is no {key[:-1]} {beyond[0]} at {site}: the model has 0 to {count - 1}")

    def _ask(self, options: Any, model: ModelConfig) -> None:
        try:
            self.strategy.check(self.placement.site, options, self.placement, model)
        except (ValueError, MaskbenchError) as error:
            self.report.add(self.node.place, f"{self.what}: {self.placement.mask}: {reason(error)}")

    def _with_refresh(self) -> PlacementConfig:
        default = self.strategy.default_refresh
        if self.placement.refresh is not None or not self.strategy.stochastic or default is None:
            return self.placement
        refresh = default if isinstance(default, Refresh) else Refresh.model_validate(default)
        return self.placement.model_copy(update={"refresh": refresh})


def check_arm(arm: Sequence[PlacementValidator]) -> None:
    """Note what is wrong with placements that are each right: they contradict each other, or make one pointless."""
    for i, fit in enumerate(arm):
        here = [other for other in arm[:i] if other.placement.site == fit.placement.site]
        _agree(fit, here)
        _normalise_once(fit, here)
    placements = tuple(fit.placement for fit in arm)
    for fit in arm:
        try:
            fit.strategy.check_arm(fit.placement, placements)
        except (ValueError, MaskbenchError) as error:
            fit.report.add(fit.node.place, f"{fit.what}: {fit.placement.mask}: {reason(error)}")


def _agree(fit: PlacementValidator, earlier: Sequence[PlacementValidator]) -> None:
    """Note where a placement wants its site to be other than an earlier one wants it."""
    for key, harmless in _HARMLESS.items():
        mine = getattr(fit.placement, key)
        said = ((other, getattr(other.placement, key)) for other in earlier)
        against = next(((other, its) for other, its in said if its not in (harmless, mine)), None)
        if mine != harmless and against is not None:
            site, (other, its) = fit.placement.site, against
            fit.add(key, f"{key} holds for all of {site}, where {other.what} says {its}; let them agree")


def _normalise_once(fit: PlacementValidator, earlier: Sequence[PlacementValidator]) -> None:
    site = fit.placement.site
    first = next((other for other in (*earlier, fit) if other.is_normaliser), None)
    if first is None:
        return
    if fit.is_normaliser and first is not fit:
        fit.add("mask", f"{site} has a normaliser already, {first.what}; at most one can replace the softmax")
    for other in (*earlier, fit):
        if other.placement.apply != "hard":
            rule = f"{first.placement.mask} turns the scores of {site} into weights itself"
            other.add("apply", f"{rule}, which only apply: hard goes with")


def reason(error: Exception) -> str:
    """Return an exception's message on one line."""
    if isinstance(error, ValidationError):
        return "; ".join(details["msg"] for details in error.errors(include_url=False))
    return " ".join(str(error).split()) or type(error).__name__
