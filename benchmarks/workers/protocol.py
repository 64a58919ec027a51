"""The side of a worker: answers requests with JSON lines, and measures time and memory of its own process.

Workers are scripts that run under the Python of another checkout or of a peer, so this file uses the standard
library alone, and scripts import it as a file beside them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def serve(*functions: Callable[..., Any]) -> None:
    """Answer requests until standard input ends: call the function of that name with the given arguments."""
    by_name = {function.__name__: function for function in functions}
    # Libraries print to standard output; the answers go where it was, and theirs to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": by_name[name](**arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


@contextmanager
def timed(answer: dict[str, Any]) -> Iterator[None]:
    """Add the seconds that the body takes to `answer`: `wall` on the clock, `processor` of this process."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    answer["wall"] = time.perf_counter() - wall
    answer["processor"] = time.process_time() - processor


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return _field("VmRSS")


def peak() -> int:
    """Return the largest resident memory in bytes since the process began, or since `reset_peak`."""
    return _field("VmHWM")


def reset_peak() -> None:
    """Let `peak` begin anew at the present memory."""
    _CLEAR.write_text("5")


def _field(name: str) -> int:
    if not _STATUS.exists():
        raise OSError("memory is read from /proc/self/status, which only Linux has")
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
