"""The command line in a process of its own that has torch loaded before it starts.

It is forked from the server that `LocalExecutor` uses, with the same modules, so a call takes a fraction of a second
where a new interpreter takes seconds. Tests of how the program itself starts use a new interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from maskbench.experiment import PRELOAD

LONGEST_S = 300


def maskbench(
    *arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `maskbench` with `arguments` in the folder `cwd`, and return what it printed and its exit status."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = context.Process(
            target=_be_the_program, args=(words, cwd, dict(environment or {}), out, err)
        )
        process.start()
        process.join(LONGEST_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        code = -1 if process.exitcode is None else process.exitcode
        return subprocess.CompletedProcess(
            words, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )


def _be_the_program(words: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    os.chdir(cwd)
    os.environ |= {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80", "NO_COLOR": "1", **environment}
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, 1 if path is out else 2)
        os.close(descriptor)
        stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.argv = ["maskbench", *words]
    from maskbench.cli.main import app

    app()
