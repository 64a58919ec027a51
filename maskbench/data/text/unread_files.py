"""Name the files of a split that are there but in a format that is not read, and say what to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_UNPACKING: Final = {
    "bz2": "bunzip2 -k", "xz": "unxz -k", "lzma": "unlzma -k", "zst": "unzstd", "lz4": "unlz4", "zip": "unzip",
    "7z": "7z x", "z": "uncompress",
}  # fmt: skip
"""The command that unpacks an archive, by its ending."""
_CONVERTING: Final = {
    "csv": "write it as a table with tabs between the columns, ending in .tsv",
    "json": "write one object a line, ending in .jsonl: jq -c '.[]' OLD > NEW",
    "txt": "rename it to .tsv if there are tabs between its columns",
    "xlsx": "save it as a table with tabs between the columns, ending in .tsv",
    "parquet": "write it as JSON lines, ending in .jsonl",
}
"""What to do with a file of pairs, by its ending."""


def find_unread_files(folder: Path, stem: str, looked_for: Sequence[Path]) -> list[str]:
    """Return `name (what to do with it)` for every file of `stem` in a format that is not read."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError:
        return []
    read = {path.name.lower(): path.name for path in looked_for}
    found = []
    for name in names:
        if not name.lower().startswith(f"{stem.lower()}.") or name in read.values():
            continue
        start, _, ending = name.lower().rpartition(".")
        if name.lower() in read:
            found.append(f"{name} (rename it to {read[name.lower()]})")
        elif ending in _UNPACKING:
            found.append(f"{name} (unpack it: {_UNPACKING[ending]} {name})")
        elif start == stem.lower() and ending in _CONVERTING:
            found.append(f"{name} ({_CONVERTING[ending]})")
    return found
