"""Rules of placements: whether a strategy may act at a site, and whether an arm's placements agree.

Loading an experiment file and building a mask plan use the same rules. `PlacementValidator` reports every
violation at its line and column; `maskbench.masks.plan` raises the first one, for arms that are built in
code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

HARMLESS: Mapping[str, str | float | None] = {"apply": "hard", "fill": None, "legality": "full"}
"""The settings that hold for a whole site, with the values under which nothing leaks. A placement with such a
value leaves the setting to the site's other placements."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a placement: the key to change and a message."""

    key: str
    """The placement's key that has to change; empty if it is no single key."""
    message: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A placement to check, with the class of its strategy."""

    strategy: Any
    placement: PlacementConfig
    label: str
    """The placement's name in messages."""
    preset: str = ""
    """The preset that the file names in place of the strategy; empty without one."""

    @property
    def is_normaliser(self) -> bool:
        """Whether the strategy turns scores into weights in place of the softmax."""
        return bool(self.strategy.kind == "normaliser")

    def setting(self, key: str) -> str | float | None:
        """Return the placement's value of a setting of its whole site; `key` is a key of `HARMLESS`."""
        value: str | float | None = getattr(self.placement, key)
        return value


def placement_violations(candidate: Candidate, options: Any) -> Iterator[Violation]:
    """Yield the rules a placement breaks on its own, independent of the model and of other placements.

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
        elif key == "fill" and placement.apply != "small_fill":
            message = (
                f"fill is the score of hidden pairs under apply: small_fill, not under {placement.apply}"
            )
            yield Violation(key, f"{message}; leave it out, or write apply: small_fill beside it")
        elif not placement.unsafe and (key == "legality" or value in LEAKING_APPLICATIONS):
            message = f"{key}: {value} lets hidden positions have an influence"
            yield Violation(key, f"{message}; add unsafe: true if that is what you want to measure")
    # No checkpoint stores the number of stalls at the freeze, so a resumed run could not restore the
    # schedule.
    if placement.freeze_at is not None and _has_plateau(options):
        message = "freeze_at does not go with a plateau schedule"
        yield Violation("freeze_at", f"{message}: how often validation stalled by then is not remembered")


def _has_plateau(value: Any) -> bool:
    """Return whether plain data contains a `plateau` schedule, at any depth."""
    if isinstance(value, dict):
        return set(value) == {"plateau"} or any(map(_has_plateau, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_plateau, value))


class LayersAndHeads(Protocol):
    """The model sizes the rules read; `ModelConfig` and the `Sizes` given to strategies have them."""

    @property
    def encoder_layers(self) -> int:
        """Number of encoder layers."""

    @property
    def decoder_layers(self) -> int:
        """Number of decoder layers."""

    @property
    def n_heads(self) -> int:
        """Number of heads in every attention layer."""


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
    """Yield the rules that an arm's placements break together, each with the index of the placement.

    All placements of a site must agree on its settings. At most one normaliser replaces the softmax of a
    site, and then only with `apply: hard`. Each strategy's `check_arm` must accept the arm.
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
    """Reports the violations of a placement at its line and column in the experiment file."""

    report: ProblemReport
    candidate: Candidate
    node: Node
    """The placement in the file, short forms expanded."""

    @property
    def placement(self) -> PlacementConfig:
        """The placement of the candidate."""
        return self.candidate.placement

    def check(self, options: Any, model: ModelConfig | None) -> PlacementConfig | None:
        """Return the placement with its default refresh; if it breaks a rule, report that and return None.

        If `options` or `model` is None because it is invalid, the strategy's own `check` is skipped.
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
        """Report the violations of a part of a combination; its node has only `mask` and options."""
        before = self.report.n_found
        for violation in placement_violations(self.candidate, {}):
            if violation.key == "site":
                self.add(violation)
        if model is not None and self.report.n_found == before:
            self._ask(options, model)

    def add(self, violation: Violation) -> None:
        """Report a violation at its key of the placement, or at the placement if it has no such key."""
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
    """Report the rules that an arm's placements break together (`arm_violations`)."""
    for i, violation in arm_violations([validator.candidate for validator in arm]):
        arm[i].add(violation)


def reason(error: Exception) -> str:
    """Return an exception's message on one line."""
    if isinstance(error, ValidationError):
        return "; ".join(details["msg"] for details in error.errors(include_url=False))
    return " ".join(str(error).split()) or type(error).__name__
