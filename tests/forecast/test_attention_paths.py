"""What `plan` says of the attention of long sentences."""

from __future__ import annotations

from pathlib import Path

from maskbench.cli.views.plan_sentences import attention_sentences
from maskbench.config.schema.experiment import RunConfig
from maskbench.data import load_corpus
from maskbench.forecast.attention_paths import attention_entries, forecast_paths

N = 301
"""Tokens of every sentence, end mark included."""


def run_config(*masks: dict[str, object], **model: object) -> RunConfig:
    sizes = {"d_model": 8, "n_heads": 2, "d_ff": 8, "encoder_layers": 2, "decoder_layers": 1}
    lengths = {"min_length": N - 1, "max_length": N - 1}
    corpus = {"name": "copy", "options": {"pairs": 3, "valid": 1, "test": 1, **lengths}}
    return RunConfig.model_validate({"corpus": corpus, "model": sizes | model, "masks": list(masks)})


def test_every_long_site_has_its_path_and_its_reason(tmp_path: Path) -> None:
    window = {"site": "encoder_self", "mask": "window", "options": {"radius": 4}, "layers": [0]}
    learned = {"site": "decoder_self", "mask": "t5_bias"}
    config = run_config(window, learned)
    corpus = load_corpus(config.corpus, tmp_path)
    ways = forecast_paths(config, corpus, 1)
    assert [(way.site, way.layers, way.q_len, way.kv_len, way.path) for way in ways] == [
        ("encoder_self", (0,), N, N, "blocked"),
        ("encoder_self", (1,), N, N, "blocked"),
        ("decoder_self", (0,), N, N, "dense"),
        ("cross", (0,), N, N, "blocked"),
    ]
    # Groups of 64 queries reach 4 keys beyond either end; the first and the last group have one end less.
    pairs = 64 * 68 + 3 * 64 * 72 + (N - 256) * (N - 256 + 4)
    assert ways[0].share == round(pairs / N**2, 4) and ways[1].share == 1.0 and ways[2].share is None
    assert ways[2].reason is not None and "t5_bias learns" in ways[2].reason
    assert attention_sentences({(None, "near"): ways, (None, "short"): []}) == [
        f"near: encoder_self (layer 0) of {N} tokens in blocks, {pairs / N**2:.1%} of the pairs; encoder_self (layer 1) of"
        f" {N} tokens in blocks, 100.0% of the pairs; decoder_self of {N} tokens as one matrix, because t5_bias learns its"
        f" scores or reads them from the content; cross of {N} tokens in blocks, 100.0% of the pairs"
    ]
    entries = attention_entries({("p", "near"): ways})
    assert entries[0] == {
        "panel": "p", "arm": "near", "site": "encoder_self", "layers": [0], "q_len": N, "kv_len": N,
        "path": "blocked", "share": ways[0].share, "reason": None,
    }  # fmt: skip


def test_without_dropout_the_fused_kernel_computes_what_has_no_structure(tmp_path: Path) -> None:
    config = run_config(dropout=0.0)
    corpus = load_corpus(config.corpus, tmp_path)
    assert [way.path for way in forecast_paths(config, corpus, 1)] == ["fused"] * 3
    assert forecast_paths(run_config(attention="dense"), corpus, 1) == []
