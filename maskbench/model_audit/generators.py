"""One state of every shared generator of random numbers at the start of a pass: torch's, Python's and numpy's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def states() -> tuple[object, ...]:
    """Return the states of the generators; they tell how many numbers were drawn."""
    array = np.random.get_state(legacy=False)
    words, place = array["state"]["key"], array["state"]["pos"]
    devices = [state.numpy().tobytes() for state in _of_devices()]
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), words.tobytes(), place, *devices


def _of_devices() -> list[Tensor]:
    """Return the states of the generators of CUDA devices; none where none was used."""
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.cuda.get_rng_state_all() if used else []


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the context the generators start at `seed`; after it they are as they were."""
    before, python, array, devices = (
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state(),
        _of_devices(),
    )
    # `torch.manual_seed` takes longer than a small model where there is no device.
    torch.default_generator.manual_seed(seed)
    if devices:
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        random.setstate(python)
        np.random.set_state(array)
