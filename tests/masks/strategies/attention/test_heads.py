"""Fixed places for heads, and a mask for each head, against nested loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import HEADS, placement, plan, request, sizes, tiny_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_patterns import MODEL, check, densities, kept, pattern, step_of, strategy_of
from pydantic import ValidationError

from maskbench.errors import ConfigError
from maskbench.masks.context import AttentionContext
from maskbench.masks.strategies.attention.per_head_patterns import MixedHeadsOptions, PositionalHeadsOptions
from maskbench.registry import MASKS

NAMES = ("self", "previous", "next", "first", "last", "left", "right", "full")
FEW = settings(max_examples=40)


def seen_keys(name: str, i: int, length: int) -> set[int]:
    """The keys a head may look at from position i of a source of this length, places outside moved inside."""

    def inside(place: int) -> int:
        return min(max(place, 0), length - 1)

    if name in ("first", "last"):
        return {0 if name == "first" else length - 1}
    if name == "full":
        return set(range(length))
    if name == "left":
        return set(range(min(i + 1, length)))
    if name == "right":
        return set(range(inside(i), length))
    return {inside({"self": i, "previous": i - 1, "next": i + 1}[name])}


patterns = st.lists(st.sampled_from(NAMES), min_size=HEADS, max_size=HEADS)


@FEW
@given(st.sampled_from(["encoder_self", "cross"]), patterns, st.integers(1, 8), st.integers(1, 7))
def test_every_head_sees_its_place(site, names, queries, longest):
    asked = request(longest if site == "encoder_self" else queries, longest)
    lengths = torch.tensor([longest, max(1, longest - 2)])
    asked = replace(asked, src_lengths=lengths)
    keep = pattern(plan(placement(site, "positional_heads", patterns=names)).placed[0], asked)
    for b, length in enumerate(lengths.tolist()):
        for h, name in enumerate(names):
            for i in range(length if site == "encoder_self" else queries):
                real = {j for j in range(length) if keep[b, h, i, j]}
                assert real == seen_keys(name, i, length), (name, i, length)


@FEW
@given(st.lists(st.sampled_from(["self", "previous", "first", "left", "full"]), min_size=3, max_size=3))
def test_in_the_decoder_the_query_itself_is_the_last_key(names):
    asked = request(6, 6)
    placed = plan(placement("decoder_self", "positional_heads", patterns=names)).placed[0]
    keep = pattern(placed, asked)
    for h, name in enumerate(names):
        for i in range(6):
            assert {j for j in range(i + 1) if keep[0, h, i, j]} == seen_keys(name, i, i + 1)
            row = pattern(placed, step_of(asked, i))[:, h, 0]
            assert torch.equal(row, keep[:, h, i, : i + 1])


def test_a_single_query_at_cross_gets_its_row():
    placed = plan(placement("cross", "positional_heads", patterns=["next", "last", "previous"])).placed[0]
    asked = replace(request(7, 5), src_lengths=torch.tensor([5, 3]))
    whole = pattern(placed, asked)
    for i in range(7):
        assert torch.equal(pattern(placed, step_of(asked, i, 5)), whole[:, :, i : i + 1])


@pytest.mark.parametrize("name", ["next", "last", "right"])
def test_what_lies_ahead_is_refused_in_the_decoder_and_leaks_nothing_there(name):
    names = ["self", name, "full"]
    with pytest.raises(ValueError, match=f"patterns: {name} lies ahead, where the decoder sees nothing"):
        check("decoder_self", "positional_heads", patterns=names)
    check("encoder_self", "positional_heads", patterns=names)
    keep = kept("positional_heads", 6, 6, site="decoder_self", patterns=names)
    longer = kept("positional_heads", 9, 9, site="decoder_self", patterns=names)
    assert torch.equal(keep, longer[:, :6, :6])


@FEW
@given(st.sampled_from(["encoder_self", "decoder_self"]), patterns, st.integers(1, 9))
def test_the_density_is_the_counted_one(site, names, n):
    claimed, counted = densities("positional_heads", n, site, patterns=names)
    assert claimed == pytest.approx(counted, abs=1e-12)


@pytest.mark.parametrize(
    ("site", "names", "reads"),
    [
        ("encoder_self", ["previous", "first", "right"], False),
        ("encoder_self", ["previous", "next", "full"], True),
        ("cross", ["first", "left", "full"], False),
        ("cross", ["first", "left", "self"], True),
        ("decoder_self", ["first", "left", "self"], False),
    ],
)
def test_it_is_kept_by_length_only_where_it_does_not_read_the_length(site, names, reads):
    placed = plan(placement(site, "positional_heads", patterns=names)).placed[0]
    assert placed.strategy.depends_on == ({"length"} if reads else set())
    assert (placed.pattern_cache is None) is reads
    if not reads:
        wide, narrow = pattern(placed, request(9, 9)), pattern(placed, request(5, 5))
        assert torch.equal(narrow, wide[:, :, :5, :5])


def test_patterns_begin_again_where_that_is_asked_for():
    keep = kept("positional_heads", 5, 5, patterns=["first", "left"], repeat=True)
    assert torch.equal(keep[0], keep[2])
    assert not torch.equal(keep[0], keep[1])


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self", "cross"])
@pytest.mark.parametrize(
    ("mask", "key", "entries"),
    [
        ("positional_heads", "patterns", ["first", "self", "left", "full"]),
        ("mixed_heads", "of", [{"mask": "window", "radius": r} for r in range(4)]),
    ],
)
def test_an_entry_too_few_or_too_many_is_refused(site, mask, key, entries):
    check(site, mask, **{key: entries[:3]})
    check(site, mask, **{key: entries[:2], "repeat": True})
    with pytest.raises(ValueError, match=r"there are 2 entries for 3 heads; give one for each head"):
        check(site, mask, **{key: entries[:2]})
    for repeat in (False, True):
        with pytest.raises(ValueError, match="there are 4 entries for 3 heads; leave some out"):
            check(site, mask, **{key: entries, "repeat": repeat})
    with pytest.raises(ConfigError, match="there are 2 entries for 3 heads"):
        plan(placement(site, mask, **{key: entries[:2]}))


@pytest.mark.parametrize("mask", ["positional_heads", "mixed_heads"])
def test_a_choice_of_heads_beside_the_list_is_refused(mask):
    cls = MASKS.lookup(mask)
    chosen = placement("encoder_self", mask).model_copy(update={"heads": (0, 1)})
    with pytest.raises(ValueError, match="heads: every head has an entry of its own here"):
        cls.check("encoder_self", cls.example, chosen, MODEL)


def test_unknown_patterns_and_empty_lists_are_refused():
    for bad in (["prev"], [], "first"):
        with pytest.raises(ValidationError):
            PositionalHeadsOptions.model_validate({"patterns": bad})
    with pytest.raises(ValidationError):
        MixedHeadsOptions.model_validate({"of": []})


MIXED: list[dict[str, Any]] = [
    {"mask": "window", "radius": 1},
    {"mask": "none"},
    {"mask": "any", "of": [{"mask": "window", "radius": 0}, {"mask": "random_sparse", "density": 0.3}]},
]


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self", "cross"])
def test_every_head_has_the_pattern_of_its_mask(site):
    keep = kept("mixed_heads", 9, 7 if site == "cross" else 9, site=site, of=MIXED)
    for h, part in enumerate(MIXED[:2]):
        options = {k: v for k, v in part.items() if k != "mask"}
        alone = kept(part["mask"], 9, keep.shape[-1], site=site, **options)
        assert torch.equal(keep[h], alone[0])
    assert len({head.numpy().tobytes() for head in keep}) == HEADS


def test_equal_random_masks_of_two_heads_are_drawn_independently():
    part = {"mask": "random_sparse", "density": 0.5, "diagonal": False}
    keep = kept("mixed_heads", 40, 40, of=[part, part, {"mask": "none"}])
    assert not torch.equal(keep[0], keep[1])
    both = (keep[0] & keep[1]).double().mean().item()
    assert both == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 1600) ** 0.5)
    repeated = kept("mixed_heads", 40, 40, of=[part, {"mask": "none"}], repeat=True)
    assert torch.equal(repeated[0], repeated[2])


def test_a_part_that_draws_for_each_head_gives_a_head_its_own_draw():
    part = {"mask": "random_sparse", "density": 0.5, "per_head": True}
    keep = kept("mixed_heads", 12, 12, of=[part], repeat=True)
    assert len({head.numpy().tobytes() for head in keep}) == HEADS


def test_heads_that_read_the_input_stand_beside_heads_that_do_not():
    batch = tiny_batch()
    asked = replace(request(7, 7, 3), src_ids=batch.src, src_lengths=batch.src_lengths)
    parts = [{"mask": "document", "separator": "."}, {"mask": "window", "radius": 1}, {"mask": "none"}]
    placed = plan(placement("encoder_self", "mixed_heads", of=parts)).placed[0]
    assert placed.strategy.depends_on == {"input"} and placed.pattern_cache is None
    keep = pattern(placed, asked)
    own = pattern(plan(placement("encoder_self", "document", separator=".")).placed[0], asked)
    assert torch.equal(keep[:, 0], own[:, 0])
    assert not torch.equal(keep[0, 0], keep[1, 0])
    assert torch.equal(keep[0, 1], keep[1, 1])


def test_the_pattern_as_a_function_is_the_pattern_as_a_tensor():
    placed = plan(placement("encoder_self", "mixed_heads", of=MIXED)).placed[0]
    asked = request(8, 8)
    ctx = AttentionContext(asked, "encoder_self", 0, HEADS, placed.draws(asked.clock, asked.examples))
    by_index = placed.strategy.mask_mod(placed.options, ctx)(*ctx.indices())
    assert torch.equal(by_index.expand(2, HEADS, 8, 8), pattern(placed, asked))


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self"])
def test_the_density_of_mixed_heads_is_the_mean_over_heads(site):
    parts = [{"mask": "window", "radius": 1}, {"mask": "strided", "stride": 3, "local": 0}]
    claimed, counted = densities("mixed_heads", 8, site, of=parts, repeat=True)
    assert claimed == pytest.approx(counted, abs=1e-12)
    unknown = [{"mask": "document", "separator": "."}, parts[0]]
    built = strategy_of(site, "mixed_heads", of=unknown, repeat=True)
    options = MixedHeadsOptions.model_validate({"of": unknown, "repeat": True})
    assert built.density(options, 8, 8) is None


def test_mixed_heads_look_back_only_if_all_of_them_do():
    def causal(*parts: dict[str, Any]) -> bool:
        options = MixedHeadsOptions.model_validate({"of": list(parts)})
        return MASKS.lookup("mixed_heads").is_causal(options)

    assert causal({"mask": "causal"}, {"mask": "window", "left": 1, "right": 0})
    assert not causal({"mask": "causal"}, {"mask": "none"})


def test_models_of_any_number_of_heads_take_the_example():
    for n in (3, 4, 7):
        for mask in ("mixed_heads", "positional_heads"):
            cls = MASKS.lookup(mask)
            assert len(cls(cls.example, sizes(n), "encoder_self").assigned) == n
