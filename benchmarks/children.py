"""Processes that a benchmark measures: workers that answer requests, and commands that run to their end."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.harness import BenchmarkError

WORKERS = Path(__file__).resolve().parent / "workers"
_SHOWN = 5


class Worker:
    """A process that runs a script of `benchmarks/workers` and answers requests one after the other.

    A worker that waits for a request takes no processor time, so several can be measured in turn.
    """

    def __init__(self, python: str, script: str, *, threads: int = 1) -> None:
        """Start the process.

        Args:
            python: the interpreter, of a checkout or of the peers' environment.
            script: name of the file without `.py`.
            threads: of OpenMP, and so of torch and its peers.
        """
        self.name = script
        # Closed by `close`, as the process is.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(WORKERS / f"{script}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(threads),
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, function: str, **arguments: Any) -> Any:
        """Call a function of the worker and return its answer."""
        self.send(function, **arguments)
        return self.receive()

    def send(self, function: str, **arguments: Any) -> None:
        """Send a request; `receive` returns its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([function, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def receive(self) -> Any:
        """Return the answer to the request that was sent.

        Raises:
            BenchmarkError: the function raised, or the process ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"{self.name}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _failure(self) -> BenchmarkError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()[-_SHOWN:]
        return BenchmarkError(f"{self.name} ended with exit code {code}: " + " | ".join(lines))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took."""

    wall: float
    """Seconds on the clock."""
    processor: float
    """Seconds of processor time, user and system, of the command and of the processes it waited for."""
    peak: int
    """The largest resident memory of one of them, in bytes."""


def measure_command(command: Sequence[str], *, cwd: Path | None = None, threads: int | None = None) -> Usage:
    """Run a command to its end and return what it took.

    Raises:
        BenchmarkError: it failed; the message has the end of its output.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=environment(threads)
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()[-_SHOWN:]
            raise BenchmarkError(
                f"`{' '.join(command)}` ended with exit code {process.returncode}: " + " | ".join(lines)
            )
    # Kilobytes on Linux.
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def environment(threads: int | None) -> dict[str, str]:
    """Return this process's environment with a number of OpenMP threads."""
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return (
        own if threads is None else own | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    )
