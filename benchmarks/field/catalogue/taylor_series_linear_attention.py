"""taylor-series-linear-attention: linear attention through the second-order Taylor series of exp."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import MaskedDecoder, MaskedEncoder, WithWords
from maskbench.model_audit.subject import ModelSubject


def attention(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `TaylorSeriesLinearAttn` between a table of words and a head."""

    def build() -> ModelSubject:
        from taylor_series_linear_attention import TaylorSeriesLinearAttn

        layers = TaylorSeriesLinearAttn(dim=32, dim_head=8, heads=4, causal=causal, **options)
        return (MaskedDecoder if causal else MaskedEncoder)(WithWords(layers, 32))

    return build


PACKAGE = Package(
    "taylor-series-linear-attention",
    "0.2.0",
    "https://github.com/lucidrains/taylor-series-linear-attention",
    entries=(Entry("TaylorSeriesLinearAttn", "package", attention(causal=False)),),
    not_tried=(("causal attention", "needs pytorch-fast-transformers, which cannot be installed"),),
)
