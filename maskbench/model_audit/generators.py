"""One state of every shared generator of random numbers at the start of a pass: torch's, Python's and numpy's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def states() -> tuple[object, ...]:
    """Return the states of the generators; they tell how many numbers were drawn."""
    array = np.random.get_state(legacy=False)
    words, place = array["state"]["key"], array["state"]["pos"]
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), words.tobytes(), place


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the context the generators start at `seed`; after it they are as they were."""
    before, python, array = torch.get_rng_state(), random.getstate(), np.random.get_state()
    # An audit computes on the CPU; `torch.manual_seed` takes longer than a small model, for the sake of other devices.
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
        random.setstate(python)
        np.random.set_state(array)
