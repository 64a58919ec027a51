"""xlstm: blocks of mLSTM and sLSTM, over whole sentences or step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


class XLSTMSubject(MaskedDecoder):
    """An `xLSTMLMModel`, whose `step` takes one token."""

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of new tokens, one after the other."""
        model: Any = self.module
        ids, found = inputs.target.ids, []
        for place in range(start, ids.shape[1]):
            scores, state = model.step(ids[:, place : place + 1], state)
            found.append(scores)
        return torch.cat(found, 1), state


def xlstm(mlstm: bool = True, slstm_at: tuple[int, ...] = (), **options: Any) -> Build:
    """Return the build of an `xLSTMLMModel`."""

    def build() -> ModelSubject:
        from xlstm import (
            FeedForwardConfig,
            mLSTMBlockConfig,
            mLSTMLayerConfig,
            sLSTMBlockConfig,
            sLSTMLayerConfig,
            xLSTMLMModel,
            xLSTMLMModelConfig,
        )

        matrix = mLSTMBlockConfig(mLSTMLayerConfig(conv1d_kernel_size=4, qkv_proj_blocksize=4, num_heads=4))
        scalar = sLSTMBlockConfig(
            sLSTMLayerConfig(
                backend="vanilla", num_heads=4, conv1d_kernel_size=4, bias_init="powerlaw_blockdependent"
            ),
            feedforward=FeedForwardConfig(proj_factor=1.3, act_fn="gelu"),
        )
        config = xLSTMLMModelConfig(
            mlstm_block=matrix if mlstm else None,
            slstm_block=scalar if slstm_at or not mlstm else None,
            slstm_at=list(slstm_at),
            context_length=LONGEST,
            num_blocks=2,
            embedding_dim=32,
            vocab_size=WORDS,
            **options,
        )
        model = xLSTMLMModel(config)
        model.reset_parameters()
        return XLSTMSubject(model, padding=())

    return build


FIRST_MAXIMUM = Judgement(
    "design effect",
    "The steps of an mLSTM add their small constant beside another maximum than the whole sentence",
    ("xLSTMLMModel, mLSTM and sLSTM", "xLSTMLMModel, mLSTM"),
    ("long sentences", "cached decoding", "several tokens a step"),
    "Both forms divide by a normaliser plus 1e-6, and both keep numbers small by subtracting a running maximum, which cancels but for that "
    "constant. The running maximum of a step begins at 0, that of a whole sentence at its first input gate. So the constant has another "
    "weight, and scores differ by about 1e-8.",
    "xlstm/blocks/mlstm/cell.py:106",
    "A state that is used wrongly: a step of an sLSTM alone holds, and with a first maximum of minus infinity all proofs hold. The distance "
    "is about one rounding of float32.",
    source="the constant is an argument of both forms (`eps`, blocks/mlstm/backends.py), and the first state is written as zeros (blocks/mlstm/cell.py:104)",
    control_is="no setting changes the first state or the constant",
    mend=(
        Edit(
            "xlstm.blocks.mlstm.cell",
            106,
            106,
            '            m_state = torch.full((B, NH, 1, 1), -float("inf"), device=q.device, dtype=q.dtype)',
            "ac4e473a1287",
        ),
    ),
    mend_is="the first maximum is minus infinity; it shows the cause, and is no demand",
)

PACKAGE = Package(
    "xlstm",
    "2.0.6",
    "https://github.com/NX-AI/xlstm",
    entries=(
        Entry("xLSTMLMModel, mLSTM and sLSTM", "package", xlstm(slstm_at=(1,))),
        Entry("xLSTMLMModel, mLSTM", "package", xlstm()),
        Entry("xLSTMLMModel, sLSTM", "package", xlstm(mlstm=False)),
    ),
    judgements=(FIRST_MAXIMUM,),
    not_tried=(("sLSTM, backend=cuda", "needs a CUDA device"),),
)
