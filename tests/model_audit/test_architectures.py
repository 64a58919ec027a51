"""No architecture that keeps its promises is accused, whatever its weights, with dropout and without."""

from __future__ import annotations

from typing import Any

import pytest
from architectures import SOUND

from maskbench.model_audit import ModelSubject, audit_subject

# Torch says so where its fast path cannot be taken.
pytestmark = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]


IN_TRAINING = [
    "causality",
    "padding content",
    "batch mates",
    "training mode",
    "draws",
    "no trace",
    "every part works",
]


def broken(subject: ModelSubject, proofs: list[str] | None = None) -> list[Any]:
    return [finding for finding in audit_subject(subject, proofs) if finding.passed is False]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
@pytest.mark.parametrize("build", SOUND.values(), ids=SOUND)
def test_no_architecture_is_accused(build, seed):
    assert broken(build(seed=seed, dropout=0.1)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("build", SOUND.values(), ids=SOUND)
def test_no_architecture_is_accused_without_dropout(build, seed):
    assert broken(build(seed=seed, dropout=0.0), IN_TRAINING) == []
