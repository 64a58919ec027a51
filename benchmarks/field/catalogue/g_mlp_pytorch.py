"""g-mlp-pytorch: a learned matrix over positions with a gate, in place of attention."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject

LENGTH = 16


def gmlp(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `gMLP`, which takes sentences of one length."""

    def build() -> ModelSubject:
        from g_mlp_pytorch import gMLP

        model = gMLP(num_tokens=WORDS, dim=32, depth=2, seq_len=LENGTH, causal=causal, **options)
        kind = MaskedDecoder if causal else MaskedEncoder
        return kind(model, padding=(), multiple=LENGTH, max_length=LENGTH)

    return build


PACKAGE = Package(
    "g-mlp-pytorch",
    "0.1.5",
    "https://github.com/lucidrains/g-mlp-pytorch",
    entries=(
        Entry("gMLP, causal", "package", gmlp()),
        Entry("gMLP, causal, four heads", "package", gmlp(heads=4)),
        Entry("gMLP, causal, tiny attention", "package", gmlp(attn_dim=16)),
        Entry("gMLP, causal, circulant", "package", gmlp(circulant_matrix=True)),
        Entry("gMLP, causal, shifted tokens", "package", gmlp(shift_tokens=1)),
        Entry("gMLP", "package", gmlp(causal=False)),
    ),
)
