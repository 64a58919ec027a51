"""Downloads, from a server on this machine: whole and right, or refused with nothing left behind."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from maskbench.data.text import pinned_download
from maskbench.data.text.download import RemoteFile, data_folder, fetch, fetch_all, report_downloads_to
from maskbench.errors import CorpusError, ResourceError

CONTENT = bytes(range(256)) * 700
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HTTP = ("http",)


@dataclass
class Server:
    """A server and what it was asked for."""

    address: str
    asked: list[str] = field(default_factory=list)

    def remote(self, name: str, content: bytes = CONTENT) -> RemoteFile:
        return RemoteFile(f"{self.address}/{name}", len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            what = self.path.rsplit("/", 1)[1]
            server_breaks_off = what == "recovers" and known.asked.count(self.path) == 1
            if what in ("404", "500"):
                self.send_error(int(what))
                return
            if what == "moved" or what == "moved-to-https":
                self.send_response(302)
                self.send_header("Location", "/right" if what == "moved" else "https://127.0.0.1:1/right")
                self.end_headers()
                return
            body = {"wrong": CONTENT[:-1] + b"!", "empty": b"", "short": CONTENT[:-9]}.get(what, CONTENT)
            self.send_response(200)
            if what == "broken" or server_breaks_off:
                self.send_header("Content-Length", str(len(body)))
                body = body[: len(body) // 2]
            self.end_headers()
            self.wfile.write(body + (b"x" * 5_000_000 if what == "endless" else b""))

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *args: Any) -> None:
            # The client hangs up on purpose.
            pass

    with Quiet(("127.0.0.1", 0), Handler) as http:
        known = Server(f"http://127.0.0.1:{http.server_address[1]}/files")
        Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield known
        http.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy_and_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    # Before it retries, pooch waits for a second and more.
    monkeypatch.setattr(pinned_download, "_RETRIES", 0)


def test_a_file_is_fetched_once_and_found_ever_after(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        path = fetch(server.remote("right"), folder, HTTP)
        assert path == folder / "right" and path.read_bytes() == CONTENT
    assert server.asked == ["/files/right"] and [p.name for p in folder.iterdir()] == ["right"]


def test_a_file_that_was_put_there_by_hand_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "right").write_bytes(CONTENT)
    assert (
        fetch(RemoteFile("https://nowhere.invalid/right", len(CONTENT), SHA256), tmp_path).read_bytes()
        == CONTENT
    )


def test_a_damaged_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "right").write_bytes(CONTENT[:100])
    assert fetch(server.remote("right"), tmp_path, HTTP).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("wrong", rf"another content than it should: sha256 [0-9a-f]{{64}}, not {SHA256}"),
        ("endless", r"the server sends more than the 179200 bytes"),
        ("short", r"the connection ended after 179191 of 179200 bytes"),
        ("empty", r"the connection ended after 0 of 179200 bytes"),
        ("broken", r"the connection (ended after 89600 of 179200 bytes|broke: IncompleteRead)"),
        ("404", r"the server answers 404 Not Found"),
        ("500", r"the server answers 500 Internal Server Error"),
    ],
)
def test_what_is_not_the_file_is_refused_and_nothing_is_left_behind(
    server: Server, tmp_path: Path, what: str, message: str
) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        fetch(server.remote(what), tmp_path, HTTP)
    assert list(tmp_path.iterdir()) == []
    said = str(caught.value)
    assert said.startswith(f"cannot download {server.address}/{what}: ")
    assert "\n" not in said


def test_a_failure_names_all_files_that_are_missing_and_how_to_go_on(server: Server, tmp_path: Path) -> None:
    (tmp_path / "also").write_bytes(b"there, though nobody looked at it")
    remotes = [server.remote(name) for name in ("right", "404", "later", "also", "last")]
    with pytest.raises(CorpusError) as caught:
        fetch_all(remotes, tmp_path, HTTP)
    first, hint = str(caught.value).split("\n")
    assert first == f"cannot download {server.address}/404: the server answers 404 Not Found"
    assert f"put 404, later, last into {tmp_path} by hand" in hint and "corpus.path" in hint
    assert server.asked == ["/files/right", "/files/404"]


def test_a_file_put_there_by_hand_that_is_another_one_is_said_to_be(server: Server, tmp_path: Path) -> None:
    (tmp_path / "404").write_bytes(b"another version")
    with pytest.raises(
        CorpusError, match=r"404 Not Found; the 404 in .* is another file\nrun .* put 404 into"
    ):
        fetch_all([server.remote("404")], tmp_path, HTTP)


def test_what_was_there_before_stays_where_a_download_fails(server: Server, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"older")
    with pytest.raises(CorpusError):
        fetch(server.remote("wrong"), tmp_path, HTTP)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("wrong", b"older")]


def test_a_broken_connection_is_tried_again_and_a_missing_file_is_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_download, "_RETRIES", 1)
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    assert fetch(server.remote("recovers"), tmp_path, HTTP).read_bytes() == CONTENT
    with pytest.raises(CorpusError, match="404"):
        fetch(server.remote("404"), tmp_path, HTTP)
    assert server.asked == ["/files/recovers", "/files/recovers", "/files/404"]


def test_without_a_network_the_message_says_how_to_go_on(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(CorpusError, match=r"is there a network\? Connection refused"):
        fetch(RemoteFile(f"http://127.0.0.1:{port}/right", len(CONTENT), SHA256), tmp_path, HTTP)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_download, "_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/right"
        with pytest.raises(CorpusError, match="timed out"):
            fetch(RemoteFile(address, len(CONTENT), SHA256), tmp_path, HTTP)


def test_only_https_is_asked_and_followed(server: Server, tmp_path: Path) -> None:
    for url in (f"{server.address}/right", "file:///etc/hostname", "ftp://127.0.0.1/right"):
        with pytest.raises(CorpusError, match="not an address that begins with https"):
            fetch(RemoteFile(url, len(CONTENT), SHA256), tmp_path)
    with pytest.raises(
        CorpusError, match=r"https://127\.0\.0\.1:1/right is not an address that begins with http"
    ):
        fetch(server.remote("moved-to-https"), tmp_path, HTTP)
    assert server.asked == ["/files/moved-to-https"]
    assert fetch(server.remote("moved"), tmp_path, HTTP).read_bytes() == CONTENT


def test_an_interruption_leaves_no_half_file(server: Server, tmp_path: Path) -> None:
    def interrupt(name: str, received: int, size: int) -> None:
        if received:
            raise KeyboardInterrupt

    with report_downloads_to(interrupt), pytest.raises(KeyboardInterrupt):
        fetch(server.remote("right"), tmp_path, HTTP)
    assert list(tmp_path.iterdir()) == []


def test_a_listener_hears_of_the_start_of_the_end_and_of_nothing_later(
    server: Server, tmp_path: Path
) -> None:
    heard: list[tuple[str, int, int]] = []
    with report_downloads_to(lambda *news: heard.append(news)):
        fetch(server.remote("right"), tmp_path, HTTP)
        fetch(server.remote("right"), tmp_path, HTTP)
    fetch(server.remote("other"), tmp_path, HTTP)
    assert heard[0] == ("right", 0, len(CONTENT)) and heard[-1] == ("right", len(CONTENT), len(CONTENT))
    amounts = [received for _, received, _ in heard]
    assert amounts == sorted(set(amounts)) and len(amounts) >= 3


def test_several_may_fetch_the_same_file_at_once(server: Server, tmp_path: Path) -> None:
    remote = server.remote("right")
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda _: fetch(remote, tmp_path, HTTP), range(6)))
    assert set(paths) == {tmp_path / "right"} and [p.name for p in tmp_path.iterdir()] == ["right"]
    assert paths[0].read_bytes() == CONTENT


def test_two_processes_may_fetch_the_same_file_at_once(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fetch, args=(server.remote("right"), tmp_path, HTTP)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [(p.name, p.read_bytes() == CONTENT) for p in tmp_path.iterdir()] == [("right", True)]


def test_a_folder_that_cannot_be_written_is_said_to_be_one(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"cannot write .*file/folder: .*MASKBENCH_DATA"):
        fetch(server.remote("right"), tmp_path / "file" / "folder", HTTP)


def test_a_full_disk_is_said_to_be_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left on device; free some space"):
        fetch(server.remote("right"), tmp_path, HTTP)
    assert list(tmp_path.iterdir()) == []


def test_downloads_are_kept_where_the_user_says_or_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MASKBENCH_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".cache" / "maskbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert data_folder() == tmp_path / ".cache" / "maskbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "xdg" / "maskbench"
    monkeypatch.setenv("MASKBENCH_DATA", "~/mine")
    assert data_folder() == tmp_path / "mine"


def test_without_a_home_folder_another_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MASKBENCH_DATA", raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(CorpusError, match=r"no home folder.*name a folder in MASKBENCH_DATA"):
        data_folder()


def test_others_can_read_what_was_fetched(server: Server, tmp_path: Path) -> None:
    assert fetch(server.remote("right"), tmp_path, HTTP).stat().st_mode & 0o777 == 0o644
