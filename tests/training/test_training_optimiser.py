from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from maskbench.config.schema.experiment import TrainConfig
from maskbench.errors import RunDirectoryError
from maskbench.model.attention import Projection
from maskbench.model.embedding import EmbeddingTable
from maskbench.training.environment import compute_dtype
from maskbench.training.optimiser import (
    build_optimiser,
    decayed_names,
    export_moments,
    learning_rate,
    restore_moments,
    set_learning_rate,
)


class Small(nn.Module):
    """One parameter of every kind a model has."""

    def __init__(self) -> None:
        super().__init__()
        self.words = EmbeddingTable(11, 3)
        self.inner = Projection(3, 5)
        self.norm = nn.LayerNorm(3)
        self.masks = nn.ModuleDict({"cross-window-0": Projection(3, 2)})
        self.unused = nn.Parameter(torch.zeros(2))
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))

    def loss(self, step: int) -> torch.Tensor:
        parts = [p.mul(step + 1).sin().sum() for n, p in self.named_parameters() if n != "unused"]
        return torch.stack(parts).sum()


def take_steps(model: Small, optimiser: torch.optim.AdamW, steps: range) -> None:
    for step in steps:
        optimiser.zero_grad(set_to_none=True)
        model.loss(step).backward()  # type: ignore[no-untyped-call]
        set_learning_rate(optimiser, learning_rate(TrainConfig(warmup_steps=4), step))
        optimiser.step()


def test_the_learning_rate_rises_in_a_line_and_falls_with_the_inverse_square_root() -> None:
    config = TrainConfig(lr=0.002, warmup_steps=200)
    closed: Callable[[int], float] = lambda n: 0.002 * min(n / 200, math.sqrt(200 / n))  # noqa: E731
    for step in (0, 1, 57, 198, 199, 200, 799, 5000):
        assert learning_rate(config, step) == pytest.approx(closed(step + 1), rel=1e-12)
    assert learning_rate(config, 199) == 0.002
    assert learning_rate(config, 799) == pytest.approx(0.001)


def test_the_constant_schedule_stays_after_the_warm_up() -> None:
    config = TrainConfig(lr=0.002, warmup_steps=10, schedule="constant")
    assert [learning_rate(config, s) for s in (4, 9, 10, 10_000)] == [0.001, 0.002, 0.002, 0.002]


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert learning_rate(TrainConfig(lr=0.5, warmup_steps=0, schedule="constant"), 0) == 0.5


def test_only_the_matrices_of_the_models_projections_decay() -> None:
    assert decayed_names(Small()) == {"inner.weight"}


def test_weight_decay_shrinks_what_decays_and_nothing_else() -> None:
    plain, shrunk = Small(), Small()
    take_steps(plain, build_optimiser(plain, TrainConfig()), range(1))
    take_steps(shrunk, build_optimiser(shrunk, TrainConfig(weight_decay=0.5)), range(1))
    other = dict(shrunk.named_parameters())
    differing = {name for name, p in plain.named_parameters() if not torch.equal(p, other[name])}
    assert differing == {"inner.weight"}


def test_restored_moments_continue_bit_for_bit() -> None:
    straight, first, second = Small(), Small(), Small()
    take_steps(straight, build_optimiser(straight, TrainConfig()), range(7))
    optimiser = build_optimiser(first, TrainConfig())
    take_steps(first, optimiser, range(3))
    second.load_state_dict(first.state_dict())
    resumed = build_optimiser(second, TrainConfig())
    restore_moments(second, resumed, export_moments(first, optimiser))
    take_steps(second, resumed, range(3, 7))
    for one, other in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_moments_go_by_name_and_a_parameter_without_gradient_has_none() -> None:
    model = Small()
    optimiser = build_optimiser(model, TrainConfig())
    take_steps(model, optimiser, range(2))
    names = set(export_moments(model, optimiser))
    assert {"exp_avg/inner.weight", "exp_avg_sq/inner.weight", "step/inner.weight"} <= names
    assert not any("unused" in name for name in names)


@pytest.mark.parametrize("name", ["inner.weight", "nowhere"])
def test_moments_of_another_model_are_refused(name: str) -> None:
    model = Small()
    tensors = {f"{what}/{name}": torch.zeros(2, 2) for what in ("exp_avg", "exp_avg_sq", "step")}
    with pytest.raises(RunDirectoryError, match=name):
        restore_moments(model, build_optimiser(model, TrainConfig()), tensors)


@pytest.mark.parametrize(
    ("precision", "d_model", "native", "wanted"),
    [
        ("auto", 64, True, torch.bfloat16),
        ("auto", 32, True, torch.float32),
        ("auto", 256, False, torch.float32),
        ("float32", 256, True, torch.float32),
        ("bfloat16", 32, False, torch.bfloat16),
    ],
)
def test_auto_takes_bfloat16_where_it_is_native_and_pays(
    precision: str, d_model: int, native: bool, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert compute_dtype(precision, d_model, torch.device("cpu")) == wanted  # type: ignore[arg-type]
