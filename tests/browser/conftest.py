"""One browser and one experiment for all tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, is_elsewhere, programs, started
from hostile import write_hostile
from rich_runs import write_rich

REQUIRED = "REQUIRE_BROWSER"
"""With this variable set, a missing browser is a failure: `make browser` and CI set it."""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here, so that no test forgets it."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    found = programs()
    if isinstance(found, str):
        reason = f"no test of the pages was run: {found}"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, and {REQUIRED} is set")
        pytest.skip(reason)
    with started(*found, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(chromium: Chromium) -> Iterator[Chromium]:
    """The browser; afterwards the page must have complained of nothing and asked for nothing elsewhere."""
    chromium.reset()
    yield chromium
    assert not [address for address in chromium.requests() if is_elsewhere(address)]
    assert not chromium.messages()


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rich(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile(tmp_path_factory.mktemp("hostile"))
