"""Draw pictures of a run: its masks at the start, middle and end, and its cross attention at the end.

No result depends on pictures, so an error in one is logged and the run continues.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from maskbench.data.corpus import Corpus
from maskbench.masks.clock import Clock
from maskbench.masks.placement import PlacedStrategy
from maskbench.pictures.mask_snapshots import MaskSnapshots
from maskbench.training.logbook import Logbook
from maskbench.training.trainer import Trainer

BARS = 30


class MaskHistograms:
    """Logs histograms of the parameters of learned masks at every validation, each once."""

    def __init__(self, trainer: Trainer, log: Logbook) -> None:
        self._trainer, self._log = trainer, log
        self._every = trainer.config.train.valid_every
        self._learned = [placed for placed in trainer.model.masks.placed if any(_parameters(placed))]

    def log(self, done: int) -> None:
        """Log the parameters after `done` updates, if a validation or the end of the run is due."""
        if done % self._every and done != self._trainer.total_steps:
            return
        for placed in self._learned:
            for name, values in _parameters(placed):
                heights, edges = histogram_bars(values)
                tag = f"mask/parameters/{placed.label}/{name}"
                self._log.show_histogram(done, tag, edges.tolist(), heights.tolist())


def histogram_bars(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the counts and edges of a histogram: `BARS` equal bars from the smallest to the largest value.

    If all values are equal, all edges are that value and the last bar contains all, as in TensorBoard.
    """
    if values.min() == values.max():
        return np.append(np.zeros(BARS - 1, np.int64), values.size), np.full(BARS + 1, values.flat[0])
    heights, edges = np.histogram(values, bins=BARS)
    return heights.astype(np.int64), edges


def _parameters(placed: PlacedStrategy) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    for name, parameter in placed.strategy.named_parameters():
        if parameter.numel():
            yield name, parameter.detach().cpu().double().numpy().ravel()


ATTENTION = "attention-cross"
"""The label of the picture of a trained model's cross attention."""


class RunPictures:
    """Draws the pictures and histograms of a run when they are due, each once."""

    def __init__(self, trainer: Trainer, log: Logbook, seed: int) -> None:
        self._trainer, self._log = trainer, log
        self._seed = seed
        self._steps = (0, trainer.total_steps // 2, trainer.total_steps)
        self._snapshots: MaskSnapshots | None = None
        self._histograms = MaskHistograms(trainer, log)

    def draw(self, done: int, stalls: int) -> None:
        """Draw the masks and histograms after `done` updates, if due and not drawn yet."""
        if done in self._steps:
            with _log_errors("pictures of the masks", done):
                self._draw(done, stalls)
        with _log_errors("histograms of the masks", done):
            self._histograms.log(done)

    def draw_attention(self, corpus: Corpus, split: str, clock: Clock) -> None:
        """Draw the model's cross attention in the first pair of a split.

        Args:
            clock: the clock at the end of the run, with phase "eval".
        """
        with _log_errors("picture of the attention", clock.step):
            from maskbench.pictures.cross_attention import compute_cross_attention, render_attention_png

            seen = compute_cross_attention(self._trainer.model, corpus, split, 0, clock)
            self._log.show_picture(clock.step, ATTENTION, render_attention_png(seen))

    def _draw(self, done: int, stalls: int) -> None:
        trainer = self._trainer
        config, masks = trainer.config, trainer.model.masks
        if self._snapshots is None:
            self._snapshots = MaskSnapshots(config.masks, masks.sizes, self._seed, config.streams)
        _, clock = trainer.batch(min(done, trainer.total_steps - 1), stalls)
        state = {name: value.detach().cpu() for name, value in masks.state_dict().items()}
        taken = self._snapshots.render(state, replace(clock, step=done), changing_only=done > 0)
        for label, png in taken:
            self._log.show_picture(done, label, png)


@contextmanager
def _log_errors(what: str, step: int) -> Iterator[None]:
    """Context that prints an error to the log of the run's process, so that the run continues."""
    try:
        yield
    except Exception as error:
        print(f"no {what} at step {step}: {type(error).__name__}: {error}", file=sys.stderr)
