"""Measure what a training step keeps in memory, and predict from it the peak memory of a training process.

The largest batch of the run goes forward and backward once, and the storages that autograd keeps for the backward pass are
counted. So the prediction follows the code path that trains, whatever the lengths, masks and way of computing attention.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.data.batches import Ids
from maskbench.data.corpus import Split

PROCESS_BYTES = 360_000_000
"""Memory of a training process before its model: Python, torch and the other packages, and a small corpus."""
TEMPORARIES = 3
"""Number of tensors as large as the largest kept one that a step holds for a moment: gradients, noise, copies."""
FRAGMENTED = 1.35
"""Heap that a step touches, over what it holds at once. Freed blocks between tensors of other sizes are not reused well by
the C library; measured 1.3 to 1.5."""
_STATE = 4 * 4
"""Bytes per parameter: weight, gradient and two moments in float32."""


def predict_peak(parameters: int, kept: int, largest: int) -> int:
    """Return the predicted peak memory of a training process, in bytes.

    Args:
        parameters: number of parameters.
        kept: bytes that autograd keeps for the backward pass of the largest batch.
        largest: bytes of the largest of these tensors.
    """
    return PROCESS_BYTES + _STATE * parameters + round(FRAGMENTED * (kept + TEMPORARIES * largest))


def measure_kept(forward_and_backward: Callable[[], object]) -> tuple[int, int]:
    """Call the function; return the bytes of all storages that autograd kept, and of the largest, without parameters."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        # Parameters and their views are counted as parameters.
        base = tensor if tensor._base is None else tensor._base
        if not (base.is_leaf and base.requires_grad):
            storage = tensor.untyped_storage()
            # A freed storage's place is taken by another one: the larger counts.
            sizes[storage.data_ptr()] = max(storage.nbytes(), sizes.get(storage.data_ptr(), 0))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward_and_backward()
    return sum(sizes.values()), max(sizes.values(), default=0)


def find_largest_batch(batches: list[Ids], split: Split, model: ModelConfig) -> Ids:
    """Return the batch that takes most memory: many tokens, or long sentences, whose attention weights are quadratic."""

    def size(ids: Ids) -> int:
        longer = int(np.maximum(split.src.lengths, split.tgt.lengths)[ids].max())
        per_token = 16 * model.d_model + 4 * model.d_ff + 3 * model.n_heads * longer
        return len(ids) * longer * per_token

    return max(batches, key=size)
