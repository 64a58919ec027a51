"""A peer that is not there is named with what to do; a peer that computes another model is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import decode, peers
from benchmarks.harness import BenchmarkError


def test_without_an_environment_the_command_that_makes_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(peers.VARIABLE, str(tmp_path / "none"))
    for peer in ("joeynmt", "ctranslate2"):
        why = peers.missing_peer(peer)
        assert why is not None
        assert str(tmp_path / "none") in why
        assert "python -m benchmarks.peers" in why


def test_a_peer_that_cannot_be_imported_is_named(tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no joeynmt' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    assert peers.missing_peer("joeynmt", tmp_path) == (
        "ModuleNotFoundError: no joeynmt; make the environment again: python -m benchmarks.peers --again"
    )


def test_a_package_that_cannot_be_had_is_one_message(tmp_path, monkeypatch):
    folder = tmp_path / "peers"

    def create(place, **_):
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        (place / "lib" / version / "site-packages").mkdir(parents=True)
        script = "#!/bin/sh\necho 'ERROR: No matching distribution found for joeynmt==2.3.0' >&2\nexit 1\n"
        (place / "bin").mkdir()
        (place / "bin" / "python").write_text(script, encoding="utf-8")
        (place / "bin" / "python").chmod(0o755)

    monkeypatch.setattr(peers.venv, "create", create)
    with pytest.raises(
        BenchmarkError, match=r"cannot be installed in .*peers: ERROR: No matching distribution"
    ):
        peers.install(folder)
    host = next(folder.rglob("host.pth")).read_text(encoding="utf-8").strip()
    assert Path(host, "torch").is_dir()


def test_scores_within_the_tolerance_pass():
    decode.check_scores("joeynmt", [[-1.0, -2.0], [-3.0]], [[-1.00009, -2.0], [-3.0]])


@pytest.mark.parametrize("theirs", [[[-1.0002, -2.0], [-3.0]], [[float("nan"), -2.0], [-3.0]]])
def test_a_peer_with_other_scores_is_refused(theirs):
    with pytest.raises(BenchmarkError, match="does not compute the same model"):
        decode.check_scores("joeynmt", [[-1.0, -2.0], [-3.0]], theirs)


def test_a_peer_with_other_tokens_is_refused():
    with pytest.raises(BenchmarkError, match="other numbers of tokens"):
        decode.check_scores("joeynmt", [[-1.0, -2.0], [-3.0]], [[-1.0], [-2.0, -3.0]])
