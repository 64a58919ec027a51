"""charformer-pytorch: subwords made of blocks of characters."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import WORDS, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


class Vectors(nn.Module):
    """The first result of a `GBST`, without its mask."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return one vector for each character."""
        found: Tensor = self.blocks(ids, mask=mask)[0]
        return found


def gbst(**options: Any) -> Build:
    """Return the build of a `GBST` whose sequence keeps its length."""

    def build() -> ModelSubject:
        from charformer_pytorch import GBST

        sizes = {"num_tokens": WORDS, "dim": 32, "downsample_factor": 1, "max_block_size": 4}
        return MaskedEncoder(Vectors(GBST(**{**sizes, **options})))

    return build


CONVOLUTION = Judgement(
    "defect",
    "charformer-pytorch: the convolution before the blocks reads padding that the mask hides",
    ("GBST", "GBST, no consensus attention", "GBST, blocks with offsets"),
    ("long sentences", "padding content", "padding amount", "padding gradients", "alone"),
    "The vectors of all ids, those of the padding included, pass a convolution that reads `max_block_size - 1` positions to the right. "
    "Only the means of the blocks and the consensus attention after it know the mask. So the last tokens of a row read the padding's ids.",
    "charformer_pytorch/charformer_pytorch.py:117",
    "The blocks: without consensus attention and with offsets the cells are the same, and the change below alone mends them. Downsampling is "
    "switched off in the entries (`downsample_factor=1`), so that each position has a vector. Rounding: what moves is near 0.5.",
    control_is="no setting leaves the convolution out, and blocks of one position are no blocks",
    mend=(
        Edit(
            "charformer_pytorch.charformer_pytorch",
            113,
            113,
            "        x = self.token_emb(x)\n        x = x if mask is None else x.masked_fill(~mask[..., None], 0.)",
            "fc0ed16d2c83",
        ),
    ),
    mend_is="the vectors of padding are 0 before the convolution, as are the positions that it adds on the right",
    report="charformer-pytorch-convolution",
)

PACKAGE = Package(
    "charformer-pytorch",
    "0.0.4",
    "https://github.com/lucidrains/charformer-pytorch",
    entries=(
        Entry("GBST", "package", gbst()),
        Entry("GBST, no consensus attention", "package", gbst(score_consensus_attn=False)),
        Entry(
            "GBST, blocks with offsets",
            "package",
            gbst(max_block_size=None, blocks=((2, 0), (2, 1), (4, 0), (4, 2))),
        ),
    ),
    judgements=(CONVOLUTION,),
)
