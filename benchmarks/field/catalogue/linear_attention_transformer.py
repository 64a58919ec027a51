"""linear-attention-transformer: linear attention, local attention, and Linformer layers."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def language_model(causal: bool = True, multiple: int = 1, **options: Any) -> Build:
    """Return the build of a `LinearAttentionTransformerLM`; some options take lengths of whole windows alone."""

    def build() -> ModelSubject:
        from linear_attention_transformer import LinearAttentionTransformerLM

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "local_attn_window_size": 4}
        model = LinearAttentionTransformerLM(
            num_tokens=WORDS, max_seq_len=LONGEST, causal=causal, **{**sizes, **options}
        )
        return (MaskedDecoder if causal else MaskedEncoder)(model, "input_mask", multiple=multiple)

    return build


PACKAGE = Package(
    "linear-attention-transformer",
    "0.19.1",
    "https://github.com/lucidrains/linear-attention-transformer",
    entries=(
        Entry("LinearAttentionTransformerLM, causal", "package", language_model()),
        Entry(
            "LinearAttentionTransformerLM, causal, blind spot of 4",
            "package",
            language_model(multiple=4, blindspot_size=4),
        ),
        Entry(
            "LinearAttentionTransformerLM, causal, local heads",
            "package",
            language_model(multiple=4, n_local_attn_heads=4),
        ),
        Entry(
            "LinearAttentionTransformerLM, causal, shifted tokens",
            "package",
            language_model(shift_tokens=True),
        ),
        Entry("LinearAttentionTransformerLM, causal, rotary", "package", language_model(use_rotary_emb=True)),
        Entry("LinearAttentionTransformerLM", "package", language_model(causal=False)),
        Entry(
            "LinearAttentionTransformerLM, local heads",
            "package",
            language_model(causal=False, multiple=4, n_local_attn_heads=4),
        ),
    ),
    judgements=(
        Judgement(
            "design effect",
            "linear-attention-transformer: a blind spot hides the last tokens",
            ("LinearAttentionTransformerLM, causal, blind spot of 4",),
            ("reach",),
            "Causal attention is computed in buckets of the blind spot's size, and a token reads whole buckets before its own: the tokens in between "
            "move nothing.",
            "linear_attention_transformer.py:271",
            "lengths are multiples of the blind spot; with one of 1 everything before is read",
            source="`blindspot_size` in the package's documentation: the attention does not see so many tokens back, and local heads should cover them",
            control={"LinearAttentionTransformerLM, causal, blind spot of 4": language_model()},
            control_is="a blind spot of 1",
            mend_is="none: it is what the option does",
        ),
    ),
)
