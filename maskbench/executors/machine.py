"""What this machine offers to runs that train side by side: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MARGIN = 0.9
"""The part of the free memory that runs may plan with."""


def cores() -> int:
    """Return how many cores this process may use, which a container or `taskset` can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return how many bytes may still be taken: the machine's, or the container's where it has a limit of its own."""
    free = int(psutil.virtual_memory().available)
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return free


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such limit, or the word "max"
        return None


def side_by_side(threads: int, bytes_per_run: int) -> int:
    """Return how many runs of so many threads and so much memory this machine can train at once; at least one."""
    by_cores = cores() // threads
    by_memory = int(MARGIN * free_memory()) // max(1, bytes_per_run)
    return max(1, min(by_cores, by_memory))
