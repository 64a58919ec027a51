"""fast-transformer-pytorch: Fastformer, an encoder of global queries and keys."""

from __future__ import annotations

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def transformer(absolute: bool = False) -> Build:
    """Return the build of a `FastTransformer`."""

    def build() -> ModelSubject:
        from fast_transformer_pytorch import FastTransformer

        model = FastTransformer(
            num_tokens=WORDS,
            dim=32,
            depth=2,
            max_seq_len=LONGEST,
            heads=4,
            dim_head=8,
            absolute_pos_emb=absolute,
        )
        return MaskedEncoder(model)

    return build


PACKAGE = Package(
    "fast-transformer-pytorch",
    "0.0.4",
    "https://github.com/lucidrains/fast-transformer-pytorch",
    entries=(Entry("FastTransformer, absolute positions", "package", transformer(absolute=True)),),
    not_tried=(
        (
            "FastTransformer, rotary",
            "raises with the rotary-embedding-torch that is installed beside it, which knows no argument `cache_key`",
        ),
    ),
)
