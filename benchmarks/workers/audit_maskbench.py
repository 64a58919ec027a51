"""Worker: the audit that a run makes of an arm before it trains."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from protocol import peak, reset_peak, resident, serve, timed

from maskbench.audit.gate import check_before_training
from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, ModelConfig, RunConfig, TrainConfig
from maskbench.data import load_corpus


def audit(length: int, pairs: int, threads: int) -> dict[str, Any]:
    """Audit an arm without masks on sentences of one length; return peak memory in bytes, and seconds.

    Args:
        length: of every source and target, end mark included.
    """
    torch.set_num_threads(threads)
    corpus = CorpusConfig(
        name="copy",
        options={"pairs": pairs, "min_length": length - 1, "max_length": length - 1, "valid": 2, "test": 2},
    )
    model = ModelConfig(d_model=64, n_heads=4, encoder_layers=2, decoder_layers=2, d_ff=256)
    config = RunConfig(corpus=corpus, model=model, train=TrainConfig(steps=10), masks=())
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        built = load_corpus(corpus, Path(cache))
    reset_peak()
    answer["start"] = resident()
    with timed(answer):
        check_before_training(ArmConfig(name="none", title="none", config=config), built, 0)
    answer["peak"] = peak()
    return answer


if __name__ == "__main__":
    serve(audit)
