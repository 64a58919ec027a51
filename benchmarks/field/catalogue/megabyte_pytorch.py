"""MEGABYTE-pytorch: a global model over patches and a local one within them."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder
from maskbench.model_audit.subject import ModelSubject


def megabyte(**options: Any) -> Build:
    """Return the build of a `MEGABYTE` of two levels."""

    def build() -> ModelSubject:
        from MEGABYTE_pytorch import MEGABYTE

        model = MEGABYTE(
            num_tokens=WORDS, dim=(32, 32), depth=(1, 1), max_seq_len=(12, 4), dim_head=8, heads=4, **options
        )
        return MaskedDecoder(model, padding=(), pad=0)

    return build


PACKAGE = Package(
    "MEGABYTE-pytorch",
    "0.3.6",
    "https://github.com/lucidrains/MEGABYTE-pytorch",
    entries=(
        Entry("MEGABYTE", "package", megabyte()),
        Entry("MEGABYTE, positions", "package", megabyte(pos_emb=True)),
        Entry("MEGABYTE, flash attention", "package", megabyte(flash_attn=True)),
    ),
)
