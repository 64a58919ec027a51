"""coconut-pytorch: a decoder that reasons in its own vectors between a prompt and an answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class CoconutSubject(ModelSubject):
    """A `Coconut`: the source is the prompt, the target the answer; -1 stands in the padding of both, as the package pads."""

    kind = "encoder-decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores after each token of the answer."""
        source, target = inputs.of("source"), inputs.target
        prompt = source.ids.masked_fill(~source.real, -1)
        answer = target.ids.masked_fill(~target.real, -1)
        # The last token of an answer is only a label; the scores begin at the end of the thought.
        answer = torch.nn.functional.pad(answer, (0, 1), value=-1)
        found: Tensor = self.module(prompt, answer, return_loss=False)[2]
        return found[:, 1:]


class TransformerSubject(MaskedDecoder):
    """The decoder inside, with its cache."""

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of new tokens after a cache."""
        scores, _, state = self.module(
            inputs.target.ids[:, start:], cached_kv=state, return_intermediates=True
        )
        return scores, state


def coconut(latents: int = 1, steps: int = 2, **options: Any) -> Build:
    """Return the build of a `Coconut`."""

    def build() -> ModelSubject:
        from coconut_pytorch import Coconut

        sizes = {"num_tokens": WORDS, "dim": 32, "depth": 2, "heads": 4, "dim_head": 8}
        model = Coconut(steps, {**sizes, **options}, num_latents_per_step=latents)
        return CoconutSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST)

    return build


def transformer() -> ModelSubject:
    """Return the `Transformer` alone, without a mask."""
    from coconut_pytorch import Transformer

    model = Transformer(num_tokens=WORDS, dim=32, depth=2, heads=4, dim_head=8)
    return TransformerSubject(model, padding=())


PADDED_PROMPTS = Judgement(
    "defect",
    "coconut-pytorch: attention reads the padding of a prompt that is shorter than others of its batch",
    ("Coconut", "Coconut, one residual stream", "Coconut, several latents a step"),
    ("long sentences", "padding amount", "padding gradients", "alone"),
    "`Coconut` pads prompts given as a list and makes a mask of their tokens. `Transformer.forward` makes the rotary positions from the "
    "mask, and does not hand it on to its attention, which has an argument for it. So the padding's keys and values are read: by the "
    "thought, and by the answer after it.",
    "coconut_pytorch/coconut.py:236",
    "The adapter: prompts as a list, which the package pads itself, do the same (see the report). Ids in the padding: they are replaced by 0, "
    "and `padding content` holds. One residual stream and several latents: the same. Answers come last and are not affected.",
    control_is="no setting hands the mask on",
    mend=(
        Edit(
            "coconut_pytorch.coconut",
            237,
            237,
            "                x,\n                mask = None if mask is None else mask[:, None, None],",
            "d7caf1df3884",
        ),
    ),
    mend_is="the mask goes to attention, in the shape that the attention of x-transformers takes",
    report="coconut-pytorch-padded-prompts",
)

PACKAGE = Package(
    "coconut-pytorch",
    "0.0.32",
    "https://github.com/lucidrains/coconut-pytorch",
    entries=(
        Entry("Coconut", "package", coconut()),
        Entry("Coconut, one residual stream", "package", coconut(num_residual_streams=1)),
        Entry("Coconut, several latents a step", "package", coconut(latents=2, steps=3)),
        Entry("Transformer", "package", transformer),
    ),
    judgements=(PADDED_PROMPTS,),
)
