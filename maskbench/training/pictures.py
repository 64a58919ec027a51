"""Pictures of a run's attention masks at its start, in its middle and at its end.

They are for people: nothing is computed from them, and whatever goes wrong with one must not touch the run.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from maskbench.pictures.snapshot import Snapshots
from maskbench.training.logbook import Logbook
from maskbench.training.trainer import Trainer


class RunPictures:
    """Draws what is due, once."""

    def __init__(self, trainer: Trainer, log: Logbook, seed: int) -> None:
        self._trainer, self._log = trainer, log
        self._seed = seed
        self._steps = (0, trainer.total_steps // 2, trainer.total_steps)
        self._snapshots: Snapshots | None = None

    def draw(self, done: int, stalls: int) -> None:
        """Draw the masks as they stand after `done` updates, if a picture is due then and not there yet."""
        if done not in self._steps:
            return
        try:
            self._draw(done, stalls)
        except Exception as error:
            # Into the log of the run's process: a picture is never worth a run.
            print(
                f"no pictures of the masks at step {done}: {type(error).__name__}: {error}", file=sys.stderr
            )

    def _draw(self, done: int, stalls: int) -> None:
        trainer = self._trainer
        config, masks = trainer.config, trainer.model.masks
        if self._snapshots is None:
            self._snapshots = Snapshots(config.masks, masks.sizes, self._seed, config.streams)
        _, clock = trainer.batch(min(done, trainer.total_steps - 1), stalls)
        state = {name: value.detach().cpu() for name, value in masks.state_dict().items()}
        taken = self._snapshots.take(state, replace(clock, step=done), moving_only=done > 0)
        for label, png in taken:
            self._log.show_picture(done, label, png)
