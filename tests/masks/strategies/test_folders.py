"""Every strategy stands in the folder of its kind."""

from __future__ import annotations

import pytest

import maskbench.masks  # noqa: F401  registers the strategies
from maskbench.masks.base import (
    AttentionMask,
    InputFeature,
    LogitMask,
    LossMask,
    Normaliser,
    ScoreBias,
    ScoreGate,
    Strategy,
    TensorGate,
    TokenMask,
)
from maskbench.masks.strategies import __name__ as STRATEGIES
from maskbench.registry import MASKS

FOLDERS: dict[str, tuple[type[Strategy], ...]] = {
    "attention": (AttentionMask,),
    "scores": (ScoreBias, ScoreGate),
    "normalisers": (Normaliser,),
    "inputs": (TokenMask, InputFeature, TensorGate),
    "outputs": (LogitMask, LossMask),
}
FAMILIES = {"attention_dropout", "learned_gates"}
"""Files beside the folders, whose strategies are of several kinds."""


@pytest.mark.parametrize("name", MASKS.names())
def test_a_strategy_stands_in_the_folder_of_its_kind(name: str) -> None:
    strategy = MASKS.lookup(name)
    if not strategy.__module__.startswith(f"{STRATEGIES}."):
        pytest.skip("a plug-in of another test")
    folder, *file = strategy.__module__.removeprefix(f"{STRATEGIES}.").split(".")
    if not file:
        assert folder in FAMILIES
    else:
        assert issubclass(strategy, FOLDERS[folder]), f"a {strategy.kind} in {folder}"
