"""h-transformer-1d: hierarchical attention, exact nearby and averaged far away."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject

MODULE = "h_transformer_1d.h_transformer_1d"


def model(causal: bool = True, **options: Any) -> Build:
    """Return the build of an `HTransformer1D`; an encoder asserts that sentences have more than two blocks."""

    def build() -> ModelSubject:
        from h_transformer_1d import HTransformer1D

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8, "block_size": 4}
        module = HTransformer1D(num_tokens=WORDS, max_seq_len=64, causal=causal, **{**sizes, **options})
        if causal:
            return MaskedDecoder(module, max_length=LONGEST)
        return MaskedEncoder(module, max_length=LONGEST, multiple=16)

    return build


PACKAGE = Package(
    "h-transformer-1d",
    "0.1.9",
    "https://github.com/lucidrains/h-transformer-1d",
    entries=(
        Entry("HTransformer1D, causal", "package", model()),
        Entry("HTransformer1D, causal, shifted tokens", "package", model(shift_tokens=True)),
        Entry(
            "HTransformer1D",
            "package",
            model(causal=False),
            limits="no sentence of two blocks or less (assertion in h_transformer_1d.py:173)",
        ),
    ),
    judgements=(
        Judgement(
            "defect",
            "h-transformer-1d: a causal block does not read the block beside it",
            ("HTransformer1D, causal", "HTransformer1D, causal, shifted tokens"),
            ("truncation", "reach"),
            "The finest level is used for the attention within a block alone; the encoder uses it a second time, for the block "
            "beside it, and the decoder does not. The second block of every pair therefore never reads the first, in any "
            "layer. A sentence that fits into one block has no level at all, so its attention is a sum of nothing, 0; a "
            "sentence shorter than half a block or so raises, as a logarithm of 0 is taken.",
            "h_transformer_1d.py:353",
            "float64, no dropout, no mask (the causal attention takes none); every pair of positions was asked: with blocks of 4, "
            "8 tokens, 16 of 36 pairs are not read; no position reads a later one; with the mend 0 of 36. Coarser levels are "
            "hidden from most positions, which keeps them causal and is no part of this finding",
            control_is="none: no setting adds the level",
            mend=(
                Edit(MODULE, 304, 304, "        seqs = [root_seq, root_seq]", "f2c4e0a01c58"),
                Edit(
                    MODULE, 322, 322, "        pad_to_len = max(2 ** ceil(log2(n)), 2 * bsz)", "03b99a3cf7ae"
                ),
                Edit(MODULE, 353, 353, "        qkvs = [(q, k, v), (q, k, v)]", "fef9e418b9e4"),
                Edit(
                    MODULE,
                    430,
                    430,
                    "            if torch.is_tensor(Y) and Y.shape[-2] < Y_level.shape[-2]:",
                    "e97eed12b897",
                ),
                Edit(
                    MODULE,
                    433,
                    433,
                    "            if torch.is_tensor(A) and A.shape[-1] < A_level.shape[-1]:",
                    "d9202d12cd29",
                ),
                Edit(
                    MODULE,
                    441,
                    441,
                    "        causal_mask = self.mask[:(num_levels + 2), :pad_to_len]",
                    "a500d43ddee1",
                ),
            ),
            mend_is="The finest level is used twice, as in the encoder, and a sentence is filled up to two blocks at least.",
            report="h-transformer-1d-neighbouring-block",
        ),
        Judgement(
            "defect",
            "h-transformer-1d: blocks of padding count in the attention",
            ("HTransformer1D",),
            ("padding amount", "long sentences"),
            "Where all keys of a block are padding, all of its scores are the same smallest number, the largest of them is "
            "subtracted, and every padded key gets the weight 1. It counts in the sum that divides, and at the finest level its "
            "value is added. Further, the coarsest level, in which the two halves of a sentence read each other, is left out; "
            "padding that doubles the length adds a level, and scores change.",
            "h_transformer_1d.py:209",
            "float64, no dropout; the mask is True at tokens, and a mask of True alone gives the scores of no mask; lengths are "
            "multiples of 16, which is more than the asserted two blocks; blocks of which a part is padding are right",
            control_is="none: no setting changes either",
            mend=(
                Edit(
                    MODULE, 172, 172, "        num_levels = int(log2(pad_to_len // bsz)) - 1", "2ba26e4a003a"
                ),
                Edit(
                    MODULE,
                    209,
                    209,
                    "            A = S.exp()\n            if exists(mask):\n                A = A.masked_fill(~mask, 0.)",
                    "72697e48fd49",
                ),
            ),
            mend_is="Hidden keys get the weight 0, and one level more is computed, as in the causal attention.",
            report="h-transformer-1d-blocks-of-padding",
        ),
    ),
)
