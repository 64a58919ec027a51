"""How the learned parameters of a run's masks are spread, at its start and at every validation.

Like the pictures they are for people, and whatever goes wrong with them must not touch the run.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from maskbench.masks.placement import Placed
from maskbench.training.logbook import Logbook
from maskbench.training.trainer import Trainer

BARS = 30


class MaskHistograms:
    """Counts what is due, once."""

    def __init__(self, trainer: Trainer, log: Logbook) -> None:
        self._trainer, self._log = trainer, log
        self._every = trainer.config.train.valid_every
        self._learned = [placed for placed in trainer.model.masks.placed if any(_parameters(placed))]

    def count(self, done: int) -> None:
        """Count the parameters as they stand after `done` updates, if that is due then."""
        if done % self._every and done != self._trainer.total_steps:
            return
        for placed in self._learned:
            for name, values in _parameters(placed):
                heights, edges = bars(values)
                tag = f"mask/parameters/{placed.label}/{name}"
                self._log.show_histogram(done, tag, edges.tolist(), heights.tolist())


def bars(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return how many values lie in each of equally wide bars from the least to the largest, and the bars' edges.

    Where all are equal, all edges are that value and the last bar has them, as TensorBoard's own histograms say it.
    """
    if values.min() == values.max():
        return np.append(np.zeros(BARS - 1, np.int64), values.size), np.full(BARS + 1, values.flat[0])
    heights, edges = np.histogram(values, bins=BARS)
    return heights.astype(np.int64), edges


def _parameters(placed: Placed) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    for name, parameter in placed.strategy.named_parameters():
        if parameter.numel():
            yield name, parameter.detach().cpu().double().numpy().ravel()
