"""A corpus that one test has built is there for every other test: it is copied, not built again.

Entries are named by a hash of what went in, so a copy is the corpus that would have been built. Only entries that are
missing are filled: what a test damages stays damaged. The tests of `tests/data` build for themselves.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskbench.data import cache
from maskbench.files import unfinished_folder


class SharedCorpora:
    """Stands between `maskbench.data.cache` and the disk; `store` is one folder for all workers."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.enabled = True
        self._read, self._write = cache._read, cache._write
        # Set by name: two functions of a module are replaced on purpose.
        vars(cache).update(_read=self.read, _write=self.write)

    def read(self, entry: Path) -> Any:
        if self.enabled and not entry.exists() and (self.store / entry.name).exists():
            with suppress(FileExistsError):
                shutil.copytree(self.store / entry.name, entry)
        return self._read(entry)

    def write(self, corpus: Any, entry: Path) -> None:
        self._write(corpus, entry)
        if self.enabled and not (self.store / entry.name).exists():
            self.store.mkdir(exist_ok=True)
            # Another worker may be faster; its copy is as good.
            with unfinished_folder(self.store / entry.name) as copy, suppress(OSError):
                shutil.copytree(entry, copy, dirs_exist_ok=True)
                copy.rename(self.store / entry.name)
