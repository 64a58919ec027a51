"""The strategies; importing this package registers each in `maskbench.registry.MASKS`.

A folder holds the strategies of one place in the model (`attention`, `scores`, `normalisers`, `inputs`, `outputs`);
files here hold families that act in several. A new strategy is one file and one import below.
"""

from maskbench.masks.strategies import attention_dropout, learned_gates
from maskbench.masks.strategies.attention import (
    annotated,
    basic_patterns,
    boolean,
    diagonal,
    per_head_patterns,
    sampled_patterns,
    sparse,
    wait_k,
    windows,
)
from maskbench.masks.strategies.inputs import features, fixed_length, tokens
from maskbench.masks.strategies.normalisers import entmax, softmax_alternatives, topk_threshold
from maskbench.masks.strategies.outputs import loss_tokens, vocabulary_masks
from maskbench.masks.strategies.scores import (
    content_biases,
    diagonal_biases,
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
    "basic_patterns",
    "boolean",
    "content_biases",
    "diagonal",
    "diagonal_biases",
    "dman",
    "entmax",
    "features",
    "fixed_length",
    "gaussian",
    "learned_gates",
    "learned_position_gates",
    "loss_tokens",
    "per_head_patterns",
    "position_biases",
    "presets",
    "sampled_patterns",
    "softmax_alternatives",
    "sparse",
    "tokens",
    "topk_threshold",
    "transform",
    "vocabulary_masks",
    "wait_k",
    "windows",
]
