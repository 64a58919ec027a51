"""The settings of runs so small that a test can train them."""

from __future__ import annotations

from typing import Any

import maskbench.masks  # noqa: F401  registers the strategies
from maskbench.config.schema.experiment import RunConfig

STEPS = 12
TOKENS = {"site": "encoder_input", "mask": "tokens", "refresh": {"per": "example"}, "options": {"ratio": 0.3}}


def config(**changes: Any) -> RunConfig:
    """Return a run of 12 steps, validated every 4 and saved every 5, with a dynamic mask.

    Args:
        changes: keys of `train`, or `masks`, `streams`, `under`, `decode` or `evaluate`.
    """
    tops = ("masks", "streams", "under", "decode", "evaluate")
    top = {key: changes.pop(key) for key in tops if key in changes}
    train = {
        **({} if "epochs" in changes else {"steps": STEPS}),
        "batch_tokens": 96,
        "warmup_steps": 3,
        "valid_every": 4,
        "save_every": 5,
        "lr": 0.01,
    }
    return RunConfig.model_validate(
        {
            "corpus": {
                "name": "copy",
                "options": {"pairs": 60, "valid": 9, "test": 7, "symbols": 10, "max_length": 6},
            },
            "model": {"d_model": 12, "n_heads": 3, "d_ff": 20, "encoder_layers": 1, "decoder_layers": 1},
            "train": train | changes,
            "evaluate": {"splits": ["test"], "metrics": ["nll", "exact_match"]},
            "masks": [TOKENS],
            **top,
        }
    )
