"""The reference run of the speed figures: Multi30k, German to English, 3+3 layers of width 256, 7.6 M parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskbench.config.schema.experiment import (
    CorpusConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
)
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus

SPLIT = "test_2016_flickr"
BATCH_TOKENS = 4096
MODEL = ModelConfig(d_model=256, n_heads=8, encoder_layers=3, decoder_layers=3, d_ff=1024, dropout=0.15)


def reference_config(multi30k: str | None, precision: str, threads: int = 1) -> RunConfig:
    """Return the settings of the reference run.

    Args:
        multi30k: a folder with the text; None: downloaded when it is first used.
        precision: `float32` or `bfloat16`.
    """
    options: dict[str, Any] = {
        "src": "de",
        "tgt": "en",
        "test": [SPLIT],
        "tokenizer": "bpe",
        "vocab_size": 8000,
        "lowercase": True,
    }
    corpus = CorpusConfig(name="multi30k", options=options | ({"path": multi30k} if multi30k else {}))
    train = TrainConfig.model_validate(
        {"steps": 10_000, "batch_tokens": BATCH_TOKENS, "precision": precision, "threads": threads}
    )
    return RunConfig(corpus=corpus, model=MODEL, train=train, masks=())


def load(config: RunConfig, cache: str) -> Corpus:
    """Return the corpus of a run, kept in `cache`."""
    return load_corpus(config.corpus, Path(cache))
