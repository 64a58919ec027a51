"""curated-transformers: models composed of the same blocks, with their key-value cache and torch's attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import LONGEST, WORDS
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class CausalSubject(ModelSubject):
    """A causal language model, called with ids, an `AttentionMask` of real tokens, and positions that leave padding out."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores of a whole sentence."""
        return self._call(inputs, 0, None)[0]

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of new tokens after a cache."""
        return self._call(inputs, start, state)

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the same scores from torch's own attention."""
        from curated_transformers.layers import enable_torch_sdp

        def with_torch(inputs: Inputs) -> Tensor:
            with enable_torch_sdp():
                return self._call(inputs, 0, None)[0]

        return {"enable_torch_sdp": with_torch}

    def _call(self, inputs: Inputs, start: int, cache: Any) -> tuple[Tensor, Any]:
        from curated_transformers.layers import AttentionMask

        tokens = inputs.target
        positions = (tokens.real.long().cumsum(1) - 1).clamp(min=0)[:, start:].contiguous()
        found = self.module(
            tokens.ids[:, start:],
            AttentionMask(tokens.real),
            cache=cache,
            positions=positions,
            store_cache=True,
        )
        return found.logits, found.cache


class EncoderSubject(ModelSubject):
    """An encoder; its last layer's vectors are the scores."""

    kind = "encoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the vectors of the last layer."""
        from curated_transformers.layers import AttentionMask

        found: Tensor = self.module(
            inputs.target.ids, AttentionMask(inputs.target.real)
        ).last_hidden_layer_state
        return found

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the same vectors from torch's own attention."""
        from curated_transformers.layers import enable_torch_sdp

        def with_torch(inputs: Inputs) -> Tensor:
            with enable_torch_sdp():
                return self.logits(inputs)

        return {"enable_torch_sdp": with_torch}


def causal(name: str, heads: str = "n_query_heads", **options: Any) -> Build:
    """Return the build of a causal language model by the beginning of its classes' names."""

    def build() -> ModelSubject:
        from curated_transformers import models

        sizes = {
            "hidden_width": 32,
            "n_hidden_layers": 2,
            heads: 4,
            "n_pieces": WORDS,
            "dtype": torch.float32,
        }
        config = getattr(models, f"{name}Config")(**{**sizes, **options})
        model = getattr(models, f"{name}CausalLM")(config)
        return CausalSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST, left_padding=True)

    return build


def encoder(name: str, config_name: str = "", **options: Any) -> Build:
    """Return the build of an encoder."""

    def build() -> ModelSubject:
        from curated_transformers import models

        sizes = {"hidden_width": 32, "intermediate_width": 64, "n_hidden_layers": 2, "n_attention_heads": 4}
        sizes = {**sizes, "n_pieces": WORDS, "embedding_width": 32, "dtype": torch.float32}
        config = getattr(models, f"{config_name or name}Config")(**{**sizes, **options})
        model = getattr(models, f"{name}Encoder")(config)
        return EncoderSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST)

    return build


PACKAGE = Package(
    "curated-transformers",
    "2.0.1",
    "https://curated-transformers.readthedocs.io/",
    entries=(
        Entry("LlamaCausalLM", "package", causal("Llama", n_key_value_heads=2, intermediate_width=64)),
        Entry(
            "GPTNeoXCausalLM", "package", causal("GPTNeoX", heads="n_attention_heads", intermediate_width=64)
        ),
        Entry("FalconCausalLM", "package", causal("Falcon")),
        Entry(
            "FalconCausalLM, new decoder architecture",
            "package",
            causal("Falcon", new_decoder_architecture=True, n_key_value_heads=2),
        ),
        Entry("FalconCausalLM, ALiBi", "package", causal("Falcon", use_alibi=True)),
        Entry("MPTCausalLM", "package", causal("MPT", heads="n_attention_heads")),
        Entry("BERTEncoder", "package", encoder("BERT")),
        Entry("ALBERTEncoder", "package", encoder("ALBERT", n_layers_per_group=1, n_hidden_groups=1)),
        Entry("RoBERTaEncoder", "package", encoder("RoBERTa", padding_id=1)),
    ),
)
