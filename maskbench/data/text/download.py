"""Files from the network, each pinned to one content: its size and its sha256 are known before it is asked for.

A file is written beside its place and renamed into it once its hash is right, so its place never holds half of it, and
two processes may fetch it at once. A file that lies there already and has the right hash is taken as it is, whoever put
it there.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias
from urllib.parse import urlsplit

from maskbench.data.text.text_files import expand_folder, hash_corpus_file
from maskbench.errors import CorpusError, ResourceError
from maskbench.files import replace_file

DownloadListener: TypeAlias = Callable[[str, int, int], None]
"""Is told a file's name, how many of its bytes are here, and how many there will be."""

_HTTPS: Final = ("https",)
_CHUNK: Final = 1 << 16
_SECONDS: Final = 30.0
"""How long a silent server is waited for."""

_listener: ContextVar[DownloadListener | None] = ContextVar("listener", default=None)


@dataclass(frozen=True)
class RemoteFile:
    """A file of fixed content on the network."""

    url: str
    size: int
    """In bytes; not one more is read."""
    sha256: str

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.url.rsplit("/", 1)[-1]


@contextmanager
def report_downloads_to(listener: DownloadListener) -> Iterator[None]:
    """Tell `listener` of every download inside: at its start with 0 bytes, then whenever some have come."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def data_folder() -> Path:
    """Return where downloads are kept: `$MASKBENCH_DATA`, else `maskbench` in the user's cache folder.

    Raises:
        CorpusError: the user has no home folder, and no other is named.
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
    """See that all of `remotes` are in `folder`, see `fetch`.

    Raises:
        CorpusError: one cannot be had; the message says how to go on without.
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
        remote: what to get.
        folder: where to keep it; made if need be.
        schemes: what the address, and every address it leads on to, may begin with.

    Raises:
        CorpusError: it cannot be had, or what came is something else.
        ResourceError: the folder cannot be written.
    """
    path = folder / remote.name
    if path.is_file() and hash_corpus_file(path) == remote.sha256:
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            _receive(remote, file, schemes)
    except OSError as error:
        raise ResourceError(
            f"cannot write {folder}: {error.strerror or error}; free some space, or name another folder in MASKBENCH_DATA"
        ) from error
    return path


def _receive(remote: RemoteFile, file: BinaryIO, schemes: tuple[str, ...]) -> None:
    """Write the content of `remote` to `file`, and see that it is the right one."""
    told = _listener.get()
    digest, received = hashlib.sha256(), 0
    for chunk in _chunks(remote, schemes):
        digest.update(chunk)
        received += len(chunk)
        if received > remote.size:
            raise _refused(remote, f"the server sends more than the {remote.size} bytes it should have")
        file.write(chunk)
        if told:
            told(remote.name, received, remote.size)
    if received < remote.size:
        raise _refused(remote, f"the connection ended after {received} of {remote.size} bytes")
    if digest.hexdigest() != remote.sha256:
        raise _refused(
            remote,
            f"it has another content than it should: sha256 {digest.hexdigest()}, not {remote.sha256}",
        )


def _chunks(remote: RemoteFile, schemes: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the bytes of `remote`, first none, as soon as the server answers."""
    try:
        _check_scheme(remote.url, schemes)
        opener = urllib.request.build_opener(_Redirects(schemes))
        request = urllib.request.Request(remote.url, headers={"User-Agent": "maskbench"})
        with opener.open(request, timeout=_SECONDS) as response:
            yield b""
            while chunk := response.read(_CHUNK):
                yield chunk
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(remote, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _refused(remote, f"is there a network? {_told(error)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _refused(remote, f"the connection broke: {error or type(error).__name__}") from error


def _told(error: urllib.error.URLError) -> str:
    reason = error.reason
    return (isinstance(reason, OSError) and reason.strerror) or str(reason)


def _check_scheme(url: str, schemes: tuple[str, ...]) -> None:
    if urlsplit(url).scheme not in schemes:
        raise urllib.error.URLError(f"{url} is not an address that begins with {' or '.join(schemes)}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server's directions only to addresses of the allowed schemes."""

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self._schemes = schemes

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_scheme(newurl, self._schemes)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refused(remote: RemoteFile, reason: str) -> CorpusError:
    return CorpusError(f"cannot download {remote.url}: {reason}")
