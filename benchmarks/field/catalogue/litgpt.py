"""litgpt: one class for many decoders, with its key-value cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.structure import windowed
from maskbench.model_audit.subject import ModelSubject


class GPTSubject(ModelSubject):
    """A `GPT`, which is not told what is padding; its cache lies in the model and is made anew before a sentence."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores of whole sentences."""
        found: Tensor = self.module(inputs.target.ids)
        return found

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of new tokens after the cache."""
        model: Any = self.module
        ids = inputs.target.ids
        if state is None:
            model.clear_kv_cache()
            model.set_kv_cache(len(ids), dtype=model.lm_head.weight.dtype)
        return model(ids[:, start:], input_pos=torch.arange(start, ids.shape[1])), "in the model"

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the same scores with the head in chunks."""

        def in_chunks(inputs: Inputs) -> Tensor:
            return torch.cat(self.module(inputs.target.ids, lm_head_chunk_size=3), 1)

        return {"lm_head_chunk_size": in_chunks}


def gpt(window: int = 0, **options: Any) -> Build:
    """Return the build of a `GPT`; `window` is that of every layer."""

    def build() -> ModelSubject:
        from litgpt.config import Config
        from litgpt.model import GPT

        sizes = {"block_size": LONGEST, "n_layer": 2, "n_embd": 32, "n_head": 4, "padded_vocab_size": WORDS}
        if window:
            options.update(sliding_window_size=window, sliding_window_indices=[1, 1])
        model = GPT(Config(**{**sizes, **options}))
        may_read = windowed(2 * (window - 1) + 1) if window else None
        settings = {"vocab_size": WORDS, "max_length": LONGEST, "padding": (), "may_read": may_read}
        return GPTSubject(model.eval(), **settings)

    return build


LLAMA = {
    "norm_class_name": "RMSNorm",
    "mlp_class_name": "LLaMAMLP",
    "parallel_residual": False,
    "bias": False,
}
LLAMA |= {"rotary_percentage": 1.0, "intermediate_size": 64, "n_query_groups": 2}

GEMMA = {**LLAMA, "mlp_class_name": "GemmaMLP", "attention_logit_softcapping": 50.0}
GEMMA |= {
    "final_logit_softcapping": 30.0,
    "post_attention_norm": True,
    "post_mlp_norm": True,
    "scale_embeddings": True,
}

CAPPED = Judgement(
    "defect",
    "litgpt: with capped attention scores and a cache, a prompt's tokens read later ones",
    ("GPT, as Gemma 2",),
    ("long sentences", "cached decoding", "several tokens a step"),
    "The mask of the cache is True at visible positions. Where scores are capped, attention adds the mask to the scores, as is right for a "
    "mask of numbers: visible keys get 1 more and hidden ones nothing, instead of minus infinity. Later tokens of a prompt are read, and "
    "without `input_pos_maxp1` so are the places of the cache that are not filled yet.",
    "litgpt/model.py:589",
    "The adapter: `input_pos_maxp1` is optional by the documentation of `forward`, and passing it leaves the prompt's leak (see the report). The "
    "other settings of Gemma 2: without the cap the proofs hold. The pass without a cache makes a mask of numbers and holds.",
    control={"GPT, as Gemma 2": gpt(**{**GEMMA, "attention_logit_softcapping": None})},
    control_is="`attention_logit_softcapping=None`",
    mend=(
        Edit(
            "litgpt.model",
            589,
            589,
            "            if mask.dtype == torch.bool:\n"
            "                scores = scores.masked_fill(~mask, torch.finfo(q.dtype).min)\n"
            "            else:\n"
            "                scores = scores + mask",
            "cb73a07e2eca",
        ),
    ),
    mend_is="a mask of True and False fills the scores that it hides; an open pull request of litgpt, 2235, does the like",
    report="litgpt-capped-scores-and-cache",
)

RING = Judgement(
    "defect",
    "litgpt: several tokens at a time overwrite keys in the cache of a sliding window that they still read",
    ("GPT, sliding window of 4", "GPT, sliding window of 4 in every other layer"),
    ("several tokens a step",),
    "The cache of a layer with a window has as many places as the window. Several tokens are written before any of them attends. Once a "
    "place is used for the second time, an earlier one of the new tokens no longer finds the oldest keys of its window and finds those of "
    "later tokens, which the mask, a slice by place and not by position, lets through.",
    "litgpt/model.py:524, :1277",
    "The number of tokens: they are at most the window, which the error for longer prompts names as the way (model.py:1270). Token by token "
    "holds. It is what remains of issue 2182 of litgpt, closed by the error for prompts that are longer than the window.",
    control={
        "GPT, sliding window of 4": gpt(LONGEST, **LLAMA),
        "GPT, sliding window of 4 in every other layer": gpt(
            **LLAMA, sliding_window_size=LONGEST, sliding_window_indices=[1, 0]
        ),
    },
    control_is="a window as long as the longest sentence, so that no place is used twice",
    mend_is="none tried: the cache needs as many more places as come at a time, and a mask by position",
    report="litgpt-window-and-cache",
)

PACKAGE = Package(
    "litgpt",
    "0.5.13",
    "https://github.com/Lightning-AI/litgpt",
    entries=(
        Entry("GPT, as GPT-NeoX", "package", gpt()),
        Entry("GPT, as Llama", "package", gpt(**LLAMA)),
        Entry(
            "GPT, as Mixtral",
            "package",
            gpt(**{**LLAMA, "mlp_class_name": "LLaMAMoE", "n_expert": 4, "n_expert_per_token": 2}),
        ),
        Entry("GPT, as Gemma 2", "package", gpt(**GEMMA)),
        Entry("GPT, sliding window of 4", "package", gpt(4, **LLAMA)),
        Entry(
            "GPT, sliding window of 4 in every other layer",
            "package",
            gpt(**LLAMA, sliding_window_size=4, sliding_window_indices=[1, 0]),
        ),
    ),
    judgements=(CAPPED, RING),
    further=("transformers==4.57.6", "huggingface_hub==0.36.0"),
)
