"""block-recurrent-transformer-pytorch: local attention with states that pass from block to block."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder
from maskbench.model_audit.subject import ModelSubject


def transformer(**options: Any) -> Build:
    """Return the build of a `BlockRecurrentTransformer`."""

    def build() -> ModelSubject:
        from block_recurrent_transformer_pytorch import BlockRecurrentTransformer

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "max_seq_len": 16, "block_width": 8}
        model = BlockRecurrentTransformer(num_tokens=WORDS, **{**sizes, **options})
        return MaskedDecoder(model, padding=(), max_length=16)

    return build


PACKAGE = Package(
    "block-recurrent-transformer-pytorch",
    "0.4.4",
    "https://github.com/lucidrains/block-recurrent-transformer-pytorch",
    entries=(
        Entry(
            "BlockRecurrentTransformer, recurrent layers",
            "package",
            transformer(num_state_vectors=4, recurrent_layers=(2,)),
        ),
        Entry("BlockRecurrentTransformer, no recurrent layers", "package", transformer(recurrent_layers=())),
    ),
)
