"""Makes an environment of its own for the pinned requirements of an entry, on top of torch and maskbench of this one."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(os.environ.get("MASKBENCH_FIELD", Path.home() / ".cache" / "maskbench" / "field"))
"""Where the environments lie; the variable MASKBENCH_FIELD names another folder."""
CHECKOUT = Path(__file__).parents[2]
_MAKING = threading.Lock()


class NotInstalledError(Exception):
    """A requirement cannot be installed; the message is the last line that pip wrote."""


def python_with(requirements: Sequence[str]) -> Path:
    """Return the Python of an environment that holds these requirements; it is made once.

    torch stays that of this environment, so that all entries are computed by the same one.

    Raises:
        NotInstalledError: pip cannot install them.
    """
    with _MAKING:
        return _made(requirements)


def _made(requirements: Sequence[str]) -> Path:
    torch_here = f"torch=={version('torch').partition('+')[0]}"
    name = hashlib.sha256("\n".join([*requirements, torch_here, sys.version]).encode()).hexdigest()[:12]
    folder = FOLDER / f"{requirements[0].replace('==', '-')}-{name}"
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "base.pth").write_text(sysconfig.get_path("purelib") + "\n")
    constraints = folder / "constraints.txt"
    constraints.write_text(torch_here + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ended = subprocess.run(
        [*command, "--constraint", str(constraints), *requirements], capture_output=True, text=True
    )
    if ended.returncode != 0:
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR:")]
        raise NotInstalledError((lines or ended.stderr.splitlines() or ["pip said nothing"])[0])
    done.touch()
    return python
