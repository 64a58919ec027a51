"""Input and messages of a training process; both are pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskbench.config.schema.experiment import RunConfig

ERROR_LOG = "error.log"
"""In a run's directory: what its process printed; absent if that was nothing."""


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
    """Where built corpora lie."""
    plugins: tuple[Path, ...] = ()
    """Files that add strategies (`maskbench.plugins`)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    run: tuple[str, int, str | None]
    """Arm, seed, panel."""
    state: Literal["starting", "training", "evaluating", "done", "failed", "diverged"]
    step: int
    """Optimiser updates done."""
    total_steps: int
    loss: float | None = None
    """The training nll of the last step, in nats per token."""
    tokens_per_second: float | None = None
    """Real target tokens trained on, since the last report that said so."""
    message: str = ""
    """A sentence for a person: what was found damaged, why a run diverged."""
