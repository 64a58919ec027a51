"""recurrent-memory-transformer-pytorch: memory tokens read before a segment and written after it."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder
from maskbench.model_audit.subject import ModelSubject


def transformer(**options: Any) -> Build:
    """Return the build of a `RecurrentMemoryTransformer` that reads one segment."""

    def build() -> ModelSubject:
        from recurrent_memory_transformer_pytorch import RecurrentMemoryTransformer

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "num_memory_tokens": 3, "seq_len": LONGEST}
        model = RecurrentMemoryTransformer(num_tokens=WORDS, **{**sizes, **options})
        return MaskedDecoder(model, "mask")

    return build


PACKAGE = Package(
    "recurrent-memory-transformer-pytorch",
    "0.7.0",
    "https://github.com/lucidrains/recurrent-memory-transformer-pytorch",
    entries=(
        Entry("RecurrentMemoryTransformer", "package", transformer()),
        Entry("RecurrentMemoryTransformer, flash attention", "package", transformer(use_flash_attn=True)),
    ),
    not_tried=(
        (
            "RecurrentMemoryTransformer, memory_not_causal=False",
            "raises with a mask of padding (attend.py:136); not looked into",
        ),
        ("RecurrentMemoryTransformer, rotary", "float32 differs from float64 by 7e-5; why was not found out"),
    ),
)
