"""Input and messages of a training process; both are pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskbench.config.schema.experiment import RunConfig

ERROR_LOG = "error.log"
"""File in a run's directory with the output of its process; absent if there was none."""


@dataclass(frozen=True, slots=True)
class RunJob:
    """One run to train: an arm with a seed."""

    experiment: str
    panel: str | None
    arm: str
    seed: int
    config: RunConfig
    directory: Path
    """The run's folder, `seed-<n>`."""
    cache_dir: Path
    """The folder of built corpora."""
    plugins: tuple[Path, ...] = ()
    """Files that add strategies, metrics or corpora (`maskbench.plugins`)."""
    plugin_code: tuple[tuple[str, str], ...] = ()
    """SHA-256 of the plug-in code that the run is to use, by what uses it; empty: any."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run."""

    run: tuple[str, int, str | None]
    """Arm, seed, panel."""
    state: Literal["starting", "training", "evaluating", "done", "failed", "diverged"]
    step: int
    """Optimiser updates done."""
    total_steps: int
    loss: float | None = None
    """The training nll of the last step, in nats per token."""
    tokens_per_second: float | None = None
    """Real target tokens trained on per second, since the last report with this number."""
    message: str = ""
    """A sentence for the user, for instance on a damaged checkpoint or why a run diverged."""
