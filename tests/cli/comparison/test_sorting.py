"""The order of a table's arms."""

from __future__ import annotations

import pytest
from made_comparisons import comparison, difference, every_verdict, on, row

from maskbench.cli.commands.compare import Order
from maskbench.cli.comparison.sorting import ORDERS, sort_arms
from maskbench.comparison.results import ArmCost

ROWS = (
    row("base", mean=0.5, cost=ArmCost(None, 1.0, None, None)),
    row("B", difference(-0.1, p_holm=0.5, wins=1), "worse", mean=0.4, cost=ArmCost(None, 3.0, None, None)),
    row("a", difference(0.3, p_holm=0.01, wins=8), "better", mean=0.8, cost=ArmCost(None, None, None, None)),
    row(
        "c",
        difference(0.1, p_holm=None, wins=4),
        "not testable",
        mean=None,
        cost=ArmCost(None, 0.5, None, None),
    ),
)


@pytest.mark.parametrize(
    ("order", "arms"),
    [
        ("arm", "aBc"),
        ("mean", "aBc"),
        ("difference", "acB"),
        ("p", "aBc"),
        ("cost", "cBa"),
        ("verdict", "aBc"),
        ("wins", "acB"),
    ],
)
def test_the_best_comes_first_behind_the_baseline(order, arms):
    assert [r.arm for r in sort_arms(comparison(*ROWS), order).rows] == ["base", *arms]


def test_where_lower_is_better_the_lowest_comes_first():
    assert [r.arm for r in sort_arms(on("test/nll", comparison(*ROWS)), "difference").rows] == [
        "base",
        *"Bca",
    ]


def test_a_baseline_in_the_middle_comes_first():
    found = comparison(*ROWS)
    moved = comparison(*(ROWS[i] for i in (1, 0, 2)), settings=found.settings)
    assert [r.arm for r in sort_arms(moved, "arm").rows] == ["base", "a", "B"]


def test_equal_arms_keep_their_order():
    rows = [row(name, difference(0.1), "better") for name in "xay"]
    for order in set(ORDERS) - {"arm"}:
        assert [r.arm for r in sort_arms(comparison(row("base"), *rows), order).rows] == ["base", *"xay"]


def test_the_command_line_offers_what_there_is():
    assert [order.value for order in Order] == list(ORDERS)


def test_every_verdict_has_a_place():
    assert len(sort_arms(every_verdict(), "verdict").rows) == len(every_verdict().rows)
