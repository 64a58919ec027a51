"""Download of pinned files: size and sha256 of each are known before the request.

A download goes to a temporary file, which is renamed once the hash is right. So a partial file is never
visible, and two processes may download the same file at once. An existing file with the right hash is used as
it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from maskbench.data.text.text_files import expand_folder
from maskbench.errors import CorpusError

DownloadListener: TypeAlias = Callable[[str, int, int], None]
"""Called with a file's name, the bytes received so far, and its size in bytes."""

_HTTPS: Final = ("https",)

_listener: ContextVar[DownloadListener | None] = ContextVar("listener", default=None)


@dataclass(frozen=True)
class RemoteFile:
    """The address, size and hash of a file of fixed content on the network."""

    url: str
    size: int
    """Size in bytes; a longer answer is refused."""
    sha256: str

    @property
    def name(self) -> str:
        """The file name: the last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@contextmanager
def report_downloads_to(listener: DownloadListener) -> Iterator[None]:
    """Call `listener` for every download inside the context: first with 0 bytes, then after every chunk."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def data_folder() -> Path:
    """Return the folder of downloads: `$MASKBENCH_DATA`, else `maskbench` in the user's cache folder.

    Raises:
        CorpusError: the user has no home folder, and `$MASKBENCH_DATA` is not set.
    """
    chosen = os.environ.get("MASKBENCH_DATA")
    if chosen:
        return expand_folder(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    if cache and Path(cache).is_absolute():
        return Path(cache) / "maskbench"
    try:
        return Path.home() / ".cache" / "maskbench"
    except RuntimeError as error:
        raise CorpusError(
            "there is no home folder to keep downloads in; name a folder in MASKBENCH_DATA, or give corpus.path, a folder"
            " with the files of the corpus"
        ) from error


def fetch_all(remotes: Sequence[RemoteFile], folder: Path, schemes: tuple[str, ...] = _HTTPS) -> None:
    """Download those of `remotes` that are not in `folder`; see `fetch`.

    Raises:
        CorpusError: a download failed; the message says how to continue without it.
        ResourceError: the folder cannot be written.
    """
    for i, remote in enumerate(remotes):
        try:
            fetch(remote, folder, schemes)
        except CorpusError as error:
            names = [other.name for other in remotes[i + 1 :] if not (folder / other.name).is_file()]
            by_hand = ", ".join([remote.name, *names])
            other = f"; the {remote.name} in {folder} is another file" * (folder / remote.name).is_file()
            raise CorpusError(
                f"{error}{other}\nrun this again later, or put {by_hand} into {folder} by hand (what they hold is"
                " checked), or give corpus.path, a folder with the files of the corpus"
            ) from error


def fetch(remote: RemoteFile, folder: Path, schemes: tuple[str, ...] = _HTTPS) -> Path:
    """Return the path of `remote` in `folder`, downloaded if it is not there with the right content.

    Args:
        remote: the file to download.
        folder: the folder for the file; created if missing.
        schemes: the allowed beginnings of the address and of every redirect.

    Raises:
        CorpusError: the download failed, or its content is not the pinned one.
        ResourceError: the folder cannot be written.
    """
    # Import here: the libraries take 0.1 s to import, and most runs download no file.
    from maskbench.data.text.pinned_download import download

    return download(remote, folder, schemes, _listener.get())
