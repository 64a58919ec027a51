"""Mega-pytorch: moving averages with gated attention."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def mega(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `Mega`, which takes no mask."""

    def build() -> ModelSubject:
        from mega_pytorch import Mega

        sizes = {"dim": 32, "depth": 2, "ema_heads": 4, "attn_dim_qk": 16, "attn_dim_value": 32}
        model = Mega(num_tokens=WORDS, causal=causal, **{**sizes, **options})
        return (MaskedDecoder if causal else MaskedEncoder)(model, padding=())

    return build


PACKAGE = Package(
    "Mega-pytorch",
    "0.1.0",
    "https://github.com/lucidrains/Mega-pytorch",
    entries=(
        Entry("Mega, causal", "package", mega(), limits="no mask of padding (README)"),
        Entry("Mega, causal, laplacian attention", "package", mega(laplacian_attn_fn=True)),
        Entry("Mega", "package", mega(causal=False), limits="no mask of padding (README)"),
    ),
    judgements=(
        Judgement(
            "defect",
            "Mega-pytorch: the Laplacian attention is scaled by the number of all tokens, later ones included",
            ("Mega, causal, laplacian attention",),
            ("truncation", "long sentences"),
            "The scores are divided by the length of the whole sentence. In a causal model that counts later tokens: what a "
            "prefix predicts depends on how many tokens follow it, though not on which.",
            "mega_pytorch.py:162",
            "float64, no dropout, no padding; changed later tokens move nothing; with softmax every proof holds",
            control={"Mega, causal, laplacian attention": mega()},
            control_is="the Laplacian attention: softmax",
            mend=(
                Edit(
                    "mega_pytorch.mega_pytorch",
                    162,
                    162,
                    "        read = torch.arange(1, seq_len + 1, device = device, dtype = dtype)[:, None] if self.causal else seq_len\n"
                    "        scale = 1 / read if self.laplacian_attn_fn else (dim ** -0.5)",
                    "e4afbf4cfc7f",
                ),
            ),
            mend_is="A causal position is scaled by the number of tokens that it reads.",
            report="mega-pytorch-laplacian-scale",
        ),
    ),
)
