"""The settings of an experiment: strict, immutable, within range.

Loading a file returns an `Experiment` with its `PanelConfig` and `ArmConfig`: every arm of every panel with
all its settings. Their sections are defined in `maskbench.config.schema.sections`.
"""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from maskbench.config.schema.names import Name
from maskbench.config.schema.sections import (
    DEFAULT_BLEU_TOKENIZER,
    CompareConfig,
    Count,
    DecodeConfig,
    EvaluateConfig,
    ModelConfig,
    StartConfig,
    StrictModel,
    TrainConfig,
    refuse_repeats,
)

__all__ = [
    "ATTENTION_SITES",
    "LEAKING_APPLICATIONS",
    "MAX_SEED",
    "SITES",
    "SMALL_FILL",
    "Application",
    "ArmConfig",
    "CompareConfig",
    "CorpusConfig",
    "DecodeConfig",
    "EvaluateConfig",
    "Experiment",
    "Legality",
    "ModelConfig",
    "PanelConfig",
    "PlacementConfig",
    "Refresh",
    "RetiredArm",
    "RunConfig",
    "Site",
    "StartConfig",
    "StrictModel",
    "TrainConfig",
]

Site = Literal[
    "encoder_input", "decoder_input", "encoder_self", "decoder_self", "cross", "memory", "logits", "loss"
]
SITES: tuple[str, ...] = get_args(Site)
"""The places in the model and the training where a mask can act."""
ATTENTION_SITES = ("encoder_self", "decoder_self", "cross")
"""The sites that have layers and heads."""
CONTROLS = ("none",)
"""Masks that are placed in order to do nothing."""

Application = Literal["hard", "renormalise", "raw", "multiply_scores", "small_fill"]
"""How an attention site's combined mask, legality included, is applied to the scores."""
LEAKING_APPLICATIONS: tuple[Application, ...] = ("raw", "multiply_scores", "small_fill")
"""The applications under which hidden positions still influence the output."""
SMALL_FILL = -1e4
"""Score of hidden pairs under `apply: small_fill` without a `fill`, a value in common use."""
Legality = Literal["full", "no_causal", "no_padding", "none"]
"""Which of the causal and the padding mask are in force at an attention site."""

MAX_SEED = 2**32 - 1

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class CorpusConfig(StrictModel):
    """The corpus: its name and the options of that corpus, defaults filled in."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Refresh(StrictModel):
    """When a new random mask is drawn."""

    per: Literal["example", "epoch", "step", "run"]
    variants: Count | Literal["unlimited"] = "unlimited"
    """Number of different masks that are drawn before they repeat."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        short = {"static": 1, "dynamic": "unlimited"}
        if isinstance(data, str):
            if data not in short:
                raise ValueError("must be static, dynamic, or a mapping such as {per: example, variants: 10}")
            return {"per": "example", "variants": short[data]}
        return data


def _indices(value: Any) -> Any:
    """Normalise `layers` and `heads`: sorted, unique, or the word "all"."""
    if value == "all":
        return value
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be all, or a list of numbers counted from 0, such as [0, 1]")
    if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in value):
        raise ValueError("must hold whole numbers counted from 0")
    return tuple(sorted(refuse_repeats(tuple(value))))


Indices = Annotated[Literal["all"] | tuple[int, ...], BeforeValidator(_indices)]
"""Layers or heads: "all", or their indices from 0, ascending."""


class PlacementConfig(StrictModel):
    """A strategy at a site. In the file, every key that is no field here is an option of the strategy."""

    site: Site
    mask: str
    layers: Indices = "all"
    heads: Indices = "all"
    phases: Annotated[tuple[Literal["train", "eval"], ...], Field(strict=False, min_length=1)] | None = None
    """When the mask acts; None: in the strategy's own phases."""
    refresh: Refresh | None = None
    """None: the strategy draws nothing at random, or has no default."""
    apply: Application = "hard"
    """Holds for the whole site; all its placements must agree."""
    fill: Annotated[float, Field(ge=-1e30, le=0)] | None = None
    """Score that hidden pairs get under `apply: small_fill`; None: `SMALL_FILL`. Holds for the whole site."""
    legality: Legality = "full"
    """Holds for the whole site; all its placements must agree."""
    unsafe: bool = False
    """Whether the user accepts that this arm leaks; leaking settings are refused without it."""
    freeze_at: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of training, in [0, 1], after which schedules, draws and learned parameters of the placement stay
    fixed."""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _legality_that_is_there(self) -> PlacementConfig:
        nothing = {("encoder_self", "no_causal"), ("cross", "no_causal"), ("decoder_self", "no_padding")}
        if (self.site, self.legality) in nothing:
            part = self.legality.removeprefix("no_")
            message = f"{self.legality} changes nothing at {self.site}, where no {part} mask is in force"
            raise PydanticCustomError("cross_field", "{message}", {"message": message, "at": "legality"})
        return self

    @model_serializer(mode="wrap")
    def _without_default_fill(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `fill` where it is not given, so that runs from before the key keep their identity."""
        fields: dict[str, Any] = dump(self)
        if self.fill is None:
            fields.pop("fill", None)
        return fields

    @property
    def leaks(self) -> bool:
        """Whether hidden positions influence the output at its site."""
        return self.apply in LEAKING_APPLICATIONS or self.legality != "full"

    @field_validator("phases")
    @classmethod
    def _phases_once(cls, phases: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if phases is None else tuple(sorted(refuse_repeats(phases), reverse=True))


def _without_paths(options: dict[str, Any]) -> dict[str, Any]:
    """Return a corpus's options without the folder of its files and the folders of corpora inside it."""
    return {
        key: _without_paths(value) if isinstance(value, dict) else value
        for key, value in options.items()
        # A part of a corpus may be called `path`, and is a mapping.
        if key != "path" or isinstance(value, dict)
    }


class RunConfig(StartConfig):
    """All settings a run of an arm depends on, except its seed."""

    corpus: CorpusConfig
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    masks: Annotated[tuple[PlacementConfig, ...], Field(strict=False)] = ()
    streams: Name = "a"
    """Name of the family of random streams; runs that differ only in it are replicates."""
    under: dict[str, Annotated[tuple[PlacementConfig, ...], Field(strict=False)]] = Field(
        default_factory=dict
    )
    """Other masks under which the trained model is evaluated, by their name in `evaluate.masks`."""

    def identity(self) -> dict[str, Any]:
        """Return, as plain JSON, every setting that can change a result: the input of a run's hash.

        Of `evaluate.keep` only the masks count that the run has or is lent. Left out are `save_every`, the
        folders of the corpus and of the starting weights (their content is hashed separately), `unsafe`, the
        one of `steps` and `epochs` that has no effect, and `model.attention`, which is hashed as
        `attention_paths` where it has an effect.
        """
        identity = self.model_dump(mode="json", exclude={"init_from"})
        del identity["model"]["attention"]
        if self.train_only is None:
            del identity["train_only"]
        identity["corpus"]["options"] = _without_paths(identity["corpus"]["options"])
        if self.evaluate.bleu_tokenize == DEFAULT_BLEU_TOKENIZER:
            # Runs made before the key existed have this tokeniser and keep their identity.
            del identity["evaluate"]["bleu_tokenize"]
        if not self.under:
            del identity["under"]
        placements = list(chain(identity["masks"], *identity.get("under", {}).values()))
        for placement in placements:
            del placement["unsafe"]
        kept = set(identity["evaluate"].pop("keep", ())) & {placement["mask"] for placement in placements}
        if kept and self.under:
            identity["evaluate"]["keep"] = sorted(kept)
        del identity["train"]["save_every"]
        return identity


class ArmConfig(StrictModel):
    """An arm: its masks and all its settings."""

    name: Name
    """Name of the arm and of its folder."""
    title: str
    """The arm's name in tables, for instance `window(radius=1)`."""
    config: RunConfig
    also_different: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Dotted keys, except masks, whose values differ from the baseline's; may include `streams`."""


class PanelConfig(StrictModel):
    """Arms that are compared with each other."""

    name: Name | None
    """None if the experiment has no panels."""
    arms: Annotated[tuple[ArmConfig, ...], Field(strict=False, min_length=1)]
    baseline: Name
    """The name of the arm the others are compared with."""


class RetiredArm(StrictModel):
    """An arm that is not trained any more, and whose results still count in the correction for several arms."""

    name: Name
    """Name of the folder of its runs."""
    title: str
    """The arm's name as the file has it, for instance `window(radius=1)`."""
    reason: str
    """Why it was retired, in the author's words."""


class Experiment(StrictModel):
    """A loaded experiment file: every arm of every panel with all its settings."""

    name: Name
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
    compare: CompareConfig = CompareConfig()
    panels: Annotated[tuple[PanelConfig, ...], Field(strict=False, min_length=1)]
    retired: Annotated[tuple[RetiredArm, ...], Field(strict=False)] = ()
    question: str = ""
    """The file's opening comment, without the hash signs."""
