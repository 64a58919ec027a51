"""h-net-dynamic-chunking: a hierarchy that cuts a sequence into chunks where neighbouring vectors differ."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class Between(nn.Module):
    """An `HNet`, which takes vectors, between a table of words and a head."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.words, self.net, self.head = nn.Embedding(WORDS, 32), net, nn.Linear(32, WORDS)

    def forward(self, ids: Tensor, **how: Any) -> tuple[Tensor, Any]:
        """Return the scores, and the cache for the next call."""
        found = self.net(self.words(ids), **how)
        return self.head(found.output), found.next_cache


class HNetSubject(ModelSubject):
    """An `HNet`, told the lengths of the rows; its cache comes with `return_hiddens`."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores of a whole sentence."""
        scores: Tensor = self.module(inputs.target.ids, lens=inputs.target.real.sum(1))[0]
        return scores

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of a prompt, or of new tokens one after the other: after a cache the net takes one at a time."""
        ids, real = inputs.target.ids, inputs.target.real
        ends = [ids.shape[1]] if state is None else range(start + 1, ids.shape[1] + 1)
        found = []
        for end in ends:
            how = {"lens": real[:, start:end].sum(1), "cache": state, "return_hiddens": True}
            scores, state = self.module(ids[:, start:end], **how)
            found.append(scores)
            start = end
        return torch.cat(found, 1), state


def hnet(nested: bool = False, **options: Any) -> Build:
    """Return the build of an `HNet` of decoders of x-transformers."""

    def build() -> ModelSubject:
        from h_net_dynamic_chunking import HNet
        from x_transformers import Decoder

        def layers() -> nn.Module:
            found: nn.Module = Decoder(dim=32, depth=1, heads=4, attn_dim_head=8, rotary_pos_emb=True)
            return found

        inner = HNet(layers(), layers(), layers(), dim=32) if nested else layers()
        model = Between(HNet(layers(), inner, layers(), dim=32, **options))
        return HNetSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST)

    return build


POOL = Judgement(
    "design effect",
    "A chunk's pooled vector reads the whole chunk and is given out from its first token on",
    ("HNet, attention pool",),
    (
        "causality",
        "truncation",
        "future gradients",
        "long sentences",
        "cached decoding",
        "several tokens a step",
    ),
    "With `use_attention_pool` the vector of a chunk is an average over all of its tokens. It is given back to every position of the chunk, "
    "from the first on, which so reads the later ones of its chunk. Without the option the vector is that of the chunk's first token.",
    "h_net_dynamic_chunking/h_net_dynamic_chunking.py:290",
    "The layers around it are causal decoders of x-transformers: with the option off all proofs hold. Padding is told by `lens`.",
    source="`segmented_attention_pool.py` pools every segment as a whole, and no documentation says that an `HNet` with this option is causal",
    control={"HNet, attention pool": hnet()},
    control_is="`use_attention_pool=False`, the default",
    mend_is="none is needed: pooling over a segment is what the option does",
)

LAST_KEY = Judgement(
    "defect",
    "h-net-dynamic-chunking: after a prompt, a row with fewer chunks than others compares with the key of padding",
    ("HNet, two levels",),
    ("several tokens a step",),
    "The cache keeps the last key of a call, with which the next token is compared to find out where a chunk begins. It is the key of the last "
    "column. Where rows have several lengths, as the chunks of a prompt have on an inner level, the last column of a shorter row is padding.",
    "h_net_dynamic_chunking/h_net_dynamic_chunking.py:230",
    "The adapter: after the prompt the tokens come one at a time. Each row alone has the right scores, and so has a batch whose rows have equally "
    "many chunks. Which rows fail depends on the number of chunks in the prompt.",
    control={"HNet, two levels": hnet()},
    control_is="one level, whose prompts have one length here",
    mend=(
        Edit(
            "h_net_dynamic_chunking.h_net_dynamic_chunking",
            230,
            230,
            "                last_key = keys[arange(batch, device=device), (lens - 1).clamp(min=0)][:, None]\n"
            "                cache['prev_key'] = torch.where(has_valid[:, None, None], last_key, keys_to_prepend)",
            "8932481a28eb",
        ),
    ),
    mend_is="the key at the last real position of each row is kept",
    report="h-net-dynamic-chunking-last-key",
)

PACKAGE = Package(
    "h-net-dynamic-chunking",
    "0.5.19",
    "https://github.com/lucidrains/h-net-dynamic-chunking",
    entries=(
        Entry("HNet", "package", hnet()),
        Entry("HNet, two levels", "package", hnet(nested=True)),
        Entry("HNet, attention pool", "package", hnet(use_attention_pool=True)),
        Entry("HNet, several heads", "package", hnet(heads=2)),
    ),
    judgements=(POOL, LAST_KEY),
)
