"""The reference model in JoeyNMT: the same sizes, normalisation before each sublayer, everything tied.

JoeyNMT has its own special tokens first, so ids are moved: maskbench's <pad>, <s>, </s>, <unk> are 0 to 3,
JoeyNMT's <unk>, <pad>, <s>, </s>.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from joeynmt.model import Model, build_model
from joeynmt.vocabulary import Vocabulary
from torch import Tensor

N_SPECIAL = 4
FROM_OURS = torch.tensor([1, 2, 3, 0])
"""JoeyNMT's id of each of the first four ids of maskbench; all others are equal."""
SYMBOLS = SimpleNamespace(
    unk_token="<unk>",
    pad_token="<pad>",
    bos_token="<s>",
    eos_token="</s>",
    sep_token=None,
    unk_id=0,
    pad_id=1,
    bos_id=2,
    eos_id=3,
    sep_id=None,
    lang_tags=[],
)


def joey_ids(ours: Tensor) -> Tensor:
    """Return JoeyNMT's ids of maskbench's."""
    return torch.where(ours < N_SPECIAL, FROM_OURS[ours.clamp(max=N_SPECIAL - 1)], ours)


def vocabulary(size: int) -> Vocabulary:
    """Return a vocabulary in which the token of id n >= 4 is spelt n."""
    # The list grows by one search each, which takes minutes for 8,000 tokens; they are all different.
    found = Vocabulary([], SYMBOLS)
    found._itos += [str(n) for n in range(N_SPECIAL, size)]
    found._stoi |= {token: n for n, token in enumerate(found._itos)}
    return found


def model(
    size: int, dropout: float, layers: int = 3, d_model: int = 256, heads: int = 8, d_ff: int = 1024
) -> Model:
    """Return the model with random weights."""
    part: dict[str, Any] = {
        "type": "transformer",
        "num_layers": layers,
        "num_heads": heads,
        "embeddings": {"embedding_dim": d_model, "scale": True, "dropout": dropout},
        "hidden_size": d_model,
        "ff_size": d_ff,
        "dropout": dropout,
        "layer_norm": "pre",
        "activation": "relu",
    }
    words = vocabulary(size)
    config = {
        "encoder": dict(part, embeddings=dict(part["embeddings"])),
        "decoder": dict(part, embeddings=dict(part["embeddings"])),
        "tied_embeddings": True,
        "tied_softmax": True,
        "initializer": "xavier_uniform",
        "embed_initializer": "xavier_uniform",
        "bias_initializer": "zeros",
        "init_gain": 1.0,
        "embed_init_gain": 1.0,
    }
    return build_model(config, words, words)
