"""Placed strategies: a strategy with its site, layers, heads, phases, schedules and random draws."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.config.resolve.placement_rules import (
    Candidate,
    arm_violations,
    placement_violations,
    reach_violations,
)
from maskbench.config.schema.experiment import PlacementConfig, Refresh
from maskbench.errors import ConfigError
from maskbench.masks.base import (
    ATTENTION_SITES,
    AttentionMask,
    HeadGate,
    ScoreBias,
    ScoreGate,
    Strategy,
    StrategyOptions,
)
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, AttentionRequest, Sizes
from maskbench.masks.pattern_cache import PatternCache
from maskbench.masks.random_draws import Draws, MaskSampler
from maskbench.masks.schedules import ScheduleContext
from maskbench.registry import MASKS


@dataclass(frozen=True, slots=True)
class _ResolvedOptions:
    """Options with schedules replaced by values, cached for one layer."""

    moment: Clock | None
    """Clock at which the schedules have these values; None where no schedule changes over time."""
    options: StrategyOptions
    json: str


class PlacedStrategy:
    """One placement of an arm: its strategy, options and random draws."""

    def __init__(
        self, placement: PlacementConfig, ordinal: int, sizes: Sizes, seed: int, streams: str
    ) -> None:
        cls: type[Strategy] = MASKS.lookup(placement.mask)
        missing = cls.needs - sizes.facts.annotations
        if missing:
            raise ConfigError(
                f"{placement.mask} needs a corpus that marks {' and '.join(sorted(missing))}; this one does not"
            )
        self.placement = placement
        self.site: str = placement.site
        self.name: str = placement.mask
        self.label = f"{placement.site}-{placement.mask}-{ordinal}"
        """Name of the placement in parameters and logs; the same in every arm that has this placement."""
        self.options: StrategyOptions = cls.parse_options(placement)
        self.strategy: Strategy = cls(self.options, sizes, placement.site)
        self.phases = placement.phases or cls.default_phases
        self.n_layers = sizes.layers(placement.site) if placement.site in ATTENTION_SITES else 1
        self.layers = range(self.n_layers) if placement.layers == "all" else placement.layers
        self.n_heads = sizes.n_heads
        self._heads = self._head_keep(placement, sizes.n_heads)
        refresh = placement.refresh or cls.default_refresh or Refresh(per="run")
        self._sampler = MaskSampler(seed, streams, self.site, self.name, ordinal, refresh)
        schedules = self.options.schedules().values()
        self._is_scheduled = bool(schedules)
        self._is_sampled = any(s.name == "sample" for s in schedules)
        self.moves_in_time = any(s.name != "per_layer" for s in schedules)
        """Whether some option has a schedule that moves over training, and not only over the layers."""
        self._resolved: dict[int, _ResolvedOptions] = {}
        """By layer: the options of the last call."""
        self.varies_by_example = any(s.is_per_example for s in schedules)
        """Whether some option has one value per example."""
        self._draws_clock: Clock | None = None
        by_example = self.varies_by_example or (self.strategy.stochastic and refresh.per == "example")
        sliceable = isinstance(self.strategy, AttentionMask) and self.strategy.sliceable
        self.pattern_cache = PatternCache(sliceable) if sliceable and not by_example else None

    @staticmethod
    def _head_keep(placement: PlacementConfig, n_heads: int) -> Bool[Tensor, "1 heads 1 1"] | None:
        """Return True for the heads the placement acts on; None where it acts on all heads."""
        if placement.heads == "all":
            return None
        acts = [h in placement.heads for h in range(n_heads)]
        return torch.tensor(acts).reshape(1, n_heads, 1, 1)

    def is_active(self, clock: Clock, layer: int = 0) -> bool:
        """Whether the placement acts in this phase and layer."""
        return clock.phase in self.phases and layer in self.layers

    def active_heads(self) -> Bool[Tensor, "layers heads"]:
        """Return True for the layers and heads the placement acts in."""
        acts = torch.zeros(self.n_layers, self.n_heads, dtype=torch.bool)
        acts[list(self.layers)] = True
        return acts if self._heads is None else acts & self._heads.reshape(1, -1)

    def is_frozen(self, clock: Clock) -> bool:
        """Whether training is past the placement's `freeze_at`."""
        stop = self.placement.freeze_at
        return stop is not None and self.effective_clock(clock).step < clock.step

    def effective_clock(self, clock: Clock) -> Clock:
        """Return the clock that the placement's schedules and draws read; it stops at `freeze_at`."""
        return clock if self.placement.freeze_at is None else clock.stopped_at(self.placement.freeze_at)

    def options_at(
        self, clock: Clock, layer: int = 0, examples: Int[Tensor, "batch"] | None = None
    ) -> StrategyOptions:
        """Return the options with every schedule replaced by its value at `clock`.

        Args:
            examples: example ids, for schedules that draw one value per example.
        """
        if not self._is_scheduled:
            return self.options
        if examples is not None and self.varies_by_example:
            clock = self.effective_clock(clock)
            return self._resolve(clock, layer, self._sampler.example_uniforms(clock, examples))
        return self._resolved_at(clock, layer).options

    def options_in(self, ctx: AttentionContext) -> StrategyOptions:
        """Return the options that hold at the clock, layer and examples of a context."""
        return self.options_at(ctx.request.clock, ctx.layer, ctx.request.examples)

    def options_json(self, clock: Clock, layer: int = 0) -> str:
        """Return the options at `clock` as JSON; schedules per example have their evaluation value."""
        return self._resolved_at(clock, layer).json

    def _resolved_at(self, clock: Clock, layer: int) -> _ResolvedOptions:
        # Called several times per layer and step, so options are cached per layer. Where no schedule changes
        # over time, each layer is resolved once.
        moment = self.effective_clock(clock) if self.moves_in_time else None
        resolved = self._resolved.get(layer)
        if resolved is None or resolved.moment != moment:
            options = self._resolve(moment or clock, layer, None) if self._is_scheduled else self.options
            resolved = _ResolvedOptions(moment, options, options.model_dump_json())
            self._resolved[layer] = resolved
        return resolved

    def _resolve(self, clock: Clock, layer: int, example_draws: Tensor | None) -> StrategyOptions:
        draw = self._sampler.step_uniform(clock) if self._is_sampled else None
        return self.options.resolve(
            ScheduleContext(
                clock.progress, layer, self.n_layers, draw, each=example_draws, stalls=clock.stalls
            )
        )

    def draws(self, clock: Clock, examples: Int[Tensor, "batch"]) -> Draws | None:
        """Return the placement's random draws for these examples; None for a strategy without randomness."""
        if not self.strategy.stochastic:
            return None
        return self._sampler.draws(self._draws_clock or self.effective_clock(clock), examples)

    @contextmanager
    def hold_draws(self, clock: Clock) -> Iterator[None]:
        """Inside, random draws are those at `clock`, so that what changes between two clocks is the mask itself."""
        self._draws_clock = self.effective_clock(clock)
        try:
            yield
        finally:
            self._draws_clock = None

    def keep(self, options: Any, ctx: AttentionContext) -> Bool[Tensor, "b _ q kv"]:
        """Return an attention mask's pattern; all True in heads the placement does not act on."""
        if self.pattern_cache is None or not len(ctx.request.q_idx) or not len(ctx.request.kv_idx):
            return self.compute_keep(options, ctx)

        def compute(q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            # One example is enough: a cached pattern is the same for all examples.
            one = ctx.request.examples[:1]
            wide = AttentionRequest.of_positions(q_idx, kv_idx, one, ctx.request.clock, ctx.n_heads)
            return self.compute_keep(options, replace(ctx, request=wide))

        return self.pattern_cache.get(self.situation(ctx), ctx.request.q_idx, ctx.request.kv_idx, compute)

    def situation(self, ctx: AttentionContext) -> tuple[str, object, int]:
        """Return all that a pattern with a cache depends on besides positions: options, draws and layer."""
        words = None if ctx.draws is None else ctx.draws.key.words
        return self.options_json(ctx.request.clock, ctx.layer), words, ctx.layer

    def compute_keep(self, options: Any, ctx: AttentionContext) -> Bool[Tensor, "b _ q kv"]:
        """Return `keep` without its cache of whole patterns."""
        assert isinstance(self.strategy, AttentionMask)
        keep = self.strategy.keep(options, ctx)
        return keep if self._heads is None else keep | ~self._heads.to(keep.device)

    def bias(
        self, options: Any, ctx: AttentionContext
    ) -> tuple[Float[Tensor, "#batch #heads #q #kv"], Bool[Tensor, "#batch #heads #q #kv"] | None]:
        """Return what a score bias or gate adds to the scores, 0 in heads it does not act on, and which pairs it leaves.

        The second is None for a strategy that hides no pair. A pair with gate 0 has log-gate -inf. It is hidden, so that
        the empty-row rule applies to it, and has bias 0, so that a sum of biases stays finite.
        """
        strategy = self.strategy
        if isinstance(strategy, ScoreBias):
            return self.restrict_to_heads(strategy.bias(options, ctx), 0.0), None
        assert isinstance(strategy, ScoreGate)
        bias = self.restrict_to_heads(strategy.log_gate(options, ctx), 0.0)
        if not strategy.hides:
            return bias, None
        keep = bias > -torch.inf
        return bias.masked_fill(~keep, 0.0), keep

    def head_gate(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads"]:
        """Return the factor of every head's output; 1 in heads the placement does not act on."""
        assert isinstance(self.strategy, HeadGate)
        return self.restrict_to_heads(self.strategy.head_gate(options, ctx), 1.0)

    def restrict_to_heads(self, value: Float[Tensor, "..."], otherwise: Tensor | float) -> Tensor:
        """Return `value` in the placement's heads and `otherwise` in the other heads; heads are axis 1."""
        if self._heads is None:
            return value
        heads = self._heads.to(value.device)
        heads = heads.reshape(1, -1, *[1] * (value.ndim - 2))
        return torch.where(heads, value, torch.as_tensor(otherwise, dtype=value.dtype, device=value.device))


def place_strategies(
    placements: list[PlacementConfig], sizes: Sizes, seed: int, streams: str
) -> list[PlacedStrategy]:
    """Build every placement of an arm; placements with the same site and strategy are numbered in order.

    The rules of placements are not asked (`refuse_violations`): a picture shows a placement without those it needs
    beside it.
    """
    seen: dict[tuple[str, str], int] = {}
    placed = []
    for placement in placements:
        kind = (placement.site, placement.mask)
        ordinal = seen.get(kind, 0)
        seen[kind] = ordinal + 1
        placed.append(PlacedStrategy(placement, ordinal, sizes, seed, streams))
    return placed


def refuse_violations(placements: Sequence[PlacementConfig], sizes: Sizes) -> None:
    """Raise the first rule that an arm's placements break.

    Raises:
        ConfigError: a placement breaks a rule, alone or in combination with the others.
    """
    arm = [Candidate(MASKS.lookup(p.mask), p, f"{p.mask} at {p.site}") for p in placements]
    for candidate in arm:
        found = placement_violations(candidate, candidate.placement.options)
        for violation in itertools.chain(found, reach_violations(candidate.placement, sizes)):
            raise ConfigError(f"{candidate.label}: {violation.message}")
    for index, violation in arm_violations(arm):
        raise ConfigError(f"{arm[index].label}: {violation.message}")
