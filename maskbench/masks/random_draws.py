"""Random draws of masks: counter-based random numbers, and when a mask is redrawn.

The key of a draw is a hash of (version, seed, site, strategy's registry name, ordinal among equal placements
of the arm, variant). The counter is the example id and the positions, with layer and head where the strategy
uses them. The number of variants alone distinguishes a static mask (1), BERT's ten copies (10) and RoBERTa's
dynamic masks (unlimited). No draw depends on the other examples of the batch, the arm's name or the arm's
other placements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskbench.config.schema.experiment import Refresh
from maskbench.masks.clock import Clock
from maskbench.randomness import Key, philox

UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class Draws:
    """Random words of one placement at one clock, per example or shared by all examples."""

    key: Key
    variant: int
    """Index of the pattern's variant; 0 in evaluation."""
    examples: Int[Tensor, "batch_or_1"]
    """Counters: the example ids, or a single 0 where all examples share the draw."""
    per_example: bool
    """Whether every example has its own draw."""

    def words(self, a: Int[Tensor, "*a"], b: Int[Tensor, "*b"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return four independent int64 words in [0, 2**32) for each example and position pair `(a, b)`.

        `a` and `b` broadcast against each other without a batch axis; results have the example axis first.
        """
        ndim = max(a.ndim, b.ndim)
        return _philox(self.key, a, b, self.examples.reshape(-1, *[1] * ndim))

    def part(self, index: int) -> Draws:
        """Return independent draws for part `index` of a strategy composed of several."""
        first, *rest = self.key.words
        return replace(self, key=Key.of(first, "part", *rest, index))


def _philox(key: Key, a: Tensor, b: Tensor, examples: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the words of `philox`, on a CPU computed by numpy: it takes a third of the time in a batch's size."""
    if examples.device.type != "cpu":
        return philox(key, a, b, examples)
    w0, w1, w2, w3 = map(torch.from_numpy, philox(key, a.numpy(), b.numpy(), examples.numpy()))
    return w0, w1, w2, w3


def below(words: Tensor, probability: float) -> Tensor:
    """Return True with the given probability, exact to 2**-32.

    Args:
        words: uniform in [0, 2**32).
    """
    return words < round(probability * 2**32)


@dataclass(frozen=True, slots=True)
class MaskSampler:
    """Returns the random draws of one placement at any clock."""

    seed: int
    streams: str
    site: str
    name: str
    ordinal: int
    refresh: Refresh

    def variant(self, clock: Clock) -> int:
        """Return the index of the pattern's variant at `clock`."""
        if clock.phase == "eval" or self.refresh.per == "run":
            return 0
        count = clock.step if self.refresh.per == "step" else clock.epoch
        variants = self.refresh.variants
        return count if variants == UNLIMITED else count % int(variants)

    def draws(self, clock: Clock, examples: Int[Tensor, "batch"]) -> Draws:
        """Return the draws for these examples."""
        variant = self.variant(clock)
        key = self._key("mask", clock, variant)
        shared = torch.zeros(1, dtype=torch.int64, device=examples.device)
        per_example = self.refresh.per == "example"
        return Draws(key, variant, examples if per_example else shared, per_example)

    def step_uniform(self, clock: Clock) -> float | None:
        """Return the number in [0, 1) that `sample` schedules read at this step; None in evaluation."""
        return None if clock.phase == "eval" else self._key("schedule", clock, clock.step).low32 / 2**32

    def example_uniforms(self, clock: Clock, examples: Int[Tensor, "batch"]) -> Float[Tensor, "batch"] | None:
        """Return a number in [0, 1) for each example in this epoch; None in evaluation."""
        if clock.phase == "eval":
            return None
        zero = torch.zeros(1, dtype=torch.int64, device=examples.device)
        word = _philox(self._key("schedule-example", clock, clock.epoch), zero, zero, examples)[0]
        return word.double() / 2**32

    def _key(self, stream: str, clock: Clock, moment: int) -> Key:
        stream = stream if self.streams == "a" else f"{self.streams}:{stream}"
        position: tuple[int | str, ...] = (self.site, self.name, self.ordinal, moment)
        if clock.view:
            position = (*position, "view", clock.view)
        return Key.of(self.seed, stream, *position)
