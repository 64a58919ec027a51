"""Boolean composition: the laws of logic, parts that draw, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import HEADS, causal, placement, plan, request, sizes, tiny_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_patterns import MODEL, SIZES, check, densities, kept, pattern, step_of, strategy_of
from pydantic import ValidationError
from torch import Tensor

from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import ScheduleContext
from maskbench.masks.strategies.attention.boolean import NotOptions
from maskbench.masks.strategies.attention.composite import CompositeOptions
from maskbench.registry import MASKS, PRESETS, Preset

Written = dict[str, Any]
FEW = settings(max_examples=settings().max_examples // 2)
IDS = torch.tensor([4, 9])
SITES = ("encoder_self", "decoder_self", "cross")

simple = st.one_of(
    st.builds(lambda r: {"mask": "window", "radius": r}, st.integers(0, 3)),
    st.builds(lambda a, b: {"mask": "window", "left": a, "right": b}, st.integers(0, 3), st.integers(0, 3)),
    st.builds(lambda s: {"mask": "block_local", "size": s}, st.integers(1, 4)),
    st.builds(lambda s: {"mask": "strided", "stride": s, "local": 0}, st.integers(2, 4)),
    st.builds(lambda f: {"mask": "global_tokens", "first": f}, st.integers(1, 2)),
    st.just({"mask": "causal"}),
    st.just({"mask": "none"}),
)
"""Parts that draw nothing."""


def of(word: str, *parts: Written) -> Written:
    return {"mask": word, "of": list(parts)}


def pattern_of(written: Written, site: str = "cross", q_len: int = 6, kv_len: int = 8) -> Tensor:
    options = {key: value for key, value in written.items() if key != "mask"}
    return kept(written["mask"], q_len, kv_len, site=site, **options).expand(HEADS, q_len, kv_len)


def draw(density: float, **more: Any) -> Written:
    return {"mask": "random_sparse", "density": density, "diagonal": False, **more}


@FEW
@given(simple, simple)
def test_any_and_all_are_or_and_and_and_not_turns_round(a, b):
    one, other = pattern_of(a), pattern_of(b)
    either, both, hidden = pattern_of(of("any", a, b)), pattern_of(of("all", a, b)), pattern_of(of("not", a))
    for h in range(HEADS):
        for i in range(6):
            for j in range(8):
                x, y = bool(one[h, i, j]), bool(other[h, i, j])
                assert (bool(either[h, i, j]), bool(both[h, i, j])) == (x or y, x and y)
                assert bool(hidden[h, i, j]) is not x


@FEW
@given(simple, simple)
def test_de_morgan(a, b):
    outside = pattern_of(of("not", of("any", a, b)))
    assert torch.equal(outside, pattern_of(of("all", of("not", a), of("not", b))))
    apart = pattern_of(of("not", of("all", a, b)))
    assert torch.equal(apart, pattern_of(of("any", of("not", a), of("not", b))))


@FEW
@given(simple)
def test_what_is_neutral_what_swallows_and_what_turns_back(a):
    alone, everything = pattern_of(a), {"mask": "none"}
    assert torch.equal(pattern_of(of("not", of("not", a))), alone)
    assert torch.equal(pattern_of(of("all", a, everything)), alone)
    assert torch.equal(pattern_of(of("any", a, of("not", everything))), alone)
    assert torch.equal(pattern_of(of("any", a)), alone)
    assert bool(pattern_of(of("any", a, of("not", a))).all())
    assert not bool(pattern_of(of("all", a, of("not", a))).any())


@FEW
@given(simple, simple)
def test_all_is_the_same_as_two_placements(a, b):
    placements = [
        placement("cross", part["mask"], **{k: v for k, v in part.items() if k != "mask"}) for part in (a, b)
    ]
    side_by_side = plan(*placements, of=SIZES).decide_attention("cross", 0, request(6, 8)).keep[0]
    assert torch.equal(pattern_of(of("all", a, b)), side_by_side.expand(HEADS, 6, 8))


def test_not_and_its_mask_share_the_legal_pairs_out_between_them():
    legal = causal(7, 7)
    asked = request(7, 7, legal=legal)
    near, far = (
        plan(placement("decoder_self", mask, **options)).decide_attention("decoder_self", 0, asked).keep
        for mask, options in (("window", {"radius": 2}), ("not", {"of": {"mask": "window", "radius": 2}}))
    )
    assert torch.equal(near | far, legal.expand_as(near | far))
    assert not bool((near & far).any())


NESTED = of("any", {"mask": "window", "radius": 1}, of("all", draw(0.6), of("not", draw(0.5, per_head=True))))
LENGTHS = of("any", {"mask": "causal"}, {"mask": "positional_heads", "patterns": ["next", "last", "first"]})
READING = of("all", {"mask": "document", "separator": "."}, draw(0.7))


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("written", [NESTED, LENGTHS, READING])
def test_a_single_query_of_cached_decoding_gets_its_row(written, site):
    placed = plan(placement(site, written["mask"], "static", of=written["of"])).placed[0]
    assert placed.strategy.cacheable
    asked = request(7, 7)
    whole = pattern(placed, asked)
    for i in (0, 2, 6):
        keys = i + 1 if site == "decoder_self" else 7
        step = pattern(placed, step_of(asked, i, keys))
        assert torch.equal(step, whole[:, :, i : i + 1, :keys])


@pytest.mark.parametrize("site", SITES)
def test_more_queries_than_keys_and_fewer_are_corners_of_one_pattern(site):
    whole = pattern_of(NESTED, site, 16, 16)
    for q_len, kv_len in [(5, 9), (9, 5), (1, 16)]:
        assert torch.equal(pattern_of(NESTED, site, q_len, kv_len), whole[:, :q_len, :kv_len])


def test_what_the_bank_keeps_is_the_fresh_pattern():
    placed = plan(placement("encoder_self", NESTED["mask"], of=NESTED["of"])).placed[0]
    assert placed.pattern_cache is not None
    for n in (13, 4, 9):
        asked = request(n, n)
        context = AttentionContext(asked, "encoder_self", 1, HEADS, placed.draws(asked.clock, asked.examples))
        banked = placed.keep(placed.options_at(asked.clock, 1, asked.examples), context)
        assert torch.equal(banked.expand(2, HEADS, n, n), pattern(placed, asked, layer=1))
    assert placed.pattern_cache.hits > 0


@pytest.mark.parametrize("written", [NESTED, LENGTHS, READING])
def test_the_pattern_as_a_function_is_the_pattern_as_a_tensor(written):
    placed = plan(placement("encoder_self", written["mask"], "static", of=written["of"])).placed[0]
    asked = request(8, 8)
    context = AttentionContext(asked, "encoder_self", 0, HEADS, placed.draws(asked.clock, asked.examples))
    by_index = placed.strategy.mask_mod(placed.options, context)(*context.indices())
    assert torch.equal(by_index.expand(2, HEADS, 8, 8), pattern(placed, asked))


def shares(*patterns: Tensor) -> list[float]:
    return [p.double().mean().item() for p in patterns]


def test_equal_parts_draw_independently_of_each_other_and_of_the_mask_alone():
    n, error = 60, 4 * (0.25 * 0.75) ** 0.5 / 60
    both = pattern_of(of("all", draw(0.5), draw(0.5)), "cross", n, n)[0]
    deeper = pattern_of(of("all", of("any", draw(0.5)), draw(0.5)), "cross", n, n)[0]
    either = pattern_of(of("any", draw(0.5), draw(0.5)), "cross", n, n)[0]
    alone = pattern_of(draw(0.5), "cross", n, n)[0]
    assert shares(both, deeper, either) == pytest.approx([0.25, 0.25, 0.75], abs=error)
    assert shares(both & alone) == pytest.approx([0.125], abs=4 * (0.125 * 0.875) ** 0.5 / 60)
    # A part of a part draws otherwise than a part in the same place one level above.
    assert not torch.equal(both, deeper)


def test_parts_are_drawn_anew_when_the_placement_says_so():
    early, late = (Clock("train", step, 100, epoch=step // 10) for step in (3, 44))
    for refresh, same in ((None, True), ({"per": "epoch"}, False)):
        arm = plan(placement("encoder_self", "any", refresh, of=[{"mask": "window", "radius": 0}, draw(0.4)]))
        keeps = [
            arm.decide_attention("encoder_self", 0, request(9, 9, clock=clock)).keep
            for clock in (early, late)
        ]
        assert torch.equal(*keeps) is same


def test_what_is_always_visible_is_visible_in_every_draw():
    fixed = of("any", {"mask": "global_tokens", "first": 2}, {"mask": "window", "radius": 0})
    always = pattern_of(fixed, "encoder_self", 9, 9)[0]
    arm = plan(placement("encoder_self", "any", {"per": "step"}, of=[fixed, draw(0.3)]))
    drawn = torch.stack(
        [
            arm.decide_attention("encoder_self", 0, request(9, 9, clock=Clock("train", step, 100))).keep[0, 0]
            for step in range(80)
        ]
    )
    assert bool(drawn[:, always].all())
    shown = drawn[:, ~always].double().mean().item()
    assert shown == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / drawn[:, ~always].numel()) ** 0.5)
    assert len({keep.numpy().tobytes() for keep in drawn}) == 80


def test_schedules_inside_parts_move():
    options = CompositeOptions.model_validate(
        {
            "of": [
                of("not", {"mask": "window", "radius": {"linear": [0, 4]}}),
                {"mask": "random_sparse", "density": 0.5},
            ]
        }
    )
    assert list(options.schedules()) == ["of[0].of[0].radius"]
    moved = options.resolve(ScheduleContext(0.5))
    assert moved.schedules() == {}
    assert moved.model_dump(mode="json")["of"][0]["of"][0]["radius"] == 2
    assert moved.of[1] == options.of[1]

    arm = plan(placement("encoder_self", "not", of={"mask": "window", "radius": {"linear": [0, 4]}}))
    for step, radius in ((0, 0), (50, 2), (100, 4)):
        keep = arm.decide_attention("encoder_self", 0, request(9, 9, clock=Clock("train", step, 100))).keep[
            0, 0
        ]
        assert torch.equal(~keep, pattern_of({"mask": "window", "radius": radius}, q_len=9, kv_len=9)[0])


def test_a_schedule_over_layers_reaches_a_part():
    arm = plan(placement("encoder_self", "any", of=[{"mask": "window", "radius": {"per_layer": [0, 3]}}]))
    for layer, radius in ((0, 0), (1, 3)):
        keep = arm.decide_attention("encoder_self", layer, request(9, 9)).keep[0, 0]
        assert torch.equal(keep, pattern_of({"mask": "window", "radius": radius}, q_len=9, kv_len=9)[0])


@pytest.mark.parametrize("written", [NESTED, LENGTHS, READING])
def test_what_is_written_down_reads_back_as_the_same(written):
    options = CompositeOptions.model_validate({"of": written["of"]})
    again = CompositeOptions.model_validate(options.model_dump(mode="json"))
    assert again == options
    assert [part["mask"] for part in again.model_dump(mode="json")["of"]] == [
        p["mask"] for p in written["of"]
    ]


def test_a_single_part_may_stand_without_the_list():
    part = {"mask": "window", "radius": 2}
    for model in (CompositeOptions, NotOptions):
        assert model.model_validate({"of": part}) == model.model_validate({"of": [part]})


def test_a_preset_stands_for_its_strategy_and_written_options_go_first(monkeypatch):
    near = Preset(
        "window", {"left": 1, "right": 4}, frozenset({"encoder_self"}), "Near words.", "Nobody 2026"
    )
    monkeypatch.setattr(PRESETS, "_entries", {**PRESETS, "near_words": near})
    options = CompositeOptions.model_validate({"of": [{"mask": "near_words", "left": 2}]})
    (part,) = options.model_dump(mode="json")["of"]
    assert (part["mask"], part["left"], part["right"]) == ("window", 2, 4)


@pytest.mark.parametrize(
    ("bad", "place", "message"),
    [
        ({"mask": "windw", "radius": 1}, (), "no attention mask named 'windw'; did you mean 'window'"),
        ({"mask": "tokens", "ratio": 0.1}, (), "tokens is a token mask; only attention masks can be parts"),
        ({"mask": "window", "radius": -1}, ("radius",), "must be at least 0, got -1"),
        ({"mask": "window", "radius": 1, "left": 2}, (), "radius sets left and right at once"),
        ({"mask": "window", "radis": 1}, ("radis",), "Extra inputs are not permitted"),
        ({"mask": "random_sparse"}, ("density",), "Field required"),
        ({"mask": "window", "radius": 1, "layers": [0]}, (), "layers belongs to the placement"),
        ({"radius": 1}, (), "must be a mapping that names a mask, such as"),
        ("window", (), "must be a mapping that names a mask, such as"),
    ],
)
def test_a_wrong_part_is_refused_at_its_place(bad, place, message):
    for path, parts in [
        (("of", 1), [{"mask": "none"}, bad]),
        (("of", 0, "of", 1), [of("all", {"mask": "causal"}, bad)]),
    ]:
        with pytest.raises(ValidationError) as refusal:
            CompositeOptions.model_validate({"of": parts})
        found = {error["loc"]: error["msg"] for error in refusal.value.errors()}
        assert message in found[(*path, *place)]
        assert "\n" not in found[(*path, *place)]


@pytest.mark.parametrize("of_what", [[], None, 3, "window"])
def test_something_must_be_combined(of_what):
    with pytest.raises(ValidationError):
        CompositeOptions.model_validate({"of": of_what})


def test_not_turns_one_mask_round():
    with pytest.raises(ValidationError, match="at most 1 item"):
        NotOptions.model_validate({"of": [{"mask": "none"}, {"mask": "causal"}]})


def test_a_part_that_does_not_act_at_the_site_is_refused():
    parts = [{"mask": "none"}, of("not", {"mask": "prefix_lm", "prefix": 2})]
    check("encoder_self", "any", of=parts)
    message = r"of\[1\]: not: of\[0\]: prefix_lm: does not act at decoder_self \(its sites: cross, encoder"
    with pytest.raises(ValueError, match=message):
        check("decoder_self", "any", of=parts)
    with pytest.raises(ConfigError, match="prefix_lm does not act at decoder_self"):
        plan(placement("decoder_self", "any", of=parts))


def test_what_a_part_refuses_is_refused():
    ahead = {"mask": "positional_heads", "patterns": ["next", "self", "full"]}
    check("encoder_self", "any", of=[ahead])
    with pytest.raises(ValueError, match=r"of\[0\]: positional_heads: patterns: next lies ahead"):
        check("decoder_self", "any", of=[ahead])


def test_a_refresh_of_the_whole_may_concern_some_of_its_parts():
    parts = [draw(0.5), of("not", {"mask": "causal"})]
    check("encoder_self", "any", {"per": "step"}, of=parts)
    assert (
        plan(placement("encoder_self", "not", of=parts[1])).placed[0].draws(Clock("train", 0, 9), IDS) is None
    )


def test_a_part_with_other_times_of_its_own_needs_a_word_in_the_placement(monkeypatch):
    cls, parts = MASKS.lookup("all"), {"of": [{"mask": "random_sparse", "density": 0.5}]}
    options = cls.Options.model_validate(parts)
    base = placement("encoder_self", "all", **parts)
    cls.check("encoder_self", options, base, MODEL)
    part = MASKS.lookup("random_sparse")
    monkeypatch.setattr(part, "default_phases", ("train",))
    with pytest.raises(
        ValueError, match=r"by itself it acts in \[train\], here in \[train, eval\]; say which"
    ):
        cls.check("encoder_self", options, base, MODEL)
    trained = base.model_copy(update={"phases": ("train",)})
    cls.check("encoder_self", options, trained, MODEL)
    monkeypatch.setattr(part, "default_refresh", placement("cross", "none", "dynamic").refresh)
    with pytest.raises(ValueError, match="by itself it draws more often than once in a run; say how often"):
        cls.check("encoder_self", options, trained, MODEL)
    dynamic = placement("encoder_self", "all", "dynamic", **parts).model_copy(update={"phases": ("train",)})
    cls.check("encoder_self", options, dynamic, MODEL)


def test_what_a_part_needs_of_the_corpus_is_missed():
    needy = next(
        name
        for name in MASKS.names()
        if MASKS.lookup(name).kind == "attention mask" and MASKS.lookup(name).needs
    )
    cls = MASKS.lookup(needy)
    site, written = sorted(cls.sites)[0], {"mask": needy, **cls.example.model_dump(mode="json")}
    bare = replace(sizes(), facts=replace(sizes().facts, annotations=frozenset()))
    with pytest.raises(ConfigError, match=f"{needy} needs a corpus that marks"):
        plan(placement(site, "not", of=written), of=bare)
    assert "annotation" in plan(placement(site, "not", of=written)).placed[0].strategy.depends_on


def test_the_whole_declares_what_its_parts_are():
    plain = strategy_of("encoder_self", "any", of=[{"mask": "window", "radius": 1}, {"mask": "causal"}])
    assert (plain.stochastic, plain.depends_on, plain.sliceable, plain.may_empty_rows) == (
        False,
        frozenset(),
        True,
        False,
    )
    drawing = strategy_of("cross", "all", of=[{"mask": "document", "separator": "."}, draw(0.5)])
    assert (drawing.stochastic, drawing.depends_on, drawing.sliceable, drawing.may_empty_rows) == (
        True,
        frozenset({"input"}),
        False,
        True,
    )


@pytest.mark.parametrize(
    ("written", "empties"),
    [
        (of("any", draw(0.2), {"mask": "causal"}), False),
        (of("any", draw(0.2), {"mask": "document", "separator": "."}), True),
        (of("all", {"mask": "global_tokens"}), False),
        (of("all", {"mask": "window", "radius": 0}, {"mask": "global_tokens"}), True),
        (of("not", {"mask": "window", "radius": 3}), True),
    ],
)
def test_empty_rows_are_announced(written, empties):
    built = strategy_of("cross", written["mask"], of=written["of"])
    assert built.may_empty_rows is empties
    rows = pattern_of(written, "cross", 12, 3).any(-1)
    if not empties:
        assert bool(rows.all())


def test_a_conjunction_of_masks_that_empty_no_row_may_empty_one():
    written = of("all", {"mask": "window", "radius": 0}, {"mask": "global_tokens"})
    assert not bool(pattern_of(written, "encoder_self", 5, 5)[0, 4].any())
    assert strategy_of("encoder_self", "all", of=written["of"]).may_empty_rows


@FEW
@given(simple, simple)
def test_is_causal_is_never_claimed_of_what_looks_ahead(a, b):
    ahead = torch.ones(9, 9, dtype=torch.bool).triu(1)
    for written in (of("any", a, b), of("all", a, b), of("not", a), of("any", of("all", a, b), b)):
        cls = MASKS.lookup(written["mask"])
        if cls.is_causal(cls.Options.model_validate({"of": written["of"]})):
            assert not bool((pattern_of(written, q_len=9, kv_len=9) & ahead).any())


def test_is_causal_follows_from_the_parts():
    back, wide = {"mask": "causal"}, {"mask": "window", "radius": 2}
    expected = [(of("any", back, back), True), (of("any", back, wide), False), (of("all", wide, back), True)]
    expected += [(of("all", wide, wide), False), (of("not", wide), False), (of("not", back), False)]
    for written, causal_one in expected:
        cls = MASKS.lookup(written["mask"])
        assert cls.is_causal(cls.Options.model_validate({"of": written["of"]})) is causal_one


@FEW
@given(st.sampled_from(["encoder_self", "decoder_self"]), simple, st.integers(1, 9))
def test_the_density_of_not_is_what_the_mask_leaves(site, a, n):
    claimed, counted = densities("not", n, site, of=a)
    assert claimed == pytest.approx(counted, abs=1e-12)


def test_no_density_is_claimed_of_what_has_no_formula():
    unknown = {"mask": "document", "separator": "."}
    options = NotOptions.model_validate({"of": unknown})
    assert strategy_of("encoder_self", "not", of=unknown).density(options, 5, 5) is None


def test_a_composite_follows_the_words_of_each_sentence():
    batch = tiny_batch()
    asked = replace(request(7, 7, 3), src_ids=batch.src, src_lengths=batch.src_lengths)
    written = of("not", {"mask": "document", "separator": "."})
    inside, outside = (
        pattern(plan(placement("encoder_self", mask, **options)).placed[0], asked)
        for mask, options in (("document", {"separator": "."}), ("not", {"of": written["of"]}))
    )
    assert torch.equal(outside, ~inside)
    assert not torch.equal(inside[0], inside[1])
