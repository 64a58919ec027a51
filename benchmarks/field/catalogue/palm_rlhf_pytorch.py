"""palm-rlhf-pytorch: PaLM, with attention and feed-forward side by side."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def palm(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `PaLM`."""

    def build() -> ModelSubject:
        from palm_rlhf_pytorch import PaLM

        model = PaLM(num_tokens=WORDS, dim=32, depth=2, heads=4, dim_head=8, causal=causal, **options)
        return (MaskedDecoder if causal else MaskedEncoder)(model, padding=())

    return build


PACKAGE = Package(
    "palm-rlhf-pytorch",
    "0.8.0",
    "https://github.com/lucidrains/PaLM-rlhf-pytorch",
    entries=(
        Entry("PaLM", "package", palm()),
        Entry("PaLM, qk_rmsnorm", "package", palm(qk_rmsnorm=True)),
        Entry("PaLM, flash attention", "package", palm(flash_attn=True)),
        Entry("PaLM, causal=False", "package", palm(causal=False)),
    ),
)
