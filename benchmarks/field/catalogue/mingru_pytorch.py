"""minGRU-pytorch: recurrent networks whose gates do not read the state, as a parallel scan or step by step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class MinDecoder(MaskedDecoder):
    """A `minLM`, which takes one token at a time with its hidden states."""

    @property
    def has_step(self) -> bool:
        """Whether the model says that it can be decoded from its states."""
        return bool(self.module.can_cache)

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of the new positions, one after the other once there is a state."""
        ids, found = inputs.target.ids, []
        ends = [ids.shape[1]] if state is None else range(start + 1, ids.shape[1] + 1)
        for end in ends:
            scores, state = self.module(ids[:, :end], prev_hiddens=state, return_prev_hiddens=True)
            found.append(scores if state is None or start == 0 else scores[:, -1:])
        import torch

        return torch.cat(found, 1), state


def language_model(**options: Any) -> Build:
    """Return the build of a `minLM`."""

    def build() -> ModelSubject:
        from minGRU_pytorch.minLM import minLM

        return MinDecoder(minLM(num_tokens=WORDS, dim=32, depth=2, **options), padding=())

    return build


PACKAGE = Package(
    "minGRU-pytorch",
    "0.2.1",
    "https://github.com/lucidrains/minGRU-pytorch",
    entries=(
        Entry("minLM", "package", language_model()),
        Entry("minLM, LSTM", "package", language_model(use_lstm=True)),
        Entry(
            "minLM, convolution",
            "package",
            language_model(enable_conv=True),
            limits="no cache (its `can_cache` is False)",
        ),
    ),
)
