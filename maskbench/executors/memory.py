"""How much memory a run needs, by which it is decided how many fit side by side."""

from __future__ import annotations

from maskbench.config.schema.experiment import RunConfig

_BASE_BYTES = 350_000_000
"""Of a process that has imported everything and loaded a small corpus."""


def memory_need(config: RunConfig, parameters: int, vocabulary: int) -> int:
    """Return roughly how many bytes a run needs to train; an estimate for deciding how many fit side by side.

    Weights, gradient, two moments and the copy a checkpoint makes; what the layers keep for the backward pass; and
    four arrays of the size of the logits.
    """
    model, tokens = config.model, config.train.batch_tokens
    layers = model.encoder_layers + model.decoder_layers
    kept_per_token = layers * (16 * model.d_model + 4 * model.d_ff)
    floats = 5 * parameters + tokens * kept_per_token + 4 * tokens * vocabulary
    return _BASE_BYTES + 4 * floats
