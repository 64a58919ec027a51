"""A mask that reads the time itself is drawn at the start, half-way and at the end, in the terminal and during a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from helpers import sizes
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig, Refresh
from maskbench.masks.base import AttentionMask, LogitMask, ScoreBias, StrategyOptions
from maskbench.masks.clock import Clock
from maskbench.pictures.draw import PictureOptions, draw_placement, parse_placement
from maskbench.pictures.mask_picture import MaskPicture
from maskbench.pictures.mask_snapshots import MaskSnapshots
from maskbench.registry import MASKS

NAMES = ["at the start", "half-way", "at the end"]


class NoReaderOptions(StrategyOptions):
    """Nothing to set."""


def reader(name: str, reads: Any, base: type = AttentionMask, random: bool = False) -> type:
    """Return a registered strategy that opens one more diagonal for every tenth of what it reads of the time."""

    def mask_mod(self: Any, options: Any, ctx: Any) -> Any:
        reach = 1 + int(10 * reads(ctx.request.clock))

        def keep(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            near = (q - k).abs() <= reach
            if not random:
                return near
            seed = int(ctx.draws.key.words[0]) % 2**31
            drawn = torch.rand(q.shape[2], k.shape[3], generator=torch.Generator().manual_seed(seed))
            return near & (drawn < 0.5)

        return keep

    def bias(self: Any, options: Any, ctx: Any) -> Tensor:
        r = ctx.request
        return -reads(r.clock) * (r.q_idx[:, None] - r.kv_idx[None]).abs()[None, None].float()

    def allowed(self: Any, options: Any, ctx: Any) -> Tensor:
        n = self.sizes.vocab_size
        return (torch.arange(n) >= int(n * reads(ctx.clock) / 2))[None, None]

    cls = type(
        "Reads",
        (base,),
        {
            "__doc__": "It reads the time.",
            "sites": frozenset({"logits"} if base is LogitMask else {"encoder_self"}),
            "source": "a test",
            "Options": NoReaderOptions,
            "example": NoReaderOptions(),
            "stochastic": random,
            "default_refresh": Refresh(per="step") if random else None,
            "mask_mod": mask_mod,
            "bias": bias,
            "allowed": allowed,
        },
    )
    MASKS.register(name)(cls)
    return cls


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(MASKS, "_entries", dict(MASKS))
    yield


def drawn(name: str, site: str = "encoder_self") -> MaskPicture:
    return draw_placement(parse_placement(name, site, (), ModelConfig()), PictureOptions(length=12))


def labels(picture: MaskPicture) -> list[str]:
    return [grid.label for stage in picture.stages for grid in stage.grids]


READINGS = {
    "progress": lambda clock: clock.progress,
    "step": lambda clock: clock.step / 1000,
    "epoch": lambda clock: clock.epoch / 1000,
    "stalls": lambda clock: clock.stalls / 10,
    "only after the middle": lambda clock: float(clock.progress > 0.5),
    "there and back": lambda clock: 1 - abs(2 * clock.progress - 1),
}


@pytest.mark.parametrize("what", READINGS)
def test_a_mask_that_reads_the_time_is_drawn_three_times(what: str) -> None:
    reader("reads", READINGS[what])
    picture = drawn("reads")
    assert labels(picture) == NAMES
    sums = [float(np.nansum(grid.shades)) for grid in picture.stages[0].grids]
    expected = {"only after the middle": [0, 0, 1], "there and back": [0, 1, 0]}.get(what, [0, 0.5, 1])
    counts = [sum(abs(i - j) <= 1 + int(10 * at) for i in range(12) for j in range(12)) for at in expected]
    assert sums == counts


@pytest.mark.parametrize(("base", "site"), [(ScoreBias, "encoder_self"), (LogitMask, "logits")])
def test_other_kinds_that_read_the_time_are_drawn_three_times_too(base: type, site: str) -> None:
    reader("reads", READINGS["progress"], base)
    assert labels(drawn("reads", site)) == NAMES


@pytest.mark.parametrize("random", [False, True])
def test_one_that_reads_no_time_is_drawn_once(random: bool) -> None:
    reader("still", lambda clock: 0.0, random=random)
    assert labels(drawn("still")) == [""]


def test_random_draws_are_held_while_the_time_moves() -> None:
    """Wider later, and otherwise the same draw: what is open at the start stays open."""
    reader("reads", READINGS["progress"], random=True)
    picture = drawn("reads")
    assert labels(picture) == NAMES
    first, middle, last = (grid.shades for grid in picture.stages[0].grids)
    assert first.sum() < middle.sum() < last.sum()
    assert bool((middle >= first).all() and (last >= middle).all())


@pytest.mark.parametrize(("random", "moves"), [(False, True), (True, True), (False, False), (True, False)])
def test_a_run_draws_it_again_only_if_it_reads_the_time(random: bool, moves: bool) -> None:
    reader("own", READINGS["progress"] if moves else (lambda clock: 0.0), random=random)
    snapshots = MaskSnapshots([PlacementConfig(site="encoder_self", mask="own")], sizes(), 0, "a")
    taken = [
        [label for label, _ in snapshots.render({}, clock, changing_only=clock.step > 0)]
        for clock in (Clock("train", step, 40, step // 10, steps_per_epoch=10) for step in (0, 20, 40))
    ]
    label = "encoder_self-own-0"
    assert taken == [[label], [label] * moves, [label] * moves]
