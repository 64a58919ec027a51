"""Download one pinned file with `pooch`, which retries, checks the hash and moves the file into place."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pooch
import requests

from maskbench.data.text.download import DownloadListener, RemoteFile
from maskbench.errors import CorpusError, ResourceError

_CHUNK_BYTES: Final = 1 << 16
_TIMEOUT_SECONDS: Final = 30.0
"""Maximum time in seconds without data from the server."""
_RETRIES: Final = 2
"""Number of times a download is repeated after a broken connection or wrong content."""


def download(
    remote: RemoteFile, folder: Path, schemes: tuple[str, ...], listener: DownloadListener | None
) -> Path:
    """Return the path of `remote` in `folder`, downloaded if it is not there with the right content.

    Args:
        remote: the file to download.
        folder: the folder for the file; created if missing.
        schemes: the allowed beginnings of the address and of every redirect.
        listener: called with the progress.

    Raises:
        CorpusError: the download failed, or its content is not the pinned one.
        ResourceError: the folder cannot be written.
    """
    pooch.get_logger().setLevel("ERROR")
    received_sha256 = ""

    def receive(url: str, output_file: str, _: Any) -> None:
        """Write the content of `url` to `output_file`; `pooch` calls this on every attempt."""
        nonlocal received_sha256
        digest, received = hashlib.sha256(), 0
        # `pooch` creates a file that only its owner can read; a new one gets the usual permissions.
        os.unlink(output_file)
        headers = {"User-Agent": "maskbench", "Accept-Encoding": "identity"}
        with (
            _Session(schemes) as session,
            session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response,
            open(output_file, "xb") as file,
        ):
            if not response.ok:
                raise _refused(remote, f"the server answers {response.status_code} {response.reason}")
            if listener:
                listener(remote.name, 0, remote.size)
            for chunk in response.iter_content(_CHUNK_BYTES):
                digest.update(chunk)
                received += len(chunk)
                if received > remote.size:
                    raise _refused(
                        remote, f"the server sends more than the {remote.size} bytes it should have"
                    )
                file.write(chunk)
                if listener:
                    listener(remote.name, received, remote.size)
            if received < remote.size:
                raise _Incomplete(f"the connection ended after {received} of {remote.size} bytes")
            received_sha256 = digest.hexdigest()
            file.flush()
            os.fsync(file.fileno())

    try:
        folder.mkdir(parents=True, exist_ok=True)
        pinned = pooch.create(
            path=folder,
            base_url="",
            registry={remote.name: f"sha256:{remote.sha256}"},
            urls={remote.name: remote.url},
            retry_if_failed=_RETRIES,
        )
        return Path(pinned.fetch(remote.name, downloader=receive))
    except (_ForbiddenAddress, _Incomplete) as error:
        raise _refused(remote, str(error)) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _refused(remote, f"the connection broke: {_cause(error)}") from error
    except requests.exceptions.RequestException as error:
        raise _refused(remote, f"is there a network? {_cause(error)}") from error
    except ValueError as error:
        # `pooch` raises this if the hash differs.
        raise _refused(
            remote, f"it has another content than it should: sha256 {received_sha256}, not {remote.sha256}"
        ) from error
    except OSError as error:
        raise ResourceError(
            f"cannot write {folder}: {error.strerror or error}; free some space, or name another folder in MASKBENCH_DATA"
        ) from error


class _Session(requests.Session):
    """A session that requests only addresses of the allowed schemes, also after redirects."""

    def __init__(self, schemes: tuple[str, ...]) -> None:
        super().__init__()
        self._schemes = schemes

    def get_adapter(self, url: str | bytes) -> Any:
        """Return the adapter that connects to `url`; called before every request, also after redirects.

        Raises:
            _ForbiddenAddress: its scheme is not allowed.
        """
        if urlsplit(str(url)).scheme not in self._schemes:
            raise _ForbiddenAddress(
                f"{url!s} is not an address that begins with {' or '.join(self._schemes)}"
            )
        return super().get_adapter(str(url))


class _ForbiddenAddress(Exception):
    """An address has a forbidden scheme; no `RequestException`, which `pooch` would retry."""


class _Incomplete(requests.exceptions.RequestException):
    """The connection ended before the file was complete."""


def _cause(error: BaseException) -> str:
    """Return the root cause of a chain of exceptions, as the system's error text if there is one."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _refused(remote: RemoteFile, reason: str) -> CorpusError:
    return CorpusError(f"cannot download {remote.url}: {reason}")
