"""reformer-pytorch: attention within buckets of a random hash, or full attention."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject

SIZES: dict[str, Any] = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "bucket_size": 4, "n_hashes": 2}


def language_model(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `ReformerLM`; lengths are multiples of two buckets."""

    def build() -> ModelSubject:
        from reformer_pytorch import ReformerLM

        settings = {**SIZES, "ff_chunks": 1, **options}
        model = ReformerLM(num_tokens=WORDS, max_seq_len=LONGEST, causal=causal, **settings)
        return (MaskedDecoder if causal else MaskedEncoder)(model, "input_mask", multiple=8)

    return build


PACKAGE = Package(
    "reformer-pytorch",
    "1.4.4",
    "https://github.com/lucidrains/reformer-pytorch",
    entries=(
        Entry("ReformerLM, causal", "package", language_model()),
        Entry("ReformerLM, causal, full attention", "package", language_model(use_full_attn=True)),
        Entry("ReformerLM, causal, local heads", "package", language_model(n_local_attn_heads=2)),
        Entry("ReformerLM", "package", language_model(causal=False)),
        Entry("ReformerLM, full attention", "package", language_model(causal=False, use_full_attn=True)),
    ),
    judgements=(
        Judgement(
            "design effect",
            "reformer-pytorch: sorted buckets are cut into chunks, and hashes are drawn in each pass",
            ("ReformerLM, causal", "ReformerLM, causal, local heads", "ReformerLM"),
            ("causality", "padding content", "evaluation repeats"),
            "Tokens are sorted by the bucket of a random hash and cut into chunks of one size; a token reads its chunk and the "
            "one before. Later tokens and padding are hidden, but take places, so another word there moves the cuts, and "
            "with them what a token reads. The rotations of the hash are drawn again in each pass, in evaluation as well.",
            "reformer_pytorch.py:304",
            "float64, no dropout; lengths are multiples of two buckets; the generator is set before each pass, so drawing explains "
            "`evaluation repeats` alone; with full attention every proof holds",
            source="Kitaev et al. 2020, Reformer (openreview.net/forum?id=rkgNKkHtvB), section 2, LSH attention: sorting, chunks, "
            "several rounds of random hashes",
            control={
                "ReformerLM, causal": language_model(use_full_attn=True),
                "ReformerLM, causal, local heads": language_model(use_full_attn=True),
                "ReformerLM": language_model(causal=False, use_full_attn=True),
            },
            control_is="hashing: full attention",
            mend_is="none: attention without chunks would be another method",
        ),
    ),
    not_tried=(("ReformerEncDec", "no time so far; its two parts are `ReformerLM`"),),
)
