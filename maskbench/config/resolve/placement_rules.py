"""The rules of placements: whether a strategy may stand where a placement puts it, and whether an arm's placements agree.

The experiment file and the plan of masks both ask here. `PlacementValidator` reports every violation at its line and
column; `maskbench.masks.plan` raises the first one, for arms that a program builds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

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

HARMLESS = {"apply": "hard", "legality": "full"}
"""The values of the settings of a whole site under which nothing leaks. A placement that has them sets nothing."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a placement breaks."""

    key: str
    """The key of the placement that has to change; empty where no single key does."""
    message: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A strategy's class, and a placement that wants to put it somewhere."""

    strategy: Any
    placement: PlacementConfig
    label: str
    """What messages about other placements call this one."""
    preset: str = ""
    """The preset that the file names in place of the strategy, if it does."""

    @property
    def is_normaliser(self) -> bool:
        """Whether the strategy turns scores into weights in place of the softmax."""
        return bool(self.strategy.kind == "normaliser")

    def setting(self, key: str) -> str:
        """Return what the placement sets for its whole site; `key` is one of `HARMLESS`."""
        return str(getattr(self.placement, key))


def placement_violations(candidate: Candidate, options: Any) -> Iterator[Violation]:
    """Yield the rules that a placement breaks by itself, whatever the model and the rest of the arm.

    Args:
        options: the strategy's options as plain data, to look for schedules in.
    """
    placement, strategy = candidate.placement, candidate.strategy
    site, name, sites = placement.site, placement.mask, sorted(strategy.sites)
    if candidate.preset and site in sites:
        name, sites = candidate.preset, sorted(registry.PRESETS[candidate.preset].sites)
    if site not in sites:
        hint = did_you_mean(site, sites)
        yield Violation("site", f"{name} does not act at {site}{hint} (its sites: {', '.join(sites)})")
    if placement.refresh is not None and not strategy.stochastic:
        yield Violation("refresh", f"{placement.mask} draws nothing at random; leave refresh out")
    for key, harmless in HARMLESS.items():
        value = candidate.setting(key)
        if value == harmless:
            continue
        if site not in ATTENTION_SITES:
            yield Violation(key, f"{site} has no attention; leave {key} out")
        elif not placement.unsafe and (key == "legality" or value in LEAKING_APPLICATIONS):
            message = f"{key}: {value} lets hidden positions have an influence"
            yield Violation(key, f"{message}; add unsafe: true if that is what you want to measure")
    # How often validation had stalled by then is in no checkpoint, so a resumed run could not know where it stopped.
    if placement.freeze_at is not None and _has_plateau(options):
        message = "freeze_at does not go with a plateau schedule"
        yield Violation("freeze_at", f"{message}: how often validation stalled by then is not remembered")


def _has_plateau(value: Any) -> bool:
    """Return whether a `plateau` schedule stands somewhere in plain data."""
    if isinstance(value, dict):
        return set(value) == {"plateau"} or any(map(_has_plateau, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_plateau, value))


class LayersAndHeads(Protocol):
    """What the rules read of a model: its configuration has it, and so have the `Sizes` that strategies are told."""

    @property
    def encoder_layers(self) -> int:
        """Layers of the encoder."""

    @property
    def decoder_layers(self) -> int:
        """Layers of the decoder."""

    @property
    def n_heads(self) -> int:
        """Heads of every attention layer."""


def reach_violations(placement: PlacementConfig, model: LayersAndHeads) -> Iterator[Violation]:
    """Yield layers and heads that the model does not have at the placement's site."""
    site = placement.site
    layers = model.encoder_layers if site == "encoder_self" else model.decoder_layers
    keys: tuple[Literal["layers", "heads"], ...] = ("layers", "heads")
    for key, count in zip(keys, (layers, model.n_heads), strict=True):
        chosen = getattr(placement, key)
        if chosen == "all":
            continue
        beyond = next((i for i in chosen if i >= count), None)
        if site not in ATTENTION_SITES:
            yield Violation(key, f"{site} has no {key}; leave {key} out")
        elif beyond is not None:
            yield Violation(key, f"there is no {key[:-1]} {beyond} at {site}: the model has 0 to {count - 1}")


def arm_violations(arm: Sequence[Candidate]) -> Iterator[tuple[int, Violation]]:
    """Yield the rules that placements break which are right one by one, each with the placement's index in the arm.

    The settings of a site must agree, one normaliser at most replaces the softmax, and no placement may make another
    pointless or dishonest.
    """
    for i, candidate in enumerate(arm):
        site = candidate.placement.site
        earlier = [j for j in range(i) if arm[j].placement.site == site]
        for key, harmless in HARMLESS.items():
            own = candidate.setting(key)
            against = (arm[j] for j in earlier if arm[j].setting(key) not in (harmless, own))
            other = next(against, None)
            if own != harmless and other is not None:
                where = f"where {other.label} says {other.setting(key)}"
                yield i, Violation(key, f"{key} holds for all of {site}, {where}; let them agree")
        yield from _normaliser_violations(arm, i, earlier)
    placements = tuple(candidate.placement for candidate in arm)
    for i, candidate in enumerate(arm):
        try:
            candidate.strategy.check_arm(candidate.placement, placements)
        except (ValueError, MaskbenchError) as error:
            yield i, Violation("", f"{candidate.placement.mask}: {reason(error)}")


def _normaliser_violations(
    arm: Sequence[Candidate], index: int, earlier: Sequence[int]
) -> Iterator[tuple[int, Violation]]:
    site, own = arm[index].placement.site, arm[index].is_normaliser
    first = next((j for j in (*earlier, index) if arm[j].is_normaliser), None)
    if first is None:
        return
    if own and first != index:
        taken = f"{site} has a normaliser already, {arm[first].label}"
        yield index, Violation("mask", f"{taken}; at most one can replace the softmax")
    for j in (*earlier, index):
        if arm[j].placement.apply != "hard":
            rule = f"{arm[first].placement.mask} turns the scores of {site} into weights itself"
            yield j, Violation("apply", f"{rule}, which only apply: hard goes with")


@dataclass(frozen=True, slots=True)
class PlacementValidator:
    """Reports the violations of a placement of the experiment file where they stand."""

    report: ProblemReport
    candidate: Candidate
    node: Node
    """The placement in the file, short forms written out."""

    @property
    def placement(self) -> PlacementConfig:
        """The placement as it stands after the checks so far."""
        return self.candidate.placement

    def check(self, options: Any, model: ModelConfig | None) -> PlacementConfig | None:
        """Return the placement, its refresh filled in; None, and the problems noted, if it breaks a rule.

        Without options, which have problems of their own, the strategy itself is not asked.
        """
        before = self.report.n_found
        for violation in placement_violations(self.candidate, self.node.to_python()):
            self.add(violation)
        if model is not None:
            for violation in reach_violations(self.placement, model):
                self.add(violation)
        if model is not None and options is not None and self.report.n_found == before:
            self._ask(options, model)
        return self._with_refresh() if self.report.n_found == before else None

    def check_as_part(self, options: Any, model: ModelConfig | None) -> None:
        """Note what is wrong with a part of a combination, whose node has no keys but `mask` and options."""
        before = self.report.n_found
        for violation in placement_violations(self.candidate, {}):
            if violation.key == "site":
                self.add(violation)
        if model is not None and self.report.n_found == before:
            self._ask(options, model)

    def add(self, violation: Violation) -> None:
        """Note a violation at the key of the placement, or at the placement where it has no such key."""
        place = (self.node.get(violation.key) or self.node).place
        self.report.add(place, f"{self.candidate.label}: {violation.message}")

    def _ask(self, options: Any, model: ModelConfig) -> None:
        try:
            self.candidate.strategy.check(self.placement.site, options, self.placement, model)
        except (ValueError, MaskbenchError) as error:
            self.add(Violation("", f"{self.placement.mask}: {reason(error)}"))

    def _with_refresh(self) -> PlacementConfig:
        default = self.candidate.strategy.default_refresh
        if self.placement.refresh is not None or not self.candidate.strategy.stochastic or default is None:
            return self.placement
        refresh = default if isinstance(default, Refresh) else Refresh.model_validate(default)
        return self.placement.model_copy(update={"refresh": refresh})


def check_arm(arm: Sequence[PlacementValidator]) -> None:
    """Note what is wrong with placements that are each right: they contradict each other, or make one pointless."""
    for i, violation in arm_violations([validator.candidate for validator in arm]):
        arm[i].add(violation)


def reason(error: Exception) -> str:
    """Return an exception's message on one line."""
    if isinstance(error, ValidationError):
        return "; ".join(details["msg"] for details in error.errors(include_url=False))
    return " ".join(str(error).split()) or type(error).__name__
