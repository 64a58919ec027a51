"""Base classes of mask strategies: one per kind of mask.

In every boolean mask of maskbench True means: this query may attend to this key, or this token is real.

A strategy is a pure function for one site. It receives options and a context (clock, lengths, keyed random
draws) and returns a mask, bias, gate or weight. It does not read the training loop and does not use global
random state. `maskbench.masks.plan` combines the results of all strategies and legality.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig, Refresh
from maskbench.masks.clock import Phase
from maskbench.masks.context import (
    AttentionContext,
    GateContext,
    LogitContext,
    LossContext,
    Sizes,
    TokenContext,
    TokenInput,
)
from maskbench.masks.schedules import Schedule, ScheduleContext

SELF_SITES = frozenset({"encoder_self", "decoder_self"})
ATTENTION_SITES = SELF_SITES | {"cross"}
INPUT_SITES = frozenset({"encoder_input", "decoder_input"})

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""`(b, h, q_idx, kv_idx) -> bool` on broadcastable index tensors, True = may attend (FlexAttention's
term)."""


OptionsT = TypeVar("OptionsT", bound="StrategyOptions")


class StrategyOptions(BaseModel):
    """Options of a strategy in the experiment file: strictly typed, immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def resolve(self: OptionsT, context: ScheduleContext) -> OptionsT:
        """Return these options with every schedule (also nested ones) replaced by its value in `context`."""
        moving = {k: _resolve(v, context) for k, v in self if _schedules(k, v)}
        return self.model_copy(update=moving) if moving else self

    def schedules(self) -> dict[str, Schedule]:
        """Return the schedules by option name; nested ones by a path such as `of[0].radius`."""
        return {path: schedule for k, v in self for path, schedule in _schedules(k, v).items()}


def _schedules(path: str, value: Any) -> dict[str, Schedule]:
    """Return the schedules in the value of one option, by path."""
    if isinstance(value, Schedule):
        return {path: value}
    if isinstance(value, StrategyOptions):
        return {f"{path}.{k}": s for k, s in value.schedules().items()}
    if isinstance(value, tuple | list):
        return {k: s for i, v in enumerate(value) for k, s in _schedules(f"{path}[{i}]", v).items()}
    return {}


def _resolve(value: Any, context: ScheduleContext) -> Any:
    """Return an option's value with every schedule replaced by its value in `context`."""
    if isinstance(value, Schedule):
        return value.value_at(context)
    if isinstance(value, StrategyOptions):
        return value.resolve(context)
    if isinstance(value, tuple | list):
        return type(value)(_resolve(v, context) for v in value)
    return value


class Strategy(nn.Module, ABC):
    """Base class of all mask strategies.

    A strategy derives from one of the kinds below, sets the class variables, has an `Options` model, and is
    registered with `@MASKS.register(name)`. The first paragraph of its docstring is its description in the
    catalogue.

    A `ClassVar` below holds for the class; an instance may narrow the other attributes by its options.
    """

    kind: ClassVar[str]
    sites: ClassVar[frozenset[str]]
    """The sites at which the strategy may be placed."""
    depends_on: frozenset[str] = frozenset()
    """Inputs of the result besides positions: any of "length", "input", "parameters", "annotation"."""
    stochastic: bool = False
    """Whether the strategy uses random draws; only then may a placement set `refresh`."""
    default_refresh: ClassVar[Refresh | None] = None
    default_phases: ClassVar[tuple[Phase, ...]] = ("train", "eval")
    may_empty_rows: bool = False
    """Whether the strategy may hide every key of a query."""
    starts_as_identity: bool = False
    """Whether the model at step 0 equals the model without the strategy; required of learned strategies."""
    cacheable: bool = True
    """Whether decoding may compute one position from cached keys and values."""
    rows_sum_to_one: bool = True
    """Whether the attention weights of every row that is not empty sum to 1."""
    signed_weights: bool = False
    """Whether attention weights may be negative."""
    mixes_queries: ClassVar[bool] = False
    """Whether one query's output depends on other queries; encoder masks then cannot exclude later
    tokens."""
    needs: frozenset[str] = frozenset()
    """Annotations that the corpus must have: any of "junk", "links"."""
    source: ClassVar[str]
    """Paper and year."""
    example: ClassVar[StrategyOptions]
    """Options under which the strategy has a visible effect on a sentence of ten words."""
    example_arm: ClassVar[tuple[PlacementConfig, ...]] = ()
    """Other placements that the example requires in the same arm."""
    Options: ClassVar[type[StrategyOptions]]

    def __init__(self, options: StrategyOptions, sizes: Sizes, site: str) -> None:
        super().__init__()
        self.sizes = sizes
        self.site = site

    @classmethod
    def check(cls, site: str, options: Any, placement: PlacementConfig, model: ModelConfig) -> None:
        """Check a placement's options against its site, phases and model; an override calls this one first.

        Raises:
            ValueError: the combination is not allowed; the message gives the reason.
        """
        layered = [name for name, schedule in options.schedules().items() if schedule.name == "per_layer"]
        if site == "loss" and "train" not in (placement.phases or ("train",)):
            raise ValueError("phases: there is no loss in evaluation; a mask there acts in train")
        if layered and site not in ATTENTION_SITES:
            raise ValueError(f"{layered[0]}: per_layer has no meaning at {site}, which has no layers")

    @classmethod
    def parse_options(cls, placement: PlacementConfig) -> StrategyOptions:
        """Return a placement's options as this strategy's `Options`.

        A `PlacementConfig` keeps options as plain data, so that configurations load without torch.

        Raises:
            pydantic.ValidationError: the options do not fit `Options`. The experiment file's checker uses
                the same model, so only placements built in code get this far.
        """
        return cls.Options.model_validate(placement.options)

    @classmethod
    def check_arm(cls, placement: PlacementConfig, arm: Sequence[PlacementConfig]) -> None:
        """Check a placement against the other placements of its arm.

        Raises:
            ValueError: the combination would make this placement meaningless or misleading.
        """

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Tensor | None:
        """Return a scalar that is added to the training loss but not to a reported nll; None: no penalty.

        Args:
            acts: True for the layers and heads in which the placement acts; only these are penalised.
        """
        return None

    def density(self, options: Any, q_len: int, kv_len: int) -> float | None:
        """Return kept pairs / legal pairs at these lengths, in [0, 1]; None without a closed form."""
        return None


class AttentionMask(Strategy):
    """Returns which query-key pairs are kept. The plan ANDs the results."""

    kind = "attention mask"
    sliceable: bool = False
    """Whether the pattern for length n is the first n rows and columns of every longer pattern, and depends
    only on positions, options and shared draws. Only such patterns are cached
    (`maskbench.masks.pattern_cache`)."""

    @classmethod
    def is_causal(cls, options: Any) -> bool:
        """Return whether every query keeps only keys at or before its own position."""
        return False

    def period(self, options: Any) -> int:
        """Return p where queries p positions apart keep nearly the same keys; it changes speed, not results.

        Attention that is computed in blocks may then put every p-th query into one block.
        """
        return 1

    @abstractmethod
    def mask_mod(self, options: Any, ctx: AttentionContext) -> MaskMod:
        """Return the pattern as a function of index tensors."""

    def keep(self, options: Any, ctx: AttentionContext) -> Bool[Tensor, "#batch #heads q kv"]:
        """Return the pattern as a boolean tensor; patterns that read the input override this."""
        return self.mask_mod(options, ctx)(*ctx.indices())


class ScoreBias(Strategy):
    """Returns a bias that is added to the scaled scores. The plan sums the results."""

    kind = "score bias"
    by_pair: ClassVar[bool] = False
    """Whether the bias of a pair depends on its positions, options and lengths alone, and has no gradient, so that it can be
    computed for any part of the pairs."""

    @abstractmethod
    def bias(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads q kv"]:
        """Return the bias of every pair, in units of scaled scores."""

    def picture(self, options: Any, layer: int, n: int) -> Float[Tensor, "heads n n"] | None:
        """Return every head's bias over the first `n` positions, None where it depends on the input."""
        return None


class ScoreGate(Strategy):
    """Returns log-gates of pairs, gates in [0, 1]. The plan sums them into the scores' bias."""

    kind = "gate"
    hides: ClassVar[bool] = False
    """Whether a gate can be exactly 0 (log -inf); the plan then hides the pair as a mask does."""
    by_pair: ClassVar[bool] = False
    """Whether the gate of a pair depends on its positions, options and lengths alone, and has no gradient, so that it can be
    computed for any part of the pairs."""

    @abstractmethod
    def log_gate(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads q kv"]:
        """Return the log-gate of every pair, at most 0."""

    def picture(self, options: Any, layer: int, n: int) -> Float[Tensor, "heads n n"] | None:
        """Return every head's gates over the first `n` positions, without input-dependent parts; 0 to 1."""
        return None


class WeightMask(Strategy):
    """Returns factors for attention weights, applied after the normaliser. The plan multiplies the results.

    Rows then need not sum to 1.
    """

    kind = "weight mask"
    default_phases = ("train",)
    rows_sum_to_one = False

    @abstractmethod
    def factors(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads q kv"]:
        """Return the factor of every pair, at least 0."""


class HeadGate(Strategy):
    """Returns one factor per head, applied to the head's output. The plan multiplies the results."""

    kind = "gate"

    @abstractmethod
    def head_gate(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch heads"]:
        """Return the factor of every head, at least 0."""


class Normaliser(Strategy):
    """Computes attention weights from scores in place of the softmax. A site has at most one."""

    kind = "normaliser"

    @abstractmethod
    def weights(
        self,
        options: Any,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        """Return the attention weights.

        Args:
            scores: float32 or float64, biases included, -inf at hidden pairs.
            keep: True at kept pairs; every row has at least one.
        """

    def kept(self, options: Any, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"] | None:
        """Return how many of `visible` keys get weight, per row; None where that depends on the scores."""
        return None

    def density(self, options: Any, q_len: int, kv_len: int) -> float | None:
        """Return kept pairs / legal pairs, in [0, 1]; None where `kept` is None.

        At `decoder_self` row i has i + 1 legal keys.
        """
        legal = torch.full((q_len,), kv_len)
        if self.site == "decoder_self":
            legal = torch.arange(1, q_len + 1).clamp(max=kv_len)
        kept = self.kept(options, legal)
        return None if kept is None else float(kept.sum() / legal.sum())


class TokenMask(Strategy):
    """Replaces token ids or zeroes embeddings at an input. Masks act in order and receive earlier picks."""

    kind = "token mask"
    default_phases: ClassVar[tuple[Phase, ...]] = ("train",)

    @abstractmethod
    def change(self, options: Any, ctx: TokenContext) -> tuple[TokenInput, Bool[Tensor, "batch len"]]:
        """Return the changed input, and True at the columns of the original input that were picked.

        At `decoder_input` a pick at t may depend only on draws and on tokens up to t. At `encoder_input` the
        result may have other columns (`TokenInput.rearranged`).
        """


class InputFeature(Strategy):
    """Returns a tensor to add to the embeddings, zero at initialisation. The plan sums the results."""

    kind = "input feature"
    default_phases: ClassVar[tuple[Phase, ...]] = ("train",)

    @abstractmethod
    def feature(
        self, options: Any, x: Float[Tensor, "batch len d_model"], tokens: TokenInput
    ) -> Float[Tensor, "batch len d_model"]:
        """Return the tensor to add to the embeddings `x`."""


class TensorGate(Strategy):
    """Returns factors for the embeddings at an input, the encoder output or the vocabulary scores."""

    kind = "gate"

    @abstractmethod
    def gate(
        self, options: Any, tensor: Float[Tensor, "batch len width"], ctx: GateContext
    ) -> Float[Tensor, "#batch #len #width"]:
        """Return the factors of `tensor`, at least 0.

        At `decoder_input` and `logits` the factors of column t may depend only on columns up to t.
        """


class LogitMask(Strategy):
    """Returns which vocabulary entries are allowed. In training the plan always allows the gold token."""

    kind = "logit mask"
    default_phases: ClassVar[tuple[Phase, ...]] = ("train",)

    @abstractmethod
    def allowed(self, options: Any, ctx: LogitContext) -> Bool[Tensor, "#batch #len vocab"]:
        """Return True at allowed vocabulary entries, for every row of `ctx.positions`."""


class LossMask(Strategy):
    """Returns a weight per target token for the training loss. The plan multiplies the results.

    The loss divides by the sum of the weights.
    """

    kind = "loss mask"
    default_phases = ("train",)
    reads_losses: bool = False
    """Whether weights depend on token losses; they then cannot be recomputed without the model."""

    @abstractmethod
    def weights(self, options: Any, ctx: LossContext) -> Float[Tensor, "batch len"]:
        """Return the weight of every target token, at least 0."""
