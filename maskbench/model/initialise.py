"""Initialise parameters with random streams keyed by parameter name, not by creation order.

Two arms with the same seed start from the same weights, also where one has parameters that the other lacks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from maskbench.model.attention import Projection
from maskbench.model.embedding import EmbeddingTable
from maskbench.randomness import Key, torch_generator

MASKS = "masks."
"""Prefix of the parameters of mask strategies, which initialise themselves (as the identity)."""


def initialise(model: nn.Module, seed: int, streams: str = "a") -> None:
    """Initialise every parameter of `model` except those of its masks.

    Projections: Xavier uniform for each of their linear maps (Glorot and Bengio 2010), zero biases.
    Embedding tables: normal with standard deviation d_model**-0.5, so that words scaled by sqrt(d_model)
    have unit variance; so have the first logits, where the table is the output projection. Norms: identity.

    Args:
        streams: the family of random streams; "a" is the default.

    Raises:
        TypeError: there is no rule for the parameters of a module.
    """
    stream = "init" if streams == "a" else f"{streams}:init"
    for owner, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix=owner, recurse=False):
            if not name.startswith(MASKS):
                generator = torch_generator(Key.of(seed, stream, name))
                _fill(module, name.rpartition(".")[2], parameter, generator)


@torch.no_grad()
def _fill(module: nn.Module, name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """Fill one parameter. Draw in float32 on the CPU, so that dtype and device do not change the numbers."""
    drawn = torch.empty(parameter.shape, dtype=torch.float32)
    if isinstance(module, EmbeddingTable):
        drawn.normal_(0.0, parameter.shape[-1] ** -0.5, generator=generator)
    elif isinstance(module, Projection) and name == "weight":
        d_out, d_in = parameter.shape
        bound = math.sqrt(6.0 / (d_in + d_out // module.parts))
        drawn.uniform_(-bound, bound, generator=generator)
    elif isinstance(module, Projection | nn.LayerNorm):
        drawn.fill_(1.0 if name == "weight" else 0.0)
    else:
        raise TypeError(
            f"no rule to initialise {name} of a {type(module).__name__}; add one in initialise.py"
        )
    parameter.copy_(drawn)
