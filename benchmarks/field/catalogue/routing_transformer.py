"""routing-transformer: attention within clusters that are learned by k-means, beside local attention."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


def language_model(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `RoutingTransformerLM`; lengths are multiples of the window.

    Its clusters are made from the first tokens that it sees, so it is called once.
    """

    def build() -> ModelSubject:
        from routing_transformer import RoutingTransformerLM

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "window_size": 4}
        model = RoutingTransformerLM(
            num_tokens=WORDS, max_seq_len=LONGEST, causal=causal, **{**sizes, **options}
        )
        with torch.no_grad():
            model.eval()(torch.randint(0, WORDS, (4, LONGEST)))
        return (MaskedDecoder if causal else MaskedEncoder)(model, "input_mask", multiple=4)

    return build


PACKAGE = Package(
    "routing-transformer",
    "1.6.1",
    "https://github.com/lucidrains/routing-transformer",
    entries=(
        Entry("RoutingTransformerLM, causal", "package", language_model()),
        Entry("RoutingTransformerLM, causal, local heads", "package", language_model(n_local_attn_heads=4)),
        Entry("RoutingTransformerLM", "package", language_model(causal=False)),
        Entry(
            "RoutingTransformerLM, causal, shifted tokens",
            "package",
            language_model(n_local_attn_heads=4, shift_tokens=True),
        ),
    ),
    judgements=(
        Judgement(
            "design effect",
            "routing-transformer: the maps of heads with clusters are there without such heads",
            (
                "RoutingTransformerLM, causal, local heads",
                "RoutingTransformerLM, causal, shifted tokens",
            ),
            ("every part works",),
            "All heads are local here, and the maps to queries and values of the heads with clusters are built all the same.",
            "routing_transformer.py:531",
            "the parameters named are those two maps; all others have a gradient",
            source="`n_local_attn_heads` may be as large as `heads`; the class then has no head left that would use them",
            control_is="none: with fewer local heads the maps run, and the hook that is judged below raises",
            mend_is="none is tried: no score would change",
        ),
        Judgement(
            "design effect",
            "routing-transformer: the choice of tokens turns on roundings",
            ("RoutingTransformerLM, causal",),
            ("formats",),
            "Which tokens are nearest to a cluster may change in bfloat16, and the output is then another one, not a rounded one.",
            "routing_transformer.py:289",
            "float32 agrees with float64; 5 of 25 repetitions exceed the limit",
            source="Roy et al. 2020 (arXiv:2003.05997), Algorithm 1: top k of the whole sequence for each centroid",
            control={"RoutingTransformerLM, causal": language_model(n_local_attn_heads=4)},
            control_is="clusters: all heads are local",
            mend_is="none: it is a choice",
        ),
        Judgement(
            "design effect",
            "routing-transformer: each cluster takes its best tokens of the whole sentence",
            (
                "RoutingTransformerLM, causal",
                "RoutingTransformerLM",
            ),
            ("causality", "truncation", "long sentences", "padding content", "padding amount", "alone"),
            "A cluster takes the `window_size` tokens of the sentence that are nearest to it, later tokens and padding among them. "
            "They are hidden inside the cluster, but a token that they displace reads and is read elsewhere, or nowhere.",
            "routing_transformer.py:289",
            "float64, no dropout; the clusters were made before, so that nothing is drawn; with local heads alone, which have "
            "no clusters, the proofs hold",
            source="Roy et al. 2020, Efficient Content-Based Sparse Attention with Routing Transformers (arXiv:2003.05997), "
            "Algorithm 1: top k of the whole sequence for each centroid",
            control={
                "RoutingTransformerLM, causal": language_model(n_local_attn_heads=4),
                "RoutingTransformerLM": language_model(causal=False, n_local_attn_heads=4),
            },
            control_is="clusters: all heads are local",
            mend_is="none: another choice of tokens would be another method",
        ),
        Judgement(
            "defect",
            "routing-transformer: a gradient in evaluation raises",
            ("RoutingTransformerLM, causal", "RoutingTransformerLM"),
            ("every part works", "future gradients", "padding gradients"),
            "A hook moves the centroids after every backward pass, and asserts that there are new ones, which are computed in "
            "training alone. A backward pass through a model in evaluation raises an AssertionError.",
            "routing_transformer.py:252",
            "not the length, not the mask: the message is the hook's; forward passes in evaluation and training steps are right",
            control={
                "RoutingTransformerLM, causal": language_model(_register_kmeans_update=False),
                "RoutingTransformerLM": language_model(causal=False, _register_kmeans_update=False),
            },
            control_is="the hook",
            mend=(
                Edit(
                    "routing_transformer.routing_transformer",
                    251,
                    252,
                    "        for m in module.kmean_modules:\n            if exists(m.new_means):\n                m.update()",
                    "3739fa518e0c",
                ),
            ),
            mend_is="Centroids move only if there are new ones.",
            report="routing-transformer-gradient-in-evaluation",
        ),
    ),
)
