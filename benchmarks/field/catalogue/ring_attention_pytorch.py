"""ring-attention-pytorch: attention in buckets, here in one process."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def transformer(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `RingTransformer` without a ring."""

    def build() -> ModelSubject:
        from ring_attention_pytorch import RingTransformer

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "bucket_size": 4}
        model = RingTransformer(num_tokens=WORDS, causal=causal, **{**sizes, **options})
        return (MaskedDecoder if causal else MaskedEncoder)(model, padding=() if causal else None)

    return build


PACKAGE = Package(
    "ring-attention-pytorch",
    "0.5.20",
    "https://github.com/lucidrains/ring-attention-pytorch",
    entries=(
        Entry("RingTransformer, causal, regular attention", "package", transformer(force_regular_attn=True)),
        Entry(
            "RingTransformer, regular attention",
            "package",
            transformer(causal=False, force_regular_attn=True),
        ),
    ),
    not_tried=(
        ("ring attention over several processes", "needs several devices"),
        (
            "RingTransformer without force_regular_attn",
            "adds 1e-10 to the sum of weights of every bucket, which moves scores of float64 by up to 1e-9 with the number of buckets; "
            "not judged",
        ),
    ),
)
