"""Options that move over training may start at 0 wherever 0 means none of something; what 0 means is what is drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import sizes
from mask_patterns import kept

from maskbench.config.schema.experiment import ModelConfig
from maskbench.errors import ConfigError
from maskbench.masks.base import StrategyOptions
from maskbench.pictures.draw import parse_placement
from maskbench.registry import MASKS

NEEDS_ONE = {
    # A block, a step or a distance of 0 positions is none; 0 of these would divide by 0 or leave every query without a key.
    ("block_local", "size"),
    ("entmax", "alpha"),
    ("fixed_factorised", "block"),
    ("gaussian", "sigma"),
    ("local_p", "half_width"),
    ("soft_diagonal", "sigma"),
    ("strided", "stride"),
    ("topk", "k"),
    ("transform", "stage"),
    ("wait_k", "k"),
    ("window", "dilation"),
}
BESIDE = {("loss_tokens", "first"): ["ratio=null", "choose=prefix"]}
"""Options that have to be given beside another."""


def scheduled() -> list[tuple[str, str]]:
    found = []
    for name in sorted(MASKS):
        for option, schema in MASKS[name].Options.model_json_schema().get("properties", {}).items():
            if "minProperties" in str(schema):
                found.append((name, option))
    return found


def test_the_table_is_of_all_scheduled_options() -> None:
    assert len(scheduled()) > 30 and set(scheduled()) >= NEEDS_ONE


@pytest.mark.parametrize(("name", "option"), scheduled())
def test_a_schedule_may_start_at_0_where_0_means_none(name: str, option: str) -> None:
    site = sorted(MASKS[name].sites)[0]

    def parse(values: str) -> None:
        parse_placement(name, site, [f"{option}={values}", *BESIDE.get((name, option), [])], ModelConfig())

    if (name, option) in NEEDS_ONE:
        with pytest.raises(ConfigError, match="must be at least"):
            parse("{step: [[0, 0], [0.5, 1]]}")
        return
    last = 0.5 if name in ("attention_dropout", "drop_attention", "drop_head", "memory_dropout") else 1
    parse(f"{{step: [[0, 0], [0.5, {last}]]}}")
    parse(f"{{linear: [0, {last}]}}")


SAME: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("prefix_lm", {"prefix": 0}, "causal", {}),
    ("prefix_lm", {"prefix": {"linear": [0, 4]}}, "causal", {}),
    ("sink_window", {"radius": 2, "sinks": 0}, "window", {"radius": 2}),
    ("sink_window", {"radius": 1, "sinks": {"linear": [0, 4]}}, "window", {"radius": 1}),
    ("fixed_factorised", {"block": 3, "summary": 0}, "block_local", {"size": 3}),
    ("window", {"radius": {"linear": [0, 4]}}, "window", {"radius": 0}),
]


@pytest.mark.parametrize("site", ["encoder_self", "cross"])
@pytest.mark.parametrize(("name", "options", "other", "others"), SAME)
def test_0_is_the_mask_without_that_part(
    name: str, options: dict[str, Any], other: str, others: dict[str, Any], site: str
) -> None:
    widths = (7, 7) if site == "encoder_self" else (8, 5)
    one, two = (kept(mask, *widths, site=site, **own) for mask, own in ((name, options), (other, others)))
    assert torch.equal(one.expand(1, *widths), two.expand(1, *widths))


def test_no_global_token_is_no_open_pair() -> None:
    assert not kept("global_tokens", 6, 6, site="encoder_self", first=0).any()


@pytest.mark.parametrize(
    ("name", "site", "options", "may"),
    [
        ("sink_window", "cross", {"radius": 1, "sinks": 0}, True),
        ("sink_window", "cross", {"radius": 1, "sinks": {"linear": [0, 3]}}, True),
        ("sink_window", "cross", {"radius": 1, "sinks": {"linear": [1, 3]}}, False),
        ("sink_window", "encoder_self", {"radius": 1, "sinks": 0}, False),
        ("global_tokens", "encoder_self", {"first": {"step": [[0, 2], [0.5, 0]]}}, True),
        ("global_tokens", "cross", {"first": 1}, False),
        ("bigbird", "cross", {"first": {"linear": [0, 3]}}, True),
        ("bigbird", "cross", {"first": 1}, False),
        ("prefix_lm", "cross", {"prefix": 0}, False),
    ],
)
def test_a_strategy_says_whether_0_may_leave_a_query_without_a_key(
    name: str, site: str, options: dict[str, Any], may: bool
) -> None:
    cls = MASKS[name]
    parsed: StrategyOptions = cls.Options.model_validate(options)
    assert cls(parsed, sizes(), site).may_empty_rows is may
