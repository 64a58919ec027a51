"""The sections of the experiment file, with all defaults, types and ranges."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from maskbench.config.schema.metrics import SliceKind, is_metric, metric_name, metric_names
from maskbench.registry import did_you_mean

Size = Annotated[int, Field(ge=1, le=65_536)]
Layers = Annotated[int, Field(ge=1, le=256)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class StrictModel(BaseModel):
    """Base class of all settings: exact types, no unknown keys, immutable, finite numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def check_metric_name(name: str) -> str:
    """Return `name` if it is `split/metric`, with or without a slice, and the metric exists."""
    found = metric_name(name)
    if found is None:
        raise ValueError("must be a split and a metric, such as test/bleu")
    if not is_metric(found.metric):
        known = ", ".join(metric_names())
        raise ValueError(f"names no metric{did_you_mean(found.metric, metric_names())} (metrics: {known})")
    if found.masks == "own":
        shorter = found._replace(masks=None)
        raise ValueError(f"must not name the run's own masks: write {shorter}")
    return name


def refuse_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return `values`; raise a ValueError that names the first repeated one."""
    twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if twice is not None:
        raise ValueError(f"names {twice!r} twice")
    return values


class ModelConfig(StrictModel):
    """The encoder-decoder Transformer."""

    d_model: Size = 128
    n_heads: Annotated[int, Field(ge=1, le=1024, validate_default=True)] = 4
    encoder_layers: Layers = 2
    decoder_layers: Layers = 2
    d_ff: Annotated[int, Field(ge=1, le=1_048_576)] = 512
    dropout: Share = 0.1
    positions: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    tied: bool = True
    """Whether both embeddings and the output projection share one weight table."""
    attention: Literal["auto", "dense"] = "auto"
    """`auto`: long sentences are computed block by block, or by a fused kernel, where nothing reads the weights;
    `dense`: always as one matrix."""

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_the_width(cls, n_heads: int, info: ValidationInfo) -> int:
        d_model = info.data.get("d_model")
        if d_model is not None and d_model % n_heads:
            message = f"must divide d_model, but {d_model} / {n_heads} is not a whole number"
            raise PydanticCustomError("cross_field", "{message}", {"message": message, "at": "d_model"})
        return n_heads


class TrainConfig(StrictModel):
    """How a run is trained. `epochs`, if given, replaces `steps`."""

    steps: Count = 2000
    epochs: Count | None = None
    batch_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 2048
    """Maximum size of a batch in padded tokens: sentences x longest side, end marks included."""
    lr: Annotated[float, Field(gt=0, le=100)] = 1e-3
    schedule: Literal["inverse_sqrt", "constant"] = "inverse_sqrt"
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000_000)] = 200
    label_smoothing: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.0
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Maximum norm of the gradient."""
    rdrop: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Weight of the R-Drop loss between two passes with different masks and dropout; 0: one pass, no such
    loss."""
    valid_every: Count = 200
    save_every: Count = 500
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    select: str = "valid/nll"
    """The metric of the validation split that selects the checkpoint."""
    average: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of last validations whose weights are averaged and evaluated; 1: evaluate the checkpoint that
    `select` picks."""

    @field_validator("select")
    @classmethod
    def _select_on_valid(cls, select: str) -> str:
        check_metric_name(select)
        found = metric_name(select)
        if found is None or found.split != "valid" or found.masks:
            raise ValueError(
                "must be measured on the split valid, such as valid/nll: never choose on a test split"
            )
        if found.part or found.info.needs:
            raise ValueError("must be a metric of the whole split that every corpus has, such as valid/nll")
        return select

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and "steps" in self.model_fields_set:
            message = "steps and epochs are both given; keep one of them"
            raise PydanticCustomError("cross_field", "{message}", {"message": message, "at": "epochs"})
        return self

    @model_serializer(mode="wrap")
    def _what_counts(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the one of `steps` and `epochs` that has no effect, since a file may not have both."""
        fields: dict[str, Any] = dump(self)
        del fields["epochs" if self.epochs is None else "steps"]
        return fields


class StartConfig(StrictModel):
    """The starting weights of a run and the parameters it trains; keys of an arm's long form."""

    init_from: Annotated[str, Field(min_length=1)] | None = None
    """A folder of finished runs whose weights the run starts from; None: new random weights."""
    train_only: Texts | None = None
    """Patterns of parameter names; only matching parameters are trained. None: all are trained."""

    @field_validator("init_from")
    @classmethod
    def _one_line(cls, path: str | None) -> str | None:
        if path is not None and not (path.isprintable() and path.strip() == path):
            raise ValueError("must be a path on one line, such as runs/other/none")
        return path

    @field_validator("train_only")
    @classmethod
    def _patterns_once(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if patterns is not None and not all(patterns):
            raise ValueError('must hold patterns such as "decoder.*"')
        return None if patterns is None else refuse_repeats(patterns)


class DecodeConfig(StrictModel):
    """Settings of beam search."""

    beam_size: Annotated[int, Field(ge=1, le=1024)] = 1
    """Hypotheses kept per sentence at each step; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Alpha of Wu et al. 2016: a hypothesis's log-likelihood is divided by ((5 + length) / 6)^alpha."""
    max_length_ratio: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Maximum number of target tokens per source token."""
    n_best: Annotated[int, Field(ge=1, le=1024, validate_default=True)] = 1
    """Translations written per sentence; only the best one is measured."""

    @field_validator("n_best")
    @classmethod
    def _within_the_beam(cls, n_best: int, info: ValidationInfo) -> int:
        beam_size = info.data.get("beam_size")
        if beam_size is not None and n_best > beam_size:
            message = f"must be at most beam_size, which is {beam_size}: a beam holds no more hypotheses"
            raise PydanticCustomError("cross_field", "{message}", {"message": message, "at": "beam_size"})
        return n_best


BleuTokenizer = Literal["13a", "intl", "zh", "char", "none"]
"""The tokenisers of sacreBLEU that need no further package and no download."""
DEFAULT_BLEU_TOKENIZER: Final = "13a"


class EvaluateConfig(StrictModel):
    """The splits, metrics and masks with which the selected checkpoint is evaluated."""

    splits: Texts = ("test",)
    metrics: Texts = ("nll", "token_accuracy", "exact_match", "bleu", "chrf")
    by: Annotated[tuple[SliceKind, ...], Field(strict=False)] = ()
    """Kinds of slices that are measured as well, for the metrics that have them."""
    lowercase: bool = False
    bleu_tokenize: BleuTokenizer = DEFAULT_BLEU_TOKENIZER
    """How BLEU cuts text into tokens: 13a at blanks and punctuation, intl also at all symbols of Unicode, zh as
    13a and at every Chinese character, char at every character, none at blanks only."""
    masks: Texts = ("own",)
    """Masks to evaluate under: `own`, or names in `RunConfig.under`."""
    keep: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Strategies that are not exchanged under others' masks: a run keeps its own, and is not lent another arm's. Loading
    a file resolves the words that `evaluate.keep` may be (`maskbench.config.resolve.kept_masks`)."""

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `keep` out where nothing is kept, as in files and identities from before it existed."""
        fields: dict[str, Any] = dump(self)
        return fields if self.keep else {key: value for key, value in fields.items() if key != "keep"}

    @field_validator("splits", "metrics", "by", "masks", "keep")
    @classmethod
    def _no_repeats(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return refuse_repeats(values)

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            if not is_metric(name):
                known = ", ".join(metric_names())
                raise ValueError(
                    f"has no metric {name!r}{did_you_mean(name, metric_names())} (metrics: {known})"
                )
        return metrics


class CompareConfig(StrictModel):
    """The one metric that gets verdicts, the smallest relevant effect, and the significance level."""

    metric: str = "test/exact_match"
    min_effect: Annotated[float, Field(gt=0)] | None = None
    """The smallest relevant difference, in the metric's unit."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        return check_metric_name(metric)

    @field_validator("min_effect")
    @classmethod
    def _reachable(cls, min_effect: float | None, info: ValidationInfo) -> float | None:
        name = metric_name(info.data.get("metric", ""))
        if name and min_effect is not None:
            metric = name.info
            if min_effect >= metric.high - metric.low:
                raise ValueError(
                    f"is out of reach: {metric.name} lies between {metric.low:g} and {metric.high:g}"
                )
        return min_effect
