"""The validations of a run: the best value, the number of stalls, and the averaged checkpoints.

Best value and stalls are functions of the validation values logged so far, so a resumed run rebuilds them
from metrics.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskbench.config.schema.experiment import TrainConfig
from maskbench.config.schema.metrics import find_metric
from maskbench.errors import RunDirectoryError
from maskbench.runs.checkpoint import verify_checkpoint


class ValidationHistory:
    """The best validation value of a run, and the steps of the validations that did not improve on it."""

    def __init__(self, metric: str, logged: Iterable[Mapping[str, Any]] = ()) -> None:
        """Start with the validations that were already logged.

        Args:
            metric: the metric that selects the checkpoint, as `valid/metric`.
            logged: the lines of metrics.jsonl so far.
        """
        self._sign = 1 if find_metric(metric.removeprefix("valid/")).higher_is_better else -1
        self._best: float | None = None
        self._stalled: list[int] = []
        for line in logged:
            if metric in line:
                self.add(int(line["step"]), float(line[metric]))

    def add(self, step: int, value: float) -> bool:
        """Add the validation after `step` updates; return whether it is better than all earlier ones."""
        if self._best is None or self._sign * value > self._sign * self._best:
            self._best = value
            return True
        self._stalled.append(step)
        return False

    def count_stalls(self, step: int) -> int:
        """Return the number of validations without improvement up to `step`, for `plateau` schedules."""
        return sum(stalled <= step for stalled in self._stalled)


def steps_to_average(train: TrainConfig, total: int) -> tuple[int, ...]:
    """Return the steps whose weights are averaged, ascending: the last `train.average` validations of a run.

    Empty if `train.average` is 1; fewer if a run has fewer validations.
    """
    if train.average == 1:
        return ()
    validations = sorted({*range(train.valid_every, total + 1, train.valid_every), total})
    return tuple(validations[-train.average :])


def _at(folder: Path, step: int) -> dict[str, Tensor]:
    try:
        return verify_checkpoint(folder / f"step-{step:06d}").read_model()
    except RunDirectoryError as error:
        raise RunDirectoryError(
            f"{error}; its weights are wanted for train.average and cannot be made again: move {folder.parent} away and"
            " train the run again"
        ) from error


def average_weights(folder: Path, steps: Sequence[int]) -> dict[str, Tensor]:
    """Return the mean weights of several checkpoints, summed in float64; integers are those of the last.

    Raises:
        RunDirectoryError: a checkpoint is missing or damaged.
    """
    total: dict[str, Tensor] = {}
    for step in steps:
        weights = _at(folder, step)
        total = {name: total.get(name, 0.0) + tensor.double() for name, tensor in weights.items()}
    means = {name: (total[name] / len(steps)).to(tensor.dtype) for name, tensor in weights.items()}
    return {name: mean if torch.is_floating_point(mean) else weights[name] for name, mean in means.items()}
