"""Writes what a command made to the file it was asked for."""

from __future__ import annotations

from pathlib import Path


def save(written: bytes, output: Path) -> None:
    """Write a file, wholly or not at all.

    Raises:
        ResourceError: there is no such folder, or it cannot be written.
    """
    from maskbench.errors import ResourceError
    from maskbench.runs.files import write_atomically

    if not output.absolute().parent.is_dir():
        raise ResourceError(f"cannot write {output}: there is no folder {output.parent}")
    write_atomically(output, written)
