"""The contract of a mask strategy: what it is told, what it may answer, what it declares.

Every boolean mask in maskbench answers one question: may this query look at this key, is this a real token?
True means yes, everywhere.

A strategy is a small, pure, single-site object. It is told where it stands (a `Clock`, the lengths it may know, keyed
draws) and answers one question; it never looks at the training loop and never touches global random state. The kinds
differ in the question. How answers are combined, and that legality has the last word, is the plan's business
(`maskbench.masks.plan`).
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
"""`(b, h, q_idx, kv_idx) -> bool` over broadcastable index tensors, True = may attend (FlexAttention's term)."""


OptionsT = TypeVar("OptionsT", bound="StrategyOptions")


class StrategyOptions(BaseModel):
    """The options of a strategy in the experiment file: strict, frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def resolve(self: OptionsT, context: ScheduleContext) -> OptionsT:
        """Return these options with every schedule, nested ones too, replaced by its value in `context`."""
        moving = {k: _resolve(v, context) for k, v in self if _schedules(k, v)}
        return self.model_copy(update=moving) if moving else self

    def schedules(self) -> dict[str, Schedule]:
        """Return the scheduled options by name, those of nested options by a path such as `of[0].radius`."""
        return {path: schedule for k, v in self for path, schedule in _schedules(k, v).items()}


def _schedules(path: str, value: Any) -> dict[str, Schedule]:
    """Return the schedules in the value of one option, each by its path."""
    if isinstance(value, Schedule):
        return {path: value}
    if isinstance(value, StrategyOptions):
        return {f"{path}.{k}": s for k, s in value.schedules().items()}
    if isinstance(value, tuple | list):
        return {k: s for i, v in enumerate(value) for k, s in _schedules(f"{path}[{i}]", v).items()}
    return {}


def _resolve(value: Any, context: ScheduleContext) -> Any:
    """Return the value of one option in `context`."""
    if isinstance(value, Schedule):
        return value.value_at(context)
    if isinstance(value, StrategyOptions):
        return value.resolve(context)
    if isinstance(value, tuple | list):
        return type(value)(_resolve(v, context) for v in value)
    return value


class Strategy(nn.Module, ABC):
    """A named plug-in that decides what is hidden at one site.

    A subclass is one of the kinds below, declares the class variables, has an `Options` model, and is entered with
    `@MASKS.register(name)`. Its first docstring paragraph is its description in the catalogue.

    What is declared below as a class variable holds for the class; the others may be narrowed for an instance, where
    its options decide.
    """

    kind: ClassVar[str]
    sites: ClassVar[frozenset[str]]
    """Where the strategy may be placed."""
    depends_on: frozenset[str] = frozenset()
    """Any of "length", "input", "parameters", "annotation"; empty: on positions alone."""
    stochastic: bool = False
    """Whether it draws random numbers; only then may a placement set `refresh`."""
    default_refresh: ClassVar[Refresh | None] = None
    default_phases: ClassVar[tuple[Phase, ...]] = ("train", "eval")
    may_empty_rows: bool = False
    """Whether a query may be left with nothing to attend to."""
    starts_as_identity: bool = False
    """Whether step 0 equals the model without it (asked of every learned strategy)."""
    cacheable: bool = True
    """Whether a decoding step may be computed alone, from cached keys and values."""
    rows_sum_to_one: bool = True
    """Whether attention weights still sum to one, in every row that is not empty."""
    signed_weights: bool = False
    """Whether attention weights may be negative."""
    mixes_queries: ClassVar[bool] = False
    """Whether what one query reads depends on the other queries; the encoder then looks ahead whatever is hidden."""
    needs: frozenset[str] = frozenset()
    """Annotations the corpus must give: any of "junk", "links"."""
    source: ClassVar[str]
    """Paper and year."""
    example: ClassVar[StrategyOptions]
    """Options with which the strategy visibly does something on a sentence of ten words."""
    example_arm: ClassVar[tuple[PlacementConfig, ...]] = ()
    """Placements that the example needs beside it."""
    Options: ClassVar[type[StrategyOptions]]

    def __init__(self, options: StrategyOptions, sizes: Sizes, site: str) -> None:
        super().__init__()
        self.sizes = sizes
        self.site = site

    @classmethod
    def check(cls, site: str, options: Any, placement: PlacementConfig, model: ModelConfig) -> None:
        """Refuse combinations the options alone cannot rule out; a subclass that adds rules calls this one first.

        Raises:
            ValueError: with the reason.
        """
        layered = [name for name, schedule in options.schedules().items() if schedule.name == "per_layer"]
        if site == "loss" and "train" not in (placement.phases or ("train",)):
            raise ValueError("phases: there is no loss in evaluation; a mask there acts in train")
        if layered and site not in ATTENTION_SITES:
            raise ValueError(f"{layered[0]}: per_layer has no meaning at {site}, which has no layers")

    @classmethod
    def parse_options(cls, placement: PlacementConfig) -> StrategyOptions:
        """Return what a placement's options say; they stay plain data there, so that it can be read without torch.

        Raises:
            pydantic.ValidationError: they are not options of this strategy; the experiment file's checker asks the same
                model, so this happens only to placements that a program builds.
        """
        return cls.Options.model_validate(placement.options)

    @classmethod
    def check_arm(cls, placement: PlacementConfig, arm: Sequence[PlacementConfig]) -> None:
        """Refuse an arm whose other placements make this one meaningless or dishonest.

        Raises:
            ValueError: with the reason.
        """

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Tensor | None:
        """Return a scalar to add to the training loss, never to a reported nll.

        Args:
            acts: True for the layers and heads in which the placement acts; the others cost nothing.
        """
        return None

    def density(self, options: Any, q_len: int, kv_len: int) -> float | None:
        """Return kept over legal pairs for these lengths in closed form, None where there is none."""
        return None


class AttentionMask(Strategy):
    """Decides which pairs stay. Answers are combined by AND."""

    kind = "attention mask"
    sliceable: bool = False
    """Whether the pattern for a length is a corner of the pattern for every greater one, and depends on nothing else
    than positions, options and shared draws: only then is it kept between batches (`maskbench.masks.pattern_cache`)."""

    @classmethod
    def is_causal(cls, options: Any) -> bool:
        """Return whether no query ever sees a key after its own position."""
        return False

    @abstractmethod
    def mask_mod(self, options: Any, ctx: AttentionContext) -> MaskMod:
        """Return the pattern as a function of index tensors."""

    def keep(self, options: Any, ctx: AttentionContext) -> Bool[Tensor, "#batch #heads q kv"]:
        """Return the pattern as a tensor; overridden by patterns that read the input."""
        return self.mask_mod(options, ctx)(*ctx.indices())


class ScoreBias(Strategy):
    """Adds a bias to the scaled scores. Answers are summed."""

    kind = "score bias"

    @abstractmethod
    def bias(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads q kv"]:
        """Return the bias."""

    def picture(self, options: Any, layer: int, n: int) -> Float[Tensor, "heads n n"] | None:
        """Return what every head adds over the first `n` positions, None where that depends on the input."""
        return None


class ScoreGate(Strategy):
    """Weighs pairs by a gate in [0, 1]. Its log is added to the scores, so weights stay normalised."""

    kind = "gate"
    hides: ClassVar[bool] = False
    """Whether a gate can be exactly 0, its log -inf: the plan then hides the pair as a mask would."""

    @abstractmethod
    def log_gate(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads q kv"]:
        """Return log-gates, at most 0."""

    def picture(self, options: Any, layer: int, n: int) -> Float[Tensor, "heads n n"] | None:
        """Return every head's gates in [0, 1] over the first `n` positions, without what depends on the input."""
        return None


class WeightMask(Strategy):
    """Multiplies attention weights after the normaliser. Answers are multiplied; rows need not sum to one."""

    kind = "weight mask"
    default_phases = ("train",)
    rows_sum_to_one = False

    @abstractmethod
    def factors(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch #heads q kv"]:
        """Return factors, at least 0."""


class HeadGate(Strategy):
    """Weighs whole heads, after the values. Answers are multiplied."""

    kind = "gate"

    @abstractmethod
    def head_gate(self, options: Any, ctx: AttentionContext) -> Float[Tensor, "#batch heads"]:
        """Return factors, at least 0."""


class Normaliser(Strategy):
    """Turns scores into weights in place of the softmax. A site has at most one."""

    kind = "normaliser"

    @abstractmethod
    def weights(
        self,
        options: Any,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        """Return weights; hidden pairs come as -inf in `scores`, and no row is empty.

        Scores are float32 or float64 and include the biases in force.
        """

    def kept(self, options: Any, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"] | None:
        """Return how many of `visible` keys get weight in a row, None where that depends on the scores."""
        return None

    def density(self, options: Any, q_len: int, kv_len: int) -> float | None:
        """Return kept over legal pairs where `kept` knows them: a row of the causal decoder sees one key more each."""
        legal = torch.full((q_len,), kv_len)
        if self.site == "decoder_self":
            legal = torch.arange(1, q_len + 1).clamp(max=kv_len)
        kept = self.kept(options, legal)
        return None if kept is None else float(kept.sum() / legal.sum())


class TokenMask(Strategy):
    """Replaces token ids or embeddings at an input. Strategies act in order and see earlier picks."""

    kind = "token mask"
    default_phases: ClassVar[tuple[Phase, ...]] = ("train",)

    @abstractmethod
    def change(self, options: Any, ctx: TokenContext) -> tuple[TokenInput, Bool[Tensor, "batch len"]]:
        """Return the changed input and the positions, as they came in, that this strategy picked.

        At `decoder_input` a pick at t may depend on the draw and on tokens up to t only. At `encoder_input` the result
        may have other columns (`TokenInput.rearranged`).
        """


class InputFeature(Strategy):
    """Adds a channel to the embeddings, projected to d_model and zero at the start. Answers are summed."""

    kind = "input feature"
    default_phases: ClassVar[tuple[Phase, ...]] = ("train",)

    @abstractmethod
    def feature(
        self, options: Any, x: Float[Tensor, "batch len d_model"], tokens: TokenInput
    ) -> Float[Tensor, "batch len d_model"]:
        """Return what is added to the embeddings `x`."""


class TensorGate(Strategy):
    """Multiplies the embeddings at an input, the encoder output as the decoder reads it, or the vocabulary scores."""

    kind = "gate"

    @abstractmethod
    def gate(
        self, options: Any, tensor: Float[Tensor, "batch len width"], ctx: GateContext
    ) -> Float[Tensor, "#batch #len #width"]:
        """Return factors, at least 0, that multiply `tensor`.

        At `decoder_input` and `logits` those of column t may depend on columns up to t only.
        """


class LogitMask(Strategy):
    """Decides which vocabulary entries stay. In training the plan never lets it hide the gold token."""

    kind = "logit mask"
    default_phases: ClassVar[tuple[Phase, ...]] = ("train",)

    @abstractmethod
    def allowed(self, options: Any, ctx: LogitContext) -> Bool[Tensor, "#batch #len vocab"]:
        """Return the entries that stay, for every row of `ctx.positions`."""


class LossMask(Strategy):
    """Weighs target tokens in the training loss. Answers are multiplied; the denominator counts what is kept."""

    kind = "loss mask"
    default_phases = ("train",)
    reads_losses: bool = False
    """Whether its picks depend on the losses, so that they cannot be drawn again without the model."""

    @abstractmethod
    def weights(self, options: Any, ctx: LossContext) -> Float[Tensor, "batch len"]:
        """Return weights, at least 0."""
