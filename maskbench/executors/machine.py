"""What this machine offers to tasks that run side by side: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from maskbench.executors import Resources

MEMORY_SHARE = 0.9
"""The part of the free memory that tasks may use."""


def count_cores() -> int:
    """Return how many cores this process may use, which a container or `taskset` can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return how many bytes are free: of the machine, or of the container where it has a limit of its own."""
    free = int(psutil.virtual_memory().available)
    limit, used = _read_number("/sys/fs/cgroup/memory.max"), _read_number("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return free


def _read_number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such limit, or the word "max"
        return None


def count_fitting(resources: Resources) -> int:
    """Return how many tasks that need `resources` fit on this machine at once; at least 1."""
    by_cores = count_cores() // resources.threads
    by_memory = int(MEMORY_SHARE * free_memory()) // max(1, resources.memory)
    return max(1, min(by_cores, by_memory))
