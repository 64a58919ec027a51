"""performer-pytorch: linear attention through random features."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def language_model(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `PerformerLM`."""

    def build() -> ModelSubject:
        from performer_pytorch import PerformerLM

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "local_window_size": 4}
        model = PerformerLM(num_tokens=WORDS, max_seq_len=LONGEST, causal=causal, **{**sizes, **options})
        return (MaskedDecoder if causal else MaskedEncoder)(model)

    return build


MODULE = "performer_pytorch.performer_pytorch"
STABLE = Edit(
    MODULE,
    113,
    113,
    "            torch.exp(data_dash - diag_data - projection.pow(2).sum(dim = -1).amax().detach() / 2) + eps)",
    "c966be927a00",
)
MASK = (
    Edit(MODULE, 256, 256, "    def forward(self, q, k, v, mask = None):", "535e5cc0dd08"),
    Edit(
        MODULE,
        273,
        273,
        "        k = k if mask is None else k.masked_fill(~mask, 0.)\n        out = attn_fn(q, k, v)",
        "bf95a7b53120",
    ),
    Edit(
        MODULE,
        433,
        433,
        "            out = self.fast_attention(q, k, v, global_mask if exists(context_mask) else None)",
        "2752a2162c49",
    ),
)

PACKAGE = Package(
    "performer-pytorch",
    "1.1.4",
    "https://github.com/lucidrains/performer-pytorch",
    entries=(
        Entry("PerformerLM, causal", "package", language_model()),
        Entry(
            "PerformerLM, causal, generalized attention",
            "package",
            language_model(generalized_attention=True),
        ),
        Entry("PerformerLM, causal, local heads", "package", language_model(local_attn_heads=4)),
        Entry("PerformerLM, causal, reversible", "package", language_model(reversible=True)),
        Entry("PerformerLM, causal, shifted tokens", "package", language_model(shift_tokens=True)),
        Entry("PerformerLM", "package", language_model(causal=False)),
        Entry(
            "PerformerLM, generalized attention",
            "package",
            language_model(causal=False, generalized_attention=True),
        ),
        Entry("PerformerLM, local heads", "package", language_model(causal=False, local_attn_heads=4)),
    ),
    judgements=(
        Judgement(
            "defect",
            "performer-pytorch: causal softmax features subtract a maximum over all positions",
            (
                "PerformerLM, causal",
                "PerformerLM, causal, reversible",
                "PerformerLM, causal, shifted tokens",
            ),
            ("causality", "truncation", "long sentences", "padding content", "padding amount", "alone"),
            "Before the exponential of the features of keys their maximum over all positions is subtracted, later ones and "
            "padding included, and a small number is added after it. The small number does not cancel, so later tokens move "
            "earlier scores: by about 1e-4 here, which is far more than rounding in float64.",
            "performer_pytorch.py:113",
            "float64, no dropout; the random projection is a buffer and is not drawn again in evaluation; changes are of the "
            "size of the added 1e-4; with generalized attention, which subtracts nothing, the proofs hold",
            control={
                "PerformerLM, causal": language_model(generalized_attention=True),
                "PerformerLM, causal, reversible": language_model(
                    reversible=True, generalized_attention=True
                ),
                "PerformerLM, causal, shifted tokens": language_model(
                    shift_tokens=True, generalized_attention=True
                ),
            },
            control_is="the softmax features: generalized attention",
            mend=(STABLE,),
            mend_is="What is subtracted is a bound that the projection alone gives.",
            report="performer-pytorch-causal-maximum",
        ),
        Judgement(
            "defect",
            "performer-pytorch: padded keys count in the sum that divides",
            ("PerformerLM", "PerformerLM, generalized attention"),
            ("padding content", "padding amount", "padding gradients", "long sentences", "alone"),
            "The mask sets values of padding to 0, and leaves their keys. Features of all keys are summed for the divisor, so "
            "padding makes every output smaller, by an amount that depends on its words and their number.",
            "performer_pytorch.py:428",
            "float64, no dropout; the mask is True at tokens; the projection is a buffer; generalized attention fails as well, "
            "so it is not the maximum alone",
            control={"PerformerLM": language_model(causal=False, local_attn_heads=4)},
            control_is="linear attention: all heads are local, which mask their keys",
            mend=(STABLE, *MASK),
            mend_is="Features of padded keys are 0, and what is subtracted does not depend on the keys.",
            report="performer-pytorch-padded-keys",
        ),
    ),
)
