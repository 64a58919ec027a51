"""A pytest fixture, loaded by pytest itself where maskbench is installed; torch is imported when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from maskbench.model_audit import ModelFinding


@pytest.fixture
def model_audit() -> Callable[..., list[ModelFinding]]:
    """`maskbench.testing.audit_model`: takes a model, returns one finding per proof."""

    def audit(model: Any, proofs: Sequence[str] | None = None, **how: Any) -> list[ModelFinding]:
        from maskbench.testing import audit_model

        return audit_model(model, proofs, **how)

    return audit
