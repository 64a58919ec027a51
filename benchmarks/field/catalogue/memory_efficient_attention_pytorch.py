"""memory-efficient-attention-pytorch: attention computed in buckets."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def transformer(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `Transformer`."""

    def build() -> ModelSubject:
        from memory_efficient_attention_pytorch.transformer import Transformer

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8}
        model = Transformer(num_tokens=WORDS, max_seq_len=LONGEST, causal=causal, **{**sizes, **options})
        return (MaskedDecoder if causal else MaskedEncoder)(model, padding=())

    return build


PACKAGE = Package(
    "memory-efficient-attention-pytorch",
    "0.1.6",
    "https://github.com/lucidrains/memory-efficient-attention-pytorch",
    entries=(
        Entry(
            "Transformer, causal, in buckets",
            "package",
            transformer(use_flash_attn=False, memory_efficient=True, q_bucket_size=4, k_bucket_size=4),
        ),
        Entry("Transformer, causal, ff_chunks=2", "package", transformer(use_flash_attn=False, ff_chunks=2)),
    ),
    not_tried=(
        (
            "Transformer, flash attention",
            "adds 1e-10 to the sum of weights of every bucket, which moves scores of float64 by up to 1e-9 with the number of buckets; "
            "not judged",
        ),
    ),
)
