"""The strategies; importing this package enters each into `maskbench.registry.MASKS`.

A new strategy is one file and one import here.
"""

from maskbench.masks.strategies import attention_dropout, tensor_gates
from maskbench.masks.strategies.attention import (
    annotated,
    boolean,
    cross,
    full_causal_block,
    per_head_patterns,
    sampled_patterns,
    sparse,
    wait_k,
    windows,
)
from maskbench.masks.strategies.inputs import features, fixed_length, tokens
from maskbench.masks.strategies.normalisers import entmax, topk_threshold, unnormalised
from maskbench.masks.strategies.outputs import loss_tokens, vocabulary_masks
from maskbench.masks.strategies.scores import (
    content_biases,
    dman,
    gaussian,
    learned_position_gates,
    position_biases,
    transform,
)

from maskbench.masks.strategies import presets  # isort: skip  (names strategies, so it comes last)

__all__ = [
    "annotated",
    "attention_dropout",
    "boolean",
    "content_biases",
    "cross",
    "dman",
    "entmax",
    "features",
    "fixed_length",
    "full_causal_block",
    "gaussian",
    "learned_position_gates",
    "loss_tokens",
    "per_head_patterns",
    "position_biases",
    "presets",
    "sampled_patterns",
    "sparse",
    "tensor_gates",
    "tokens",
    "topk_threshold",
    "transform",
    "unnormalised",
    "vocabulary_masks",
    "wait_k",
    "windows",
]
