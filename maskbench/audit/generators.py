"""Random number generators that masks must not use, and what a pass over a batch does with them.

Masks draw from keyed generators (`ctx.draws`). A mask that draws from a shared generator gives other
predictions whenever shapes or the order of work change, which looks like a leak of whatever was changed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from maskbench.audit.subject import AuditCase
from maskbench.masks.clock import Clock
from maskbench.model_audit.rounding import difference


@contextmanager
def preserve_generators() -> Iterator[None]:
    """Restore the shared generators of torch (on every device), NumPy and Python on exit."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def find_shared_draws(case: AuditCase, clock: Clock) -> list[str]:
    """Return which generators a pass without dropout draws from, besides the keyed ones.

    If no shared generator moves, the pass is run again: if its answers differ, a mask has a generator that
    is seeded anew each time, which cannot be seen from outside.
    """
    model, device = case.model, case.subject.device  # Building the model draws, so it comes first.
    before = _states(device)
    first = case.answers(model, case.batch, clock, seed=None)
    after = _states(device)
    moved = [name for name, state in before.items() if after[name] != state]
    if moved:
        return moved
    again = case.answers(model, case.batch, clock, seed=None)
    return ["a generator of its own, with another seed each time"] if difference(again, first) else []


def _states(device: torch.device) -> dict[str, object]:
    """Return the state of every shared generator, by its name in messages."""
    states: dict[str, object] = {"torch's generator": torch.get_rng_state().tolist()}
    if device.type == "cuda":
        states["torch's generator of the GPU"] = torch.cuda.get_rng_state(device).tolist()
    numpy = np.random.get_state(legacy=False)["state"]
    states["NumPy's generator"] = (numpy["pos"], numpy["key"].tobytes())
    states["Python's random module"] = random.getstate()
    return states
