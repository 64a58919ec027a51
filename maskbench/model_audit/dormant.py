"""Parameters that begin at 0, such as the scale of a branch or its output map, keep what the branch reads from being seen.

A leak in such a branch would show after the first training step and not before. The trained parameters that are 0 get other
values, biases excepted, and the proofs are made with those.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.proofs.reach import unread
from maskbench.model_audit.subject import ModelSubject, copied

SIZE = 0.1
"""Largest absolute value that a parameter gets."""
LINES = (
    "# Parameters that are 0 would hide it.",
    "with torch.no_grad():",
    "    for name, parameter in model.named_parameters():",
    "        if parameter.requires_grad and not parameter.any() and not name.endswith('bias'):",
    f"            parameter.copy_({SIZE} * torch.arange(parameter.numel()).view_as(parameter).cos())",
)
"""Python that does the same to `model`."""


def wave_of(parameter: Tensor) -> Tensor:
    """Return numbers between -1 and 1 of a parameter's shape, in float64; no two of them are equal."""
    return torch.arange(parameter.numel(), dtype=torch.float64).view(parameter.shape).cos()


def count_unread(case: ModelCase) -> int:
    """Return how many tokens move no prediction that may read them."""
    if not case.unchanged().is_floating_point():
        return 0
    return sum(len(unread(case, side)[0]) for side in case.inputs.sides)


def awakened(subject: ModelSubject) -> ModelSubject | None:
    """Return the subject with other values in trained parameters that are 0; None if none is but biases, which hide nothing."""
    asleep = [
        name
        for name, parameter in subject.module.named_parameters()
        if parameter.requires_grad and not parameter.any() and not name.endswith("bias")
    ]
    if not asleep:
        return None
    awake = subject.with_module(copied(subject.module))
    parameters = dict(awake.module.named_parameters())
    with torch.no_grad():
        for name in asleep:
            parameter = parameters[name]
            parameter.copy_(SIZE * wave_of(parameter))
    awake.awakened = tuple(asleep)
    if awake.build_lines:
        awake.build_lines = (*awake.build_lines, *LINES)
    return awake
