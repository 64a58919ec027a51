"""Initial values keyed by parameter name, never by creation order.

So two arms of a seed start from the same weights even where one of them has parameters the other lacks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from maskbench.model.attention import Projection
from maskbench.model.embedding import EmbeddingTable
from maskbench.randomness import Key, torch_generator

MASKS = "masks."
"""Names that begin like this belong to mask strategies, which start as they see fit (as the identity)."""


def initialise(model: nn.Module, seed: int, streams: str = "a") -> None:
    """Fill every parameter of `model` outside its masks.

    Projections: Xavier uniform for each linear map in them (Glorot and Bengio 2010), zero biases. Tables of vectors:
    normal with standard deviation d_model**-0.5, so that words scaled by sqrt(d_model) have unit variance and, where
    the table is also the output projection, so have the first logits. Norms: the identity.

    Args:
        streams: the family of random streams; "a" is everyone's.

    Raises:
        TypeError: a module has parameters this function knows no rule for.
    """
    stream = "init" if streams == "a" else f"{streams}:init"
    for owner, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix=owner, recurse=False):
            if not name.startswith(MASKS):
                generator = torch_generator(Key.of(seed, stream, name))
                _fill(module, name.rpartition(".")[2], parameter, generator)


@torch.no_grad()
def _fill(module: nn.Module, name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """Draw in float32 on the CPU, so that neither dtype nor device changes the numbers."""
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
