"""The mean of a run's last weights: what is evaluated instead of one checkpoint where `train.average` asks for it.

The weights of the last few validations are averaged, number by number (Vaswani et al. 2017, "Attention is all you
need", section 6.1, average the last five checkpoints). They are kept as checkpoints, so a resumed run finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from maskbench.config.schema.experiment import TrainConfig
from maskbench.errors import RunDirectoryError
from maskbench.runs.checkpoint import verify


def averaged_steps(train: TrainConfig, total: int) -> tuple[int, ...]:
    """Return the updates after which the weights count, ascending: the last `train.average` validations of a run.

    Empty where nothing is averaged; fewer where a run has fewer validations.
    """
    if train.average == 1:
        return ()
    validations = sorted({*range(train.valid_every, total + 1, train.valid_every), total})
    return tuple(validations[-train.average :])


def _at(folder: Path, step: int) -> dict[str, Tensor]:
    try:
        return verify(folder / f"step-{step:06d}").model()
    except RunDirectoryError as error:
        raise RunDirectoryError(
            f"{error}; its weights are wanted for train.average and cannot be made again: move {folder.parent} away and"
            " train the run again"
        ) from error


def averaged_weights(folder: Path, steps: Sequence[int]) -> dict[str, Tensor]:
    """Return the mean of the weights of several checkpoints, summed in float64; what is no number with a fraction
    has the value of the last.

    Raises:
        RunDirectoryError: one of them is missing or damaged.
    """
    total: dict[str, Tensor] = {}
    for step in steps:
        weights = _at(folder, step)
        total = {name: total.get(name, 0.0) + tensor.double() for name, tensor in weights.items()}
    means = {name: (total[name] / len(steps)).to(tensor.dtype) for name, tensor in weights.items()}
    return {name: mean if torch.is_floating_point(mean) else weights[name] for name, mean in means.items()}
