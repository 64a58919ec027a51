"""What is outputs of attention, against loops over every sentence by itself; and that looking changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from helpers import tiny_batch
from looking import EVAL, LENGTHS, alone, model, placed, split

from maskbench.data.batches import collate
from maskbench.data.corpus import Corpus, Ragged
from maskbench.data.vocabulary import EOS, WordVocabulary
from maskbench.decoding import greedy_search
from maskbench.masks.context import SourceBatch
from maskbench.metrics.alignment import NOWHERE, best_layer_aer
from maskbench.metrics.attention import attention_entropy, distractor_mass
from maskbench.metrics.attention_statistics import (
    collect_attention,
    watch_attention,
)
from maskbench.metrics.measure import measure
from maskbench.metrics.model_outputs import ModelOutputs

ARMS = {
    "no masks": (),
    "windows": (
        placed("encoder_self", "window", radius=1, heads=[0]),
        placed("decoder_self", "window", left=0),
    ),
    "empty rows": (placed("cross", "window", radius=1), placed("encoder_self", "oracle")),
    "factors": (placed("cross", "attention_dropout", rate=0.4), placed("encoder_self", "attention_dropout")),
    "signed": (placed("cross", "linear_attention"), placed("encoder_self", "inverted")),
    "leaks": (placed("encoder_self", "window", radius=1, apply="multiply_scores", unsafe=True),),
    "after the softmax": (placed("cross", "diagonal", width=1, apply="raw", unsafe=True),),
    "moved": (placed("encoder_input", "tokens", ratio=0.4, replace="delete"),),
    "padded": (placed("encoder_input", "fixed_length", length=6, pad="visible"),),
}


def by_hand(built, data):
    """All three metrics from the weights of every sentence alone, one number after another."""
    entropies, masses = {}, {}
    pointed = {}
    for row in range(len(data)):
        batch = collate(data, np.array([row]))
        masked, source = built.read(batch, EVAL)
        n_src, n_tgt = int(source.lengths), len(data.tgt[row])
        junk = source.annotations.junk[0].tolist()
        for (site, layer), (weights, keep) in alone(built, data, row).items():
            queries = n_src if site == "encoder_self" else n_tgt
            heads = len(weights)
            for h, i in product(range(heads), range(queries)):
                line, kept = [abs(w) for w in weights[h, i].tolist()], keep[h, i].tolist()
                total = sum(line)
                n_keys = sum(k or w > 0 for k, w in zip(kept, line, strict=True))
                if total and n_keys > 1:
                    parts = [w / total for w in line if w > 0]
                    spread = sum(p * math.log(1 / p) for p in parts) / math.log(n_keys)
                    entropies.setdefault(site, []).append(spread)
                if total and (site == "cross" or (site == "encoder_self" and not junk[i])):
                    on = sum(w for j, w in enumerate(line) if junk[j])
                    masses.setdefault(site, []).append(on / total)
            if site != "cross":
                continue
            for t in range(n_tgt):
                votes = [0.0] * n_src
                for h in range(heads):
                    total = float(weights[h, t].abs().sum()) or 1.0
                    for j in range(n_src):
                        votes[j] += abs(float(weights[h, t, j])) / total
                words = [j for j in range(n_src) if source.ids[0, j] != EOS and votes[j] > 0]
                best = max(words, key=lambda j: votes[j], default=NOWHERE)
                if best != NOWHERE and masked.origin is not None:
                    best = int(masked.origin[0, best])
                pointed[layer, row, t] = best
    return entropies, masses, pointed


def error_rate(data, pointed, layer):
    """Och and Ney's formula, counted."""
    n_found = n_gold = n_both = 0
    for row in range(len(data)):
        n_src, n_tgt = len(data.src[row]), len(data.tgt[row])
        gold = [divmod(int(link), n_src) for link in data.links[row]][:-1]
        n_gold += len(gold)
        for t in range(n_tgt - 1):
            s = pointed[layer, row, t]
            n_found += s != NOWHERE
            n_both += (t, s) in gold
    return 1 - 2 * n_both / (n_found + n_gold)


def averaged(by_site):
    means = {f"site:{site}": sum(values) / len(values) for site, values in by_site.items()}
    return {"": sum(means.values()) / len(means), **means}


@pytest.mark.parametrize("arm", ARMS)
def test_every_metric_is_the_one_counted_sentence_by_sentence(arm):
    built, data = model(*ARMS[arm]), split(0, 1, 3, 5, 6)
    entropies, masses, pointed = by_hand(built, data)
    rates = [error_rate(data, pointed, layer) for layer in range(2)]
    # A mask applied in a way that leaks leaves weight on padding, so there a batch is not its sentences.
    for batch_tokens in (1,) if built.masks.is_unsafe else (1, 30, 4096):
        outputs = collect_attention(built.train(), data, EVAL, batch_tokens)
        assert attention_entropy(outputs) == pytest.approx(averaged(entropies), abs=1e-10)
        assert distractor_mass(outputs) == pytest.approx(averaged(masses), abs=1e-10)
        flat = [pointed[key] for key in sorted(pointed)]
        assert outputs.aligned.flatten().tolist() == flat
        assert best_layer_aer(outputs, data) == pytest.approx(min(rates), abs=1e-12)
    assert built.training
    assert len(set(rates)) == 2 and all(0 < rate <= 1 for rate in rates)


def test_sites_without_a_choice_are_left_out():
    narrow = [placed("encoder_self", "window", radius=0), placed("decoder_self", "window", left=0)]
    found = attention_entropy(collect_attention(model(*narrow), split(), EVAL))
    assert set(found) == {"", "site:cross"} and found[""] == found["site:cross"]
    lone = placed("cross", "window", radius=0)
    assert attention_entropy(collect_attention(model(*narrow, lone), split(), EVAL)) == {}


def test_a_model_whose_queries_are_all_zero_attends_evenly_and_to_the_first_word():
    built, data = model(), split()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "qkv" in name or name.endswith("cross_attention.query.weight"):
                parameter.zero_()
    outputs = collect_attention(built, data, EVAL)
    assert attention_entropy(outputs) == pytest.approx(
        dict.fromkeys(attention_entropy(outputs), 1.0), abs=1e-12
    )
    assert len(attention_entropy(outputs)) == 4
    junk = [sum(row) / len(row) for row in data.junk.rows()]
    queries = [n - sum(row) for row, (n, _) in zip(data.junk.rows(), LENGTHS, strict=True)]
    targets = [n for _, n in LENGTHS]
    expected = [
        sum(share * n for share, n in zip(junk, counts, strict=True)) / sum(counts)
        for counts in (queries, targets)
    ]
    found = distractor_mass(outputs)
    assert [found["site:encoder_self"], found["site:cross"]] == pytest.approx(expected, abs=1e-12)
    assert found[""] == pytest.approx(sum(expected) / 2, abs=1e-12)
    assert not outputs.aligned.any()


def test_what_hides_junk_leaves_no_mass_on_it():
    hidden = collect_attention(
        model(placed("encoder_self", "oracle"), placed("cross", "oracle")), split(), EVAL
    )
    assert distractor_mass(hidden) == {"": 0.0, "site:encoder_self": 0.0, "site:cross": 0.0}
    assert distractor_mass(collect_attention(model(), split(6), EVAL))[""] == 0.0
    assert distractor_mass(collect_attention(model(), split(), EVAL))[""] > 0.1


def test_a_gold_alignment_made_of_where_the_model_looks_has_no_errors_in_that_layer():
    built, data = model(), split()
    for layer in collect_attention(built, data, EVAL).aligned:
        places = np.split(layer, data.tgt.offsets[1:-1])
        rows = [
            [t * n + int(s) for t, s in enumerate(found[:-1])]
            for n, found in zip(data.src.lengths.tolist(), places, strict=True)
        ]
        gold = replace(data, links=Ragged.from_rows(rows))
        assert best_layer_aer(collect_attention(built, gold, EVAL), gold) == 0.0


def test_looking_changes_no_bit_and_ends():
    built, batch = model(placed("cross", "window", radius=2), d_type=torch.float32).eval(), tiny_batch()
    with torch.no_grad():
        plain, outputs = built(batch, EVAL), []
        with watch_attention(
            built, lambda site, layer, weights, keep: outputs.append((site, layer, weights.shape[2:]))
        ):
            assert torch.equal(built(batch, EVAL), plain)
        assert outputs == [
            ("encoder_self", 0, (7, 7)),
            *((site, i, (8, n)) for i in range(2) for site, n in (("decoder_self", 8), ("cross", 7))),
        ]
        assert torch.equal(built(batch, EVAL), plain) and len(outputs) == 5
    said = greedy_search(built, SourceBatch.of(batch), EVAL, max_length_ratio=1.0)
    with watch_attention(built, lambda *_: None):
        assert greedy_search(built, SourceBatch.of(batch), EVAL, max_length_ratio=1.0) == said


def test_training_gives_the_same_gradients_while_somebody_looks():
    gradients = []
    for watcher in (None, lambda *_: None):
        built = model().train()
        built.watcher = watcher
        torch.manual_seed(3)
        built(tiny_batch(), EVAL).square().sum().backward()
        gradients.append([p.grad.clone() for p in built.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_what_is_shown_is_not_dropped_and_rows_with_nothing_to_see_are_zero():
    sums = {}
    built = model(placed("cross", "window", radius=1)).train()
    with watch_attention(
        built, lambda site, layer, weights, keep: sums.update({(site, layer): weights.sum(-1)})
    ):
        built(tiny_batch(), EVAL)
    for (site, _), found in sums.items():
        # A query reads nothing where even the last source token is more than one position before it.
        empty = torch.zeros_like(found, dtype=torch.bool)
        if site == "cross":
            lengths = tiny_batch().src_lengths
            empty = (torch.arange(8) > lengths[:, None])[:, None].expand(found.shape)
        torch.testing.assert_close(found, (~empty).double())
    assert len(sums) == 5


def test_nobody_looks_any_more_after_an_error():
    built = model()

    def fails(*_):
        raise RuntimeError("outputs enough")

    outer = lambda *_: None  # noqa: E731
    with watch_attention(built, outer):
        with pytest.raises(RuntimeError, match="outputs enough"), watch_attention(built, fails):
            built(tiny_batch(), EVAL)
        assert built.watcher is outer
    assert built.watcher is None


def test_one_pass_serves_all_three_metrics(monkeypatch):
    data = split()
    corpus = Corpus("tiny", WordVocabulary([f"w{i}" for i in range(5, 23)]), {"test": data}, "0" * 64, 19)
    built = model()
    outputs, passes = ModelOutputs(built, corpus, EVAL), []
    hidden = built.hidden
    monkeypatch.setattr(built, "hidden", lambda *given: passes.append(1) or hidden(*given))
    found = {name: measure(outputs, "test", name) for name in ("attention_entropy", "distractor_mass", "aer")}
    assert len(passes) == 1
    once = collect_attention(model(), data, EVAL)
    assert found == {
        "attention_entropy": attention_entropy(once),
        "distractor_mass": distractor_mass(once),
        "aer": {"": best_layer_aer(once, data)},
    }
    assert built.watcher is None
