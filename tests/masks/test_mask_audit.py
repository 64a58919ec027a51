"""The mask proof: how many patterns there were, how much was hidden, and that a resumed run knows the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import VOCAB, placement, plan, sizes, tiny_batch, tiny_model

from maskbench.config.schema.experiment import PlacementConfig
from maskbench.data.batches import Batch
from maskbench.data.vocabulary import EOS, N_SPECIAL
from maskbench.masks.clock import Clock
from maskbench.masks.corpus_statistics import edges_of_starts
from maskbench.masks.mask_audit import MaskAudit

EXAMPLES, WORDS = 400, 12


def corpus_batch() -> Batch:
    """Every example of a small corpus at once: twelve words and the end mark on both sides."""
    generator = torch.Generator().manual_seed(2)
    side = torch.randint(N_SPECIAL, 23, (EXAMPLES, WORDS + 1), generator=generator)
    side[:, -1] = EOS
    lengths = torch.full((EXAMPLES,), WORDS + 1)
    return Batch(torch.arange(EXAMPLES), side, lengths, side, side, lengths)


def epochs(count: int) -> list[tuple[Batch, Clock]]:
    return [(corpus_batch(), Clock("train", e, count, epoch=e)) for e in range(count)]


def proof(where: PlacementConfig, visits: int) -> dict[str, Any]:
    record = MaskAudit(plan(where))
    record.replay(epochs(visits))
    (entry,) = record.entries([])
    return entry


@pytest.mark.parametrize(
    ("refresh", "visits", "draws"),
    [("static", 3, 1), ({"per": "example", "variants": 2}, 3, 2), ("dynamic", 3, 3)],
)
def test_a_pattern_of_each_example_is_counted_example_by_example(refresh, visits, draws):
    entry = proof(placement("encoder_self", "random_sparse", refresh, density=0.5), visits)
    assert entry["draws"] == entry["distinct"] == EXAMPLES * draws


@pytest.mark.parametrize(
    ("refresh", "draws"), [("static", EXAMPLES), ("dynamic", 3 * EXAMPLES), ({"per": "epoch"}, 3)]
)
def test_what_has_no_picture_counts_its_draws(refresh, draws):
    entry = proof(placement("cross", "attention_dropout", refresh, rate=0.2), 3)
    assert entry["draws"] == entry["distinct"]
    # Two decoder layers draw from one key, at positions of their own.
    assert entry["distinct"] == draws


def test_patterns_for_the_run_and_for_each_example_have_other_fingerprints():
    wheres = [
        placement("cross", "random_sparse", per, density=0.5) for per in ({"per": "run"}, "static", "dynamic")
    ]
    assert len({proof(where, 2)["fingerprint"] for where in wheres}) == 3


@pytest.mark.parametrize("site", ["encoder_input", "loss"])
@pytest.mark.parametrize(
    ("refresh", "visits", "draws", "most"),
    [("static", 5, 1, 1), ({"per": "example", "variants": 3}, 5, 3, 3), ("dynamic", 5, 5, 5)],
)
def test_an_example_meets_as_many_draws_as_its_refresh_allows(site, refresh, visits, draws, most):
    mask = "tokens" if site == "encoder_input" else "loss_tokens"
    entry = proof(placement(site, mask, refresh, ratio=0.4), visits)
    assert entry["visits"] == EXAMPLES * visits
    assert entry["draws"] == EXAMPLES * draws
    assert entry["most_patterns_of_one_example"] == most
    assert EXAMPLES * (draws - 0.2) < entry["distinct"] <= EXAMPLES * draws


def test_a_static_mask_shows_each_example_exactly_one_pattern():
    entry = proof(placement("encoder_input", "tokens", "static", ratio=0.15), 6)
    assert entry["draws"] == entry["distinct"] == EXAMPLES


@pytest.mark.parametrize("variants", [1, 2, 10, "unlimited"])
def test_coverage_grows_as_one_minus_the_chance_of_never_being_picked(variants):
    ratio, visits = 0.15, 6
    entry = proof(
        placement("encoder_input", "tokens", {"per": "example", "variants": variants}, ratio=ratio), visits
    )
    draws = visits if variants == "unlimited" else min(visits, variants)
    expected = 1 - (1 - ratio) ** draws
    # Positions of a sentence share its count, which lowers the variance: the binomial error bounds it.
    assert entry["coverage"] == pytest.approx(
        expected, abs=4 * (expected * (1 - expected) / (EXAMPLES * WORDS)) ** 0.5
    )


def test_the_realised_ratio_is_the_asked_one_on_average():
    entry = proof(placement("encoder_input", "tokens", ratio=0.15), 4)
    assert entry["realised_ratio"] == pytest.approx(0.15, abs=0.005)
    assert entry["density"] is None
    # A quarter of twelve words is three of them, in every sentence.
    quarter = proof(placement("encoder_input", "tokens", ratio=0.25), 2)
    assert quarter["realised_ratio"] == 0.25


def test_the_spread_over_sentences_is_told_beside_the_mean():
    # A quarter of twelve words is three of them, in every sentence.
    entry = proof(placement("encoder_input", "tokens", ratio=0.25), 2)
    even = dict.fromkeys(("min", "p5", "median", "p95", "max"), 0.25)
    assert entry["ratio_by_sentence"] == {**even, "untouched": 0.0, "whole": 0.0}
    # One word of twelve tokens is hidden whole or not at all, and the mean looks as it should.
    nothing_leads = edges_of_starts(torch.zeros(VOCAB, dtype=torch.bool))
    one_word = replace(sizes(), facts=replace(sizes().facts, source_words=nothing_leads))
    record = MaskAudit(plan(placement("encoder_input", "tokens", ratio=0.25, unit="word"), of=one_word))
    record.replay(epochs(4))
    (entry,) = record.entries([])
    found = entry["ratio_by_sentence"]
    assert entry["realised_ratio"] == pytest.approx(0.25, abs=0.05)
    assert (found["min"], found["median"], found["p95"], found["max"]) == (0.0, 0.0, 1.0, 1.0)
    assert found["whole"] == pytest.approx(entry["realised_ratio"])
    assert found["untouched"] + found["whole"] == pytest.approx(1.0)


def test_quantiles_of_the_spread_count_sentences_with_anything_to_pick():
    lengths = torch.tensor([9, 6, 2, 1])
    ids = torch.full((4, 9), 7)
    for row, length in enumerate(lengths.tolist()):
        ids[row, length - 1], ids[row, length:] = EOS, 0
    # Sentences of 8, 5, 1 and no words.
    where = placement("encoder_input", "tokens", ratio=0.4)
    clock = Clock("train", 0, 1, epoch=0)
    record = MaskAudit(plan(where))
    record.replay([(Batch(torch.arange(4), ids, lengths, ids, ids, lengths), clock)])
    picked = plan(where).train().corrupt("encoder_input", ids, lengths, torch.arange(4), clock).picked
    assert picked is not None
    shares = [int(row.sum()) / eligible for row, eligible in zip(picked[:3], (8, 5, 1), strict=True)]
    (entry,) = record.entries([])
    found = entry["ratio_by_sentence"]
    assert [found[name] for name in ("min", "median", "max")] == sorted(shares)
    assert (found["p5"], found["p95"]) == (min(shares), max(shares))
    assert found["whole"] == shares.count(1.0) / 3 and found["untouched"] == shares.count(0.0) / 3


def test_arms_with_other_masks_have_other_fingerprints_and_equal_ones_the_same():
    wheres = [
        placement("encoder_input", "tokens", "static", ratio=0.2),
        placement("encoder_input", "tokens", ratio=0.2),
    ]
    prints = [proof(where, 2)["fingerprint"] for where in (*wheres, wheres[0])]
    assert prints[0] != prints[1]
    assert prints[0] == prints[2]


def test_a_resumed_run_ends_with_the_same_proof():
    where = (
        placement("encoder_input", "tokens", ratio=0.3),
        placement("decoder_self", "random_sparse", {"per": "step"}, density=0.5),
    )
    whole, resumed = (tiny_model(plan(*where)).train() for _ in range(2))
    batch, clocks = tiny_batch(), [Clock("train", s, 4, epoch=s // 2) for s in range(4)]
    entries = []
    for model, replayed in ((whole, 0), (resumed, 2)):
        record = MaskAudit(model.masks)
        record.replay((batch, clock) for clock in clocks[:replayed])
        for clock in clocks[replayed:]:
            record.begin_step(batch, measure=False)
            model(batch, clock)
        entries.append(record.entries([]))
    assert entries[0] == entries[1]
    assert entries[0][1]["draws"] == entries[0][1]["distinct"] == 4


def test_evaluation_leaves_no_trace():
    model = tiny_model(plan(placement("encoder_self", "window", radius=1))).eval()
    record = MaskAudit(model.masks)
    record.begin_step(tiny_batch(), measure=True)
    model(tiny_batch(), Clock.evaluation(1, 1))
    assert record.scalars() == {} and record.entries([])[0]["distinct"] == 0


def test_the_density_counts_real_queries_and_legal_pairs_only():
    model, batch = tiny_model(plan(placement("encoder_self", "window", radius=1))).train(), tiny_batch()
    record = MaskAudit(model.masks)
    record.begin_step(batch, measure=True)
    model(batch, Clock("train", 0, 1))
    lengths = batch.src_lengths.tolist()
    expected = sum(3 * n - 2 for n in lengths) / sum(n * n for n in lengths)
    assert record.scalars() == {"mask/density/encoder_self-window-0": pytest.approx(expected)}


def test_the_density_of_topk_is_what_its_rows_may_keep():
    model, batch = tiny_model(plan(placement("decoder_self", "topk", k=2))).train(), tiny_batch()
    record = MaskAudit(model.masks)
    record.begin_step(batch, measure=True)
    model(batch, Clock("train", 0, 1))
    lengths = batch.tgt_lengths.tolist()
    expected = sum(2 * n - 1 for n in lengths) / sum(n * (n + 1) / 2 for n in lengths)
    assert record.scalars() == {"mask/density/decoder_self-topk-0": pytest.approx(expected)}


def test_the_logged_densities_are_averaged():
    record = MaskAudit(plan(placement("cross", "window", radius=1)))
    tag = "mask/density/cross-window-0"
    assert record.entries([{"step": 1, tag: 0.25}, {"step": 2}, {"step": 3, tag: 0.75}])[0]["density"] == 0.5


def test_only_a_mask_that_reads_annotations_is_an_oracle():
    told = sizes()
    told = replace(told, facts=replace(told.facts, annotations=frozenset({"junk", "links"})))
    arm = plan(
        placement("cross", "oracle"),
        placement("cross", "window", radius=1),
        placement("cross", "any", of=[{"mask": "oracle"}]),
        placement("cross", "any", of=[{"mask": "window", "radius": 1}]),
        of=told,
    )
    entries = MaskAudit(arm).entries([])
    assert [entry["oracle"] for entry in entries] == [True, False, True, False]


def test_a_fixed_pattern_has_one_fingerprint_and_a_scheduled_one_as_many_as_stages():
    record = MaskAudit(plan(placement("cross", "window", radius={"step": [[0, 1], [0.5, 2]]})))
    record.replay(epochs(4))
    entry = record.entries([])[0]
    assert entry["draws"] == 0 and entry["distinct"] == 2


@pytest.mark.parametrize(
    ("site", "mask", "options"),
    [
        ("encoder_input", "feature_dropout", {"ratio": 0.3}),
        ("logits", "drop_vocabulary", {"ratio": 0.2}),
    ],
)
def test_what_hides_no_pairs_and_picks_no_words_counts_its_draws_too(site, mask, options):
    entry = proof(placement(site, mask, "dynamic", **options), 3)
    assert entry["draws"] == entry["distinct"] == 3 * EXAMPLES


def test_what_draws_nothing_reports_no_draws():
    entry = proof(placement("loss", "loss_tokens", choose="prefix", first=2), 3)
    assert (entry["draws"], entry["visits"]) == (0, 3 * EXAMPLES)


def test_two_views_of_an_example_are_two_draws():
    record = MaskAudit(plan(placement("encoder_input", "tokens", "static", ratio=0.3)))
    batch, clock = corpus_batch(), Clock("train", 0, 9)
    record.replay([(batch, clock), (batch, replace(clock, view=1))])
    (entry,) = record.entries([])
    assert entry["draws"] == 2 * EXAMPLES


def test_heads_a_normaliser_leaves_alone_count_as_they_are():
    where = placement("cross", "topk", k=1)
    some = where.model_copy(update={"heads": (1,)})
    model = tiny_model(plan(some)).train()
    record, batch = MaskAudit(model.masks), tiny_batch()
    record.begin_step(batch, measure=True)
    model(batch, Clock("train", 0, 9))
    # One of three heads keeps one of each source's 7, 4 and 6 keys; targets have 5, 8 and 3 words.
    kept = sum(rows * (2 * keys + 1) for rows, keys in zip((5, 8, 3), (7, 4, 6), strict=True))
    seen = sum(rows * 3 * keys for rows, keys in zip((5, 8, 3), (7, 4, 6), strict=True))
    assert record.scalars()["mask/density/cross-topk-0"] == pytest.approx(kept / seen)


@pytest.mark.parametrize("refresh", ["static", {"per": "example", "variants": 2}, "dynamic"])
@pytest.mark.parametrize(("site", "mask"), [("encoder_input", "tokens"), ("encoder_self", "random_sparse")])
def test_beyond_its_bound_the_proof_is_estimated_and_says_so(site, mask, refresh, monkeypatch):
    options = {"ratio": 0.4} if mask == "tokens" else {"density": 0.5}
    where = placement(site, mask, refresh, **options)
    exact = proof(where, 3)
    for module in ("unit_sample", "mask_audit"):
        monkeypatch.setattr(f"maskbench.masks.{module}.LARGEST", 250)
    found = proof(where, 3)
    assert "sample" not in exact and 0 < found["sample"]["kept"] <= 250
    assert found["sample"]["share"] in (0.5, 0.25, 0.125)
    # Every example has as many draws as any other, so the estimate has no error.
    assert found["draws"] == exact["draws"]
    assert found["distinct"] == pytest.approx(exact["distinct"], rel=0.02)
    assert found["fingerprint"] != exact["fingerprint"]
    if mask == "tokens":
        same = ("visits", "realised_ratio", "ratio_by_sentence", "most_patterns_of_one_example")
        assert [found[key] for key in same] == [exact[key] for key in same]
        assert found["coverage"] == pytest.approx(exact["coverage"], abs=0.05)


@pytest.mark.parametrize("bound", [1_000, 40])
def test_a_pattern_that_all_share_is_counted_step_by_step(bound, monkeypatch):
    for module in ("unit_sample", "mask_audit"):
        monkeypatch.setattr(f"maskbench.masks.{module}.LARGEST", bound)
    record = MaskAudit(plan(placement("cross", "random_sparse", {"per": "step"}, density=0.5)))
    record.replay((tiny_batch(), Clock("train", step, 300)) for step in range(300))
    (entry,) = record.entries([])
    for key in ("draws", "distinct"):
        assert entry[key] == 300 if bound == 1_000 else abs(entry[key] / 300 - 1) < 4 / 20**0.5
    assert ("sample" in entry) == (bound == 40)
