"""Install the peers that the benchmarks compare with: JoeyNMT and CTranslate2, in an environment of their own.

    python -m benchmarks.peers
    python -m benchmarks.peers --folder DIR

The environment is a virtual environment in the user's cache. It reads torch and what else is installed here from the
environment that runs this command, so about 130 MB are downloaded and not 1 GB. JoeyNMT asks for old versions of
packages it does not import in training and search; it is installed without them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pooch

from benchmarks.harness import BenchmarkError

PACKAGES = ("joeynmt==2.3.0", "ctranslate2==4.8.5", "sentencepiece", "subword-nmt")
"""Installed without their dependencies, which are here already or in `FURTHER`."""
FURTHER = ("importlib_metadata",)
"""What JoeyNMT imports and does not name, installed with its dependencies."""
VARIABLE = "MASKBENCH_PEERS"
_MODULES = {"joeynmt": "joeynmt.training", "ctranslate2": "ctranslate2"}


def default_folder() -> Path:
    """Return the folder of the peers' environment: MASKBENCH_PEERS, or one in the user's cache."""
    return Path(os.environ.get(VARIABLE) or Path(pooch.os_cache("maskbench")) / "benchmark-peers")


def python_of_peers(folder: Path | None = None) -> str:
    """Return the Python of the peers' environment.

    Raises:
        BenchmarkError: there is none; the message says how to make it.
    """
    python = (folder or default_folder()) / "bin" / "python"
    if not python.exists():
        raise BenchmarkError(
            f"no peers at {python.parent.parent}; install them with: python -m benchmarks.peers"
        )
    return str(python)


def missing_peer(peer: str, folder: Path | None = None) -> str | None:
    """Return why a peer cannot be measured; None if it can."""
    try:
        python = python_of_peers(folder)
    except BenchmarkError as error:
        return str(error)
    command = [python, "-c", f"import {_MODULES[peer]}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    said = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return f"{said}; make the environment again: python -m benchmarks.peers --again"


def install(folder: Path, *, again: bool = False) -> None:
    """Make the environment and install the peers.

    Raises:
        BenchmarkError: a package cannot be had; the message ends with what pip said.
    """
    venv.create(folder, clear=again, with_pip=True)
    own = sysconfig.get_path("purelib")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # Read after the environment's own packages, so those installed there come first.
    (folder / "lib" / version / "site-packages" / "host.pth").write_text(own + "\n", encoding="utf-8")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for packages in (("--no-deps", *PACKAGES), FURTHER):
        done = subprocess.run([*pip, *packages], capture_output=True, text=True)
        if done.returncode:
            said = " | ".join(done.stderr.strip().splitlines()[-3:])
            raise BenchmarkError(f"the peers cannot be installed in {folder}: {said}")


def main() -> None:
    """Install the peers, and say which can be imported."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="Takes a minute."
    )
    parser.add_argument("--folder", type=Path, default=default_folder(), help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="empty the folder first")
    options = parser.parse_args()
    try:
        install(options.folder, again=options.again)
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
    for peer in _MODULES:
        print(f"{peer}: {missing_peer(peer, options.folder) or 'ready'}")
    if options.folder != default_folder():
        print(f"tell the benchmarks where it is: export {VARIABLE}={options.folder}")


if __name__ == "__main__":
    main()
