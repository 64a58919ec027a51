"""Every test of plug-ins leaves the registries as they were."""

from __future__ import annotations

import pytest

from maskbench import plugins, registry


@pytest.fixture(autouse=True)
def registries_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    import maskbench.data
    import maskbench.masks  # noqa: F401

    for each in registry.REGISTRIES:
        monkeypatch.setattr(each, "_entries", dict(each))
    monkeypatch.setattr(plugins, "_loaded", {})
