"""The softmax that all arms use, so that equal scores give equal bits with and without a normaliser."""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_WIDTH = 16
"""Rows with fewer keys are padded with -inf to this length: torch's CPU softmax processes shorter rows one
number at a time, seven times slower than a row of 16."""


def softmax(scores: Float[Tensor, "*rows kv"]) -> Float[Tensor, "*rows kv"]:
    """Return the softmax over the last axis."""
    kv_len = scores.shape[-1]
    if kv_len >= _WIDTH:
        return scores.softmax(-1)
    return F.pad(scores, (0, _WIDTH - kv_len), value=-math.inf).softmax(-1)[..., :kv_len]
