"""Which way an attention layer is computed: as one matrix of weights, by a fused kernel, or block by block.

All three give the same result up to rounding. `dense` is the only one that has all weights, and the fastest on short
sentences. Where nothing reads the weights and the sentences are long, `blocked` skips what the masks hide and keeps no
matrix for the backward pass, and `fused` (`F.scaled_dot_product_attention`) is about twice as fast on the pairs that
are left, but has no dropout on a CPU and skips nothing except the causal half. docs/speed.md has the measurements.

Which way is chosen depends on the lengths, the masks, the phase and the number format, never on a measurement, so that
a run has the same bytes on every machine of a kind. `PATHS_VERSION` is part of a run's identity where a length is
reached at which a layer may leave the dense path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from maskbench.config.schema.experiment import ModelConfig

PATHS_VERSION = 2
"""Version of the rules and kernels below; increased whenever a change of them changes results."""

_MAX_BLOCKS = 128
"""Each block costs some 20 calls of torch, so very long sentences get larger blocks instead of more."""

Path: TypeAlias = Literal["dense", "fused", "blocked"]


@dataclass(frozen=True, slots=True)
class PathRules:
    """When an attention layer leaves the dense path."""

    may_leave_dense: bool = True
    smallest: int = 256
    """Both sequences must be at least this long, in tokens: below, the blocks' own cost is larger than what they save."""
    rows: int = 64
    """Queries in a block; more where there would be more than `_MAX_BLOCKS`."""
    fused_share: float = 0.45
    """Smallest share of pairs in blocks at which the fused kernel, which computes all pairs, is the faster one."""

    def is_long_enough(self, q_len: int, kv_len: int) -> bool:
        """Return whether a layer of these lengths may leave the dense path."""
        return self.may_leave_dense and min(q_len, kv_len) >= self.smallest

    def rows_of(self, q_len: int) -> int:
        """Return the largest number of queries in a block of a layer with `q_len` queries."""
        return max(self.rows, q_len // _MAX_BLOCKS)

    def choose(self, share: float, *, drops: bool, has_bias: bool, itemsize: int) -> Path:
        """Return the path of a layer that may leave the dense one.

        Args:
            share: share of all pairs that the blocks contain, in [0, 1].
            drops: whether dropout acts on the weights.
            has_bias: whether scores have a bias.
            itemsize: bytes of a number; torch's fused kernel is slow backward in half precision on a CPU.
        """
        fused = share >= self.fused_share and not drops and not has_bias and itemsize >= 4
        return "fused" if fused else "blocked"


AUTO = PathRules()
"""The rules of `model.attention: auto`."""
DENSE_ONLY = PathRules(may_leave_dense=False)
"""All layers compute one matrix of weights."""


def rules_of(model: ModelConfig) -> PathRules:
    """Return the rules that a model's settings ask for."""
    return AUTO if model.attention == "auto" else DENSE_ONLY


def may_leave_dense(model: ModelConfig, max_length: int) -> bool:
    """Return whether some batch of a run may leave the dense path; `max_length` is that of its corpus, in tokens."""
    return rules_of(model).is_long_enough(max_length, max_length)


def paths_version(model: ModelConfig, max_length: int) -> int | None:
    """Return `PATHS_VERSION` for a run that may leave the dense path, None for others; a part of its identity."""
    return PATHS_VERSION if may_leave_dense(model, max_length) else None
