"""Parts of the page by themselves: marked words, looks of arms, the front of cost and quality, ordered categories."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.report.cost import CostPoint, _with_best
from maskbench.report.figure import add_axes, default_matplotlib_settings, make_figure, render_svg
from maskbench.report.palette import assign_styles
from maskbench.report.samples import mark_differences
from maskbench.report.slices import _is_ordered

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


@given(said=WORDS, wanted=WORDS)
def test_marking_loses_no_word_and_marks_none_that_is_right(said, wanted):
    pieces = list(mark_differences(" ".join(said), " ".join(wanted)))
    assert [w for kind, text in pieces if kind != "missing" for w in text.split()] == said
    same = [w for kind, text in pieces if kind == "same" for w in text.split()]
    rest = iter(wanted)
    assert all(word in rest for word in same), "what is not marked stands in the reference, in this order"
    if said == wanted:
        assert same == said and {kind for kind, _ in pieces} <= {"same"}


def test_words_too_many_and_words_too_few_are_told_apart():
    assert list(mark_differences("the big cat", "the cat sleeps")) == [
        ("same", "the"),
        ("other", "big"),
        ("same", "cat"),
        ("missing", "sleeps"),
    ]


def test_arms_are_told_apart_without_colour_too():
    arms = [f"arm-{n}" for n in range(30)]
    found = assign_styles(arms, "arm-4")
    assert next(iter(found)) == "arm-4" and set(found) == set(arms)
    shapes = {(look.marker, look.dashes) for arm, look in list(found.items())[:8]}
    assert len(shapes) == 8
    assert len({(look.colour, look.marker, look.dashes) for look in found.values()}) == 30


def test_an_arm_looks_the_same_whoever_else_is_there():
    assert assign_styles(["none", "a", "b"], "none")["a"] == assign_styles(["a", "none"], "none")["a"]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_front_holds_what_nothing_beats(sign):
    named = {
        "base": (1.0, 0.0),
        "dear": (1.5, 3.0),
        "dearer": (1.6, 3.0),
        "worse": (1.2, -1.0),
        "cheap": (0.9, -2.0),
    }
    points = [CostPoint(a, a, t, None, sign * gain, None) for a, (t, gain) in named.items()]
    best = [p.arm for p in _with_best(points, sign) if p.best]
    assert best == ["base", "dear", "cheap"]
    twins = [dataclasses.replace(points[0], arm=name) for name in ("x", "y")]
    assert all(p.best for p in _with_best(twins, sign))


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["distance-1", "distance-2", "distance-10"], True),
        (["1-5", "6-10", "11-20", "21+"], True),
        (["test", "noise-mask-20", "noise-drop-20"], False),
        (["distance-2", "distance-1", "distance-3"], False),
        (["gender", "number", "order"], False),
        (["length-1", "length-2"], False),
    ],
)
def test_categories_with_growing_numbers_are_an_axis(labels, ordered):
    assert _is_ordered(labels) is ordered


def drawing(name: str) -> str:
    with default_matplotlib_settings():
        figure = make_figure(300, 200)
        axes = add_axes(figure)
        axes.plot([1, 2, 3], [4, 6, 5], "o-", color="#00599c")
        axes.set_ylabel("50 % $x_ 猫", parse_math=False)
        return render_svg(figure, name, "a <title> & more", "1 < 2")


def test_a_figure_is_well_formed_and_carries_its_texts():
    root = ElementTree.fromstring(drawing("one"))
    assert root.tag == "svg" and root.get("role") == "img"
    assert root.get("aria-labelledby") == "one-title one-description"
    assert [(e.tag, e.get("id"), e.text) for e in list(root)[:2]] == [
        ("title", "one-title", "a <title> & more"),
        ("desc", "one-description", "1 < 2"),
    ]
    assert "50 % $x_ 猫" in [e.text for e in root.iter("text")]
    assert root.find(".//metadata") is None and root.find(".//style") is None


def test_two_figures_share_no_id_and_each_finds_its_own():
    ids = []
    for name in ("one", "two"):
        root = ElementTree.fromstring(drawing(name))
        own = {e.get("id") for e in root.iter()} - {None}
        assert {e.get("href", "")[1:] for e in root.iter("use")} <= own
        ids.append(own)
    assert len(ids[0]) > 3 and not ids[0] & ids[1]


def test_a_user_s_own_settings_for_matplotlib_change_nothing():
    import matplotlib

    plain = drawing("one")
    with matplotlib.rc_context(
        {"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}
    ):
        assert drawing("one") == plain
        assert matplotlib.rcParams["lines.linewidth"] == 9
