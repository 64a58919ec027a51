"""The picture of a placement in a small sample model, for `maskbench masks NAME --show`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from maskbench.config.parsing.nodes import Node, Override
from maskbench.config.parsing.problems import ProblemReport
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.config.resolve.overrides import apply_overrides, parse_set_options
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.schema.experiment import ATTENTION_SITES, ModelConfig, PlacementConfig
from maskbench.errors import ConfigError
from maskbench.masks.base import LogitMask, LossMask, Normaliser, TensorGate, TokenMask
from maskbench.masks.catalogue import placement_line, to_flow_yaml
from maskbench.masks.clock import Clock, Phase
from maskbench.masks.placement import PlacedStrategy, place_strategies
from maskbench.masks.plan import MaskPlan
from maskbench.masks.schedules import Schedule
from maskbench.pictures.attention_grids import draw_attention_grids
from maskbench.pictures.mask_picture import Grid, MaskPicture, TokenRow, TrainingStage
from maskbench.pictures.sample_pair import SamplePair, keyed_normal
from maskbench.pictures.tokens import (
    draw_allowed_vocabulary,
    draw_changed_tokens,
    draw_counted_tokens,
    draw_gate,
)
from maskbench.registry import MASKS, PRESETS

_STEPS = 1000
"""Steps of the simulated training."""
_VISITS = 5
_STALLS = 10
"""Validations without a better model at the end of the simulated training."""
_MAX_GRIDS = 4
"""With more different grids than this, only the first layer is drawn unless layers are given."""
_STAGES = ((0.0, "at the start"), (0.5, "half-way"), (1.0, "at the end"))


@dataclass(frozen=True)
class PictureOptions:
    """Which part of a placement is drawn, and for what sentence."""

    length: int = 12
    """Tokens of the sentence; at `cross`, of the target."""
    source_length: int | None = None
    """Tokens of the source; None: `length`."""
    layers: tuple[int, ...] | None = None
    """None: those the placement acts in, or the first of them if there were too many grids."""
    heads: tuple[int, ...] | None = None
    """None: all."""
    epoch: int = 0
    """The number of earlier epochs; a random mask's draw depends on it."""
    seed: int = 0


def draw_placement(placement: PlacementConfig, view: PictureOptions) -> MaskPicture:
    """Return the picture of one placement.

    Raises:
        ConfigError: the placement does not fit, or the view asks for a layer or head that is not there.
    """
    sample = SamplePair.from_sample_text(view.source_length or view.length, view.length)
    try:
        plan, placed = _plan_of_one(placement, sample, view.seed)
    except ValueError as error:
        raise ConfigError(f"{placement.mask}: {error}") from error
    _perturb_parameters(placed)
    picture = _PictureBuilder(plan, placed, sample, view).build()
    notes = list(_notes(placed, view))
    if view.layers is None and any(len(stage.grids) > _MAX_GRIDS for stage in picture.stages):
        first, *others = placed.layers
        picture = _PictureBuilder(plan, placed, sample, replace(view, layers=(first,))).build()
        notes += [f"layer {first}; --layer {others[0]} shows another" if others else f"layer {first}"]
    return replace(picture, notes=tuple(notes))


def _plan_of_one(
    placement: PlacementConfig, sample: SamplePair, seed: int
) -> tuple[MaskPlan, PlacedStrategy]:
    """Return the placement and a plan that holds nothing else."""
    if placement.site in ATTENTION_SITES:
        # `place_strategies` skips the rules on the whole arm: other placements that this one needs are not drawn.
        (placed,) = place_strategies([placement], sample.sizes, seed, "a")
        return MaskPlan([], seed=seed, streams="a", sizes=sample.sizes), placed
    plan = MaskPlan([placement], seed=seed, streams="a", sizes=sample.sizes)
    return plan, plan.placed[0]


@torch.no_grad()
def _perturb_parameters(placed: PlacedStrategy) -> None:
    """Move learned parameters away from their start, where a mask has no effect."""
    for name, parameter in placed.strategy.named_parameters():
        away = 0.5 * keyed_normal(name, *parameter.shape).to(parameter.dtype)
        # Parameters that start at 0 become positive: a negative amount of a gate acts as 0.
        parameter.add_(0.5 + away.abs() if not parameter.any() else away)


def _notes(placed: PlacedStrategy, view: PictureOptions) -> Iterator[str]:
    strategy, kind = placed.strategy, type(placed.strategy)
    if list(strategy.parameters()):
        yield "learned: it starts without any effect; here its parameters were moved away at random"
    if "input" in kind.depends_on or isinstance(strategy, Normaliser):
        yield "reads the input: drawn for made-up queries, keys and words"
    if "annotation" in kind.depends_on:
        yield "oracle: the corpus tells it what no real task would; the annotations here are made up"
    if strategy.stochastic and not isinstance(strategy, TokenMask | LossMask):
        refresh = placed.placement.refresh or kind.default_refresh
        per = "run" if refresh is None else refresh.per
        other = f"--seed {view.seed + 1}" if per == "run" else f"--epoch {view.epoch + 1}"
        yield f"random, drawn anew for every {per}: this is one draw, {other} shows another"
    if "train" not in placed.phases or "eval" not in placed.phases:
        yield f"acts in {'training' if 'train' in placed.phases else 'evaluation'} only"


@dataclass(frozen=True)
class _PictureBuilder:
    plan: MaskPlan
    placed: PlacedStrategy
    sample: SamplePair
    view: PictureOptions

    def build(self) -> MaskPicture:
        """Return the picture without its notes."""
        site, strategy = self.placed.site, self.placed.strategy
        written = placement_line(site, self.placed.name, self.placed.placement.options)
        title = written.removeprefix("- ")
        if site in ATTENTION_SITES:
            return MaskPicture(title, self._stages(self._attention))
        if isinstance(strategy, TensorGate):
            return MaskPicture(title, self._stages(self._gate), row_axis="position", column_axis="dimension")
        if isinstance(strategy, LogitMask):
            return MaskPicture(
                title, self._stages(self._logits), row_axis="position", column_axis="vocabulary entry"
            )
        if isinstance(strategy, TokenMask):
            bare = MaskPlan([], seed=0, streams="a", sizes=self.sample.sizes)
            before = draw_changed_tokens(bare, self.placed, self.sample, self._clock(0.0), "sentence")
            return MaskPicture(title, rows=(before, *self._rows(draw_changed_tokens)))
        if isinstance(strategy, LossMask):
            return MaskPicture(title, rows=tuple(self._rows(draw_counted_tokens)))
        return MaskPicture(title)

    def _clock(self, progress: float, epoch: int | None = None) -> Clock:
        epoch = self.view.epoch if epoch is None else epoch
        # With one update in an epoch, masks that are drawn for every step also change with the epoch.
        step = round(progress * _STEPS) + epoch if self._is_scheduled else epoch
        phase: Phase = "train" if "train" in self.placed.phases else "eval"
        stalls = max((s.values[2] for s in self._schedules if s.name == "plateau"), default=0)
        return Clock(
            phase, step, max(_STEPS, step), epoch, steps_per_epoch=1, stalls=math.ceil(progress * stalls)
        )

    @property
    def _schedules(self) -> list[Schedule]:
        return list(self.placed.options.schedules().values())

    @property
    def _is_scheduled(self) -> bool:
        """Whether some option changes over training."""
        return any(s.name != "per_layer" for s in self._schedules)

    def _later_clock(self, progress: float) -> Clock:
        """Return a clock at which everything that a strategy could read of time has moved along."""
        clock = self._clock(0.0)
        step = clock.step + round(progress * _STEPS)
        stalls = math.ceil(progress * _STALLS)
        return replace(clock, step=step, total_steps=max(_STEPS, step), epoch=step, stalls=stalls)

    def _moving_points(self, grids_at: Callable[[Clock], tuple[Grid, ...]]) -> list[TrainingStage]:
        """Return the start, middle and end of training where the strategy itself reads the time; else nothing.

        The random draws are those of the start, so that only the reading of the time tells them apart.
        """
        with self.placed.hold_draws(self._clock(0.0)):
            stages = [TrainingStage(name, grids_at(self._later_clock(at))) for at, name in _STAGES]
        first, *others = ([(g.label, g.shades.tobytes()) for g in stage.grids] for stage in stages)
        return stages if any(other != first for other in others) else []

    def _training_points(self) -> Iterator[tuple[str, Clock]]:
        """Yield one point of training, or its start, middle and end where an option changes."""
        if not self._is_scheduled:
            yield "", self._clock(0.0)
            return
        for progress, name in _STAGES:
            clock = self._clock(progress)
            options = self.placed.options_at(clock, 0)
            moving = [k for k, s in self.placed.options.schedules().items() if s.name != "per_layer"]
            values = ", ".join(f"{key} {_format_number(getattr(options, key))}" for key in moving)
            yield f"{name} ({values})", clock

    def _stages(self, grids_at: Callable[[Clock], tuple[Grid, ...]]) -> tuple[TrainingStage, ...]:
        moving = [] if self._is_scheduled else self._moving_points(grids_at)
        stages = tuple(moving) or tuple(
            TrainingStage(label, grids_at(clock)) for label, clock in self._training_points()
        )
        if len(stages) == 1 or any(len(stage.grids) > 1 for stage in stages):
            return stages
        # One grid each: show them side by side.
        return (TrainingStage("", tuple(Grid(stage.label, stage.grids[0].shades) for stage in stages)),)

    def _attention(self, clock: Clock) -> tuple[Grid, ...]:
        layers = _choose_numbers("layer", self.view.layers, range(self.placed.n_layers), self.placed.layers)
        every_head = range(self.sample.sizes.n_heads)
        heads = _choose_numbers("head", self.view.heads, every_head, every_head)
        return draw_attention_grids(self.plan, self.placed, self.sample, clock, layers, heads)

    def _gate(self, clock: Clock) -> tuple[Grid, ...]:
        return (draw_gate(self.placed, self.sample, clock),)

    def _logits(self, clock: Clock) -> tuple[Grid, ...]:
        return (draw_allowed_vocabulary(self.plan, self.placed, self.sample, clock),)

    def _rows(
        self, row_at: Callable[[MaskPlan, PlacedStrategy, SamplePair, Clock, str], TokenRow]
    ) -> Iterator[TokenRow]:
        """Yield the sentence in several epochs, at every point of training that differs."""
        visits = range(self.view.epoch, self.view.epoch + (_VISITS if self.placed.strategy.stochastic else 1))
        stages = _STAGES if self._is_scheduled else ((0.0, ""),)
        for progress, name in stages:
            for visit in visits if not name else visits[:2]:
                label = f"visit {visit}" if len(visits) > 1 else "masked"
                label = f"{name}, {label}" if name else label
                yield row_at(self.plan, self.placed, self.sample, self._clock(progress, visit), label)


def _format_number(value: float | int | Tensor) -> str:
    """Return a scheduled value; where every example has one, the first's."""
    return f"{float(value.flatten()[0] if isinstance(value, Tensor) else value):.3g}"


def _choose_numbers(
    what: str, wanted: Sequence[int] | None, every: Sequence[int], default: Sequence[int]
) -> Sequence[int]:
    for number in wanted or ():
        if number not in every:
            raise ConfigError(f"there is no {what} {number}: the made-up model has 0 to {len(every) - 1}")
    return default if wanted is None else wanted


def parse_placement(name: str, site: str, settings: Sequence[str], model: ModelConfig) -> PlacementConfig:
    """Return a placement of a strategy or a preset.

    Options that are not set are those of the strategy's example (or the preset's); where they do not go together with
    what is set, only the example's required ones.

    Args:
        settings: `option=value`, the value in YAML; `refresh`, `layers` and so on are set likewise.

    Raises:
        ConfigError: a setting is wrong, or the strategy does not act at `site`.
    """
    preset = PRESETS.get(name)
    mask = preset.mask if preset else name
    cls = MASKS.lookup(mask)
    given = cls.example.model_dump(mode="json", exclude_unset=True)
    given = {**given, **preset.options} if preset else given
    # Nothing is trained, so a placement that leaks is allowed.
    base = {"site": site, "mask": mask, "unsafe": True}
    try:
        return _validate_placement({**base, **given}, settings, model)
    except ConfigError:
        if not settings or preset:
            raise
        required = {key for key, field in cls.Options.model_fields.items() if field.is_required()}
        least = {key: value for key, value in given.items() if key in required}
        try:
            return _validate_placement({**base, **least}, settings, model)
        except ConfigError:
            pass
        raise


def _validate_placement(
    written: Mapping[str, Any], settings: Sequence[str], model: ModelConfig
) -> PlacementConfig:
    report = ProblemReport(str(written["mask"]))
    tree: Node = parse_yaml(to_flow_yaml(dict(written)), report)
    changes: list[Override] = parse_set_options(settings, report)
    for change in changes:
        if change.key in ("site", "mask"):
            report.add(change.key_place, "give the strategy as the argument and the site with --site")
    report.raise_if_any()
    placement = RegistryValidator(report).placement(
        apply_overrides(tree, changes, report), "the placement", model
    )
    report.raise_if_any()
    assert placement is not None  # or there was a problem to report
    return placement
