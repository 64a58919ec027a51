"""yet-another-retnet: retention in its parallel, recurrent and chunkwise forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.field.entry import Entry, Package
from benchmarks.field.subjects import LONGEST, WORDS
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class RetNetSubject(ModelSubject):
    """A `RetNet`, whose `forward` computes a loss: the scores are those of `forward_parallel`."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores in the parallel form."""
        model: Any = self.module
        found: Tensor = model.forward_parallel(inputs.target.ids)
        return found

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores in the recurrent form, one position after the other."""
        model: Any = self.module
        ids, found, state = inputs.target.ids, [], state or ()
        for place in range(start, ids.shape[1]):
            scores, state = model.forward_recurrent(ids[:, place], seq_idx=place, prev_states=state)
            found.append(scores)
        return torch.stack(found, 1), state

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the scores in the chunkwise form, in chunks of four."""

        def in_chunks(inputs: Inputs) -> Tensor:
            model: Any = self.module
            ids, found, state = inputs.target.ids, [], ()
            for start in range(0, ids.shape[1], 4):
                scores, state = model.forward_chunkwise(ids[:, start : start + 4], start, state)
                found.append(scores)
            return torch.cat(found, 1)

        return {"forward_chunkwise": in_chunks}


def retnet() -> ModelSubject:
    """Return a small `RetNet`."""
    from yet_another_retnet.retnet import RetNet

    model = RetNet(num_tokens=WORDS, d_model=32, nhead=4, num_layers=2, dim_feedforward=64)
    return RetNetSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST, padding=())


PACKAGE = Package(
    "yet-another-retnet",
    "0.5.1",
    "https://github.com/fkodom/yet-another-retnet",
    entries=(Entry("RetNet", "package", retnet),),
)
