"""linformer-pytorch: keys and values projected along the sequence."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Judgement, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject

LENGTH = 16


def language_model(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `LinformerLM`, which takes sentences of one length."""

    def build() -> ModelSubject:
        from linformer_pytorch import LinformerLM

        settings = {"dim_k": 8, "dim_ff": 64, "nhead": 4, "depth": 2, **options}
        model = LinformerLM(num_tokens=WORDS, input_size=LENGTH, channels=32, causal=causal, **settings)
        kind = MaskedDecoder if causal else MaskedEncoder
        return kind(model, "input_mask", multiple=LENGTH, max_length=LENGTH)

    return build


PACKAGE = Package(
    "linformer-pytorch",
    "0.19.3",
    "https://github.com/tatp22/linformer-pytorch",
    entries=(
        Entry("LinformerLM, causal", "package", language_model()),
        Entry("LinformerLM, causal, full attention", "package", language_model(full_attention=True)),
        Entry("LinformerLM", "package", language_model(causal=False)),
        Entry("LinformerLM, full attention", "package", language_model(causal=False, full_attention=True)),
    ),
    judgements=(
        Judgement(
            "defect",
            "linformer-pytorch: the causal mask hides projected keys, each of which is made of all tokens",
            ("LinformerLM, causal",),
            ("causality", "future gradients"),
            "Keys and values are projected along the sequence before the mask, so each of the projected ones is a sum over all "
            "positions, later ones included. The triangular mask hides some of these sums and lets others through.",
            "linformer_pytorch.py:167",
            "float64, no dropout, sentences of the one length that the model takes; with full attention the two proofs hold",
            control={"LinformerLM, causal": language_model(full_attention=True)},
            control_is="the projection: full attention",
            mend_is="none: no mask over projected keys hides a later token; a causal form would be another method",
            report="linformer-pytorch-causal",
        ),
        Judgement(
            "design effect",
            "linformer-pytorch: full attention leaves the projection unused",
            ("LinformerLM, causal, full attention", "LinformerLM, full attention"),
            ("every part works",),
            "The projection is made in any case and skipped with `full_attention`. Its parameters get no gradient.",
            "linformer_pytorch.py:156",
            "the projection is used by every entry without full attention",
            source="linformer_pytorch.py:156: the option means attention without the projection",
            control={
                "LinformerLM, causal, full attention": language_model(),
                "LinformerLM, full attention": language_model(causal=False),
            },
            control_is="full attention",
            mend_is="none needed",
        ),
    ),
)
