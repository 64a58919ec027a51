"""local-attention: attention within windows of a fixed size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class LocalDecoder(MaskedDecoder):
    """A causal `LocalTransformer`, which takes and returns a cache."""

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of the new positions, one call for each, as the model reads one token a step from a cache."""
        ids, found = inputs.target.ids, []
        ends = [ids.shape[1]] if state is None else range(start + 1, ids.shape[1] + 1)
        for end in ends:
            scores, state = self.module(ids[:, :end], cache=state, return_cache=True)
            found.append(scores)
        return torch.cat(found, 1), state


def transformer(causal: bool = True, **options: Any) -> Build:
    """Return the build of a `LocalTransformer`."""

    def build() -> ModelSubject:
        from local_attention import LocalTransformer

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "local_attn_window_size": 4}
        model = LocalTransformer(num_tokens=WORDS, max_seq_len=LONGEST, causal=causal, **{**sizes, **options})
        return (LocalDecoder if causal else MaskedEncoder)(model)

    return build


PACKAGE = Package(
    "local-attention",
    "1.11.2",
    "https://github.com/lucidrains/local-attention",
    entries=(
        Entry("LocalTransformer, causal", "package", transformer()),
        Entry("LocalTransformer, causal, xpos", "package", transformer(use_xpos=True)),
        Entry(
            "LocalTransformer, causal, dynamic position bias",
            "package",
            transformer(use_dynamic_pos_bias=True),
        ),
        Entry("LocalTransformer", "package", transformer(causal=False)),
    ),
    judgements=(
        Judgement(
            "defect",
            "local-attention: decoding with a cache rotates cached keys again",
            ("LocalTransformer, causal", "LocalTransformer, causal, xpos"),
            ("cached decoding", "several tokens a step", "long sentences"),
            "The cache keeps keys after their rotation, and the next step rotates them again, so scores differ from the third "
            "token on. Where the number of tokens is a multiple of the window, the kept part is short by one window.",
            "transformer.py:169",
            "float64, no dropout, no mask; one token a step, as the model asserts; with the mend 24 steps are exact",
            control_is="none was tried",
            mend=(
                Edit(
                    "local_attention.transformer",
                    145,
                    145,
                    "                kv_start_index = -(effective_window_size + (seq_len - 1) % self.window_size + 1)",
                    "c032c06a96ca",
                ),
                Edit(
                    "local_attention.transformer",
                    147,
                    147,
                    "            k, v = tuple(t[..., kv_start_index:, :] for t in (k, v))\n"
                    "            kept = torch.stack((k, v))",
                    "9ccd7f06fee7",
                ),
                Edit(
                    "local_attention.transformer",
                    169,
                    169,
                    "            kv = kept if exists(cache) else torch.stack((k, v))",
                    "9d9c4c4c9a1b",
                ),
            ),
            mend_is="The cache keeps keys from before the rotation, of two windows at most.",
            report="local-attention-cache",
        ),
    ),
)
