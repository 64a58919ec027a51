"""Small strategies and a corpus in registries of their own, and short ways to load a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar
from unittest.mock import patch

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from maskbench import registry
from maskbench.config.load import load_experiment
from maskbench.config.schema.experiment import Experiment, ModelConfig, PlacementConfig
from maskbench.errors import ConfigError

MINIMAL = """\
name: tiny
corpus: {name: pairs}
arms: {none: []}
"""

FULL = """\
# Does a window help?
#
# And is a narrow one better?
name: windows
seeds: [3, 1]
baseline: none
compare: {metric: test/bleu, min_effect: 0.5, alpha: 0.1}
corpus:
  name: pairs
  pairs: 50
model: {d_model: 12, n_heads: 3, encoder_layers: 3, decoder_layers: 1, d_ff: 20, dropout: 0, positions: learned}
train: {steps: 10, lr: 1e-3, warmup_steps: 2, valid_every: 5, precision: float32, select: valid/bleu}
evaluate: {splits: [test, noise-drop-20], metrics: [nll, bleu]}
arms:
  none: []
  static: [{site: encoder_input, mask: tokens, ratio: 0.15, refresh: static}]
  moving: [{site: decoder_input, mask: tokens, ratio: {linear: [0.3, 0]}}]
  both:
    masks: [{site: encoder_self, mask: window, radius: 2, layers: [2, 0]}, {site: memory, mask: gate, phases: [eval]}]
    set: {model.positions: none, train.lr: 2e-3}
    streams: b
    title: window + gate
  window:
    grid: {radius: [1, 2], head: [0, 2]}
    masks: [{site: encoder_self, mask: window, radius: $radius, heads: [$head]}]
panels:
  small: {corpus.pairs: 20, train.epochs: 3}
  large: {}
quick: {seeds: 1, train.batch_tokens: 100, arms: [static, window]}
"""


COMBINED = """\
name: more
corpus: {name: pairs}
arms:
  none: {init_from: runs/other/none}
  bert: [{site: encoder_input, mask: bert, replace: mask, freeze_at: 0.5}]
  any: [{site: encoder_self, any: [{mask: near}, {not: {mask: window, radius: 2}}], apply: raw, unsafe: true}]
  tuned:
    grid: {from: [runs/a/none, runs/b/none/seed-0], what: [[decoder.*], ["*"]]}
    init_from: $from
    train_only: $what
    masks: [{site: decoder_self, mask: all, of: [{mask: window, radius: 2}], legality: none, unsafe: true}]
  moving: [{site: encoder_input, mask: tokens, ratio: {plateau: [0.3, 0, 4]}}]
panels:
  small: {corpus.pairs: 20}
  large: {}
"""


class Options(BaseModel):
    """What every fake's options have in common."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Fake:
    """A strategy that refuses nothing."""

    stochastic = False
    default_refresh: Any = None

    @classmethod
    def check(cls, site: str, options: Any, placement: PlacementConfig, model: ModelConfig) -> None:
        pass

    @classmethod
    def check_arm(cls, placement: PlacementConfig, arm: Sequence[PlacementConfig]) -> None:
        pass


class Window(Fake):
    """A mask with a reach, refused at 13."""

    class Options(Options):
        radius: Annotated[int, Field(ge=0, le=50)]
        left: int | None = None

    sites = frozenset({"encoder_self", "decoder_self"})
    kind = "attention mask"

    @classmethod
    def check(cls, site: str, options: Any, placement: PlacementConfig, model: ModelConfig) -> None:
        if options.radius == 13:
            raise ValueError("a radius of 13 is refused")


class Tokens(Fake):
    """A random mask whose ratio may be a schedule."""

    class Options(Options):
        ratio: Annotated[float, Field(ge=0, le=1)] | dict[str, list[float]]
        replace: str = "mask"

        @field_validator("replace")
        @classmethod
        def _known(cls, replace: str) -> str:
            if replace not in ("mask", "random"):
                raise ValueError("must be mask or random")
            return replace

    sites = frozenset({"encoder_input", "decoder_input"})
    stochastic = True
    kind = "token mask"
    default_refresh: ClassVar[dict[str, Any]] = {"per": "example"}


class Gate(Fake):
    """A gate without options."""

    class Options(Options):
        pass

    sites = frozenset({"memory"})
    kind = "gate"

    @classmethod
    def check_arm(cls, placement: PlacementConfig, arm: Sequence[PlacementConfig]) -> None:
        if sum(other.mask == "gate" for other in arm) > 1:
            raise ValueError("two gates are one too many")


class Entmax(Fake):
    """A normaliser."""

    class Options(Options):
        pass

    sites = frozenset({"encoder_self", "cross"})
    kind = "normaliser"


class Combination(Fake):
    """Combines others; refuses to be empty."""

    class Options(Options):
        of: Annotated[list[dict[str, Any]], Field(min_length=1)]

    sites = frozenset({"encoder_self", "decoder_self", "cross"})
    kind = "attention mask"


class Negation(Combination):
    """Likewise, of one."""


class Pairs:
    """A corpus whose splits depend on its options."""

    class Options(Options):
        pairs: Annotated[int, Field(ge=1)] = 100
        noise: list[int] = [20]

    @classmethod
    def split_names(cls, options: Any) -> list[str]:
        return ["valid", "test", *(f"noise-drop-{percent}" for percent in options.noise)]

    @classmethod
    def annotations(cls, options: Any) -> frozenset[str]:
        return frozenset({"links", "deps", "tags"})

    @classmethod
    def tags(cls, options: Any) -> tuple[str, ...]:
        return ("end", "noun")

    @classmethod
    def origins(cls, options: Any) -> dict[str, str]:
        return {f"noise-drop-{percent}": "test" for percent in options.noise}


MASKS: registry.Registry[Any] = registry.Registry("mask strategy")
MASKS.register("window")(Window)
MASKS.register("tokens")(Tokens)
MASKS.register("gate")(Gate)
MASKS.register("entmax")(Entmax)
MASKS.register("any")(Combination)
MASKS.register("all")(type("All", (Combination,), {}))
MASKS.register("not")(Negation)
MASKS.register("by_head")(type("ByHead", (Combination,), {}))
PRESETS: registry.Registry[registry.Preset] = registry.Registry("preset")
PRESETS.register("bert")(
    registry.Preset(
        mask="tokens",
        options={"ratio": 0.15, "replace": "random"},
        sites=frozenset({"encoder_input"}),
        description="A test's.",
        source="test",
    )
)
PRESETS.register("near")(
    registry.Preset(
        mask="window",
        options={"radius": 1, "left": 3},
        sites=frozenset({"encoder_self"}),
        description="A test's.",
        source="test",
    )
)
CORPORA: registry.Registry[Any] = registry.Registry("corpus")
CORPORA.register("pairs")(Pairs)


def load_path(path: Path, **options: Any) -> Experiment:
    """Load a file with the fake plug-ins."""
    with (
        patch.object(registry, "MASKS", MASKS),
        patch.object(registry, "CORPORA", CORPORA),
        patch.object(registry, "PRESETS", PRESETS),
    ):
        return load_experiment(path, **options)


def load(folder: Path, text: str | bytes, **options: Any) -> Experiment:
    """Write `text` to `exp.yaml` in `folder` and load it with the fake plug-ins."""
    path = folder / "exp.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_path(path, **options)


def complaints(folder: Path, text: str | bytes, **options: Any) -> list[str]:
    """Return the problems of a text, one a line, without the excerpts and the folder."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **options)
    lines = str(caught.value).split("\n")
    return [line.replace(f"{folder}/", "") for line in lines if not line.startswith("  ")]


def complaint(folder: Path, text: str | bytes, **options: Any) -> str:
    """Return the only problem of a text."""
    (only,) = complaints(folder, text, **options)
    return only


def arms_file(arms: str, rest: str = "") -> str:
    """Return a file with these arms, which start at line 4, column 1 of their block."""
    return f"name: tiny\ncorpus: {{name: pairs}}\n{rest}arms:\n  none: []\n{arms}"
