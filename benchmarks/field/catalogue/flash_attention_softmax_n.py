"""flash-attention-softmax-n: attention whose weights may sum to less than one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject


class Attending(nn.Module):
    """Two layers of a function for attention, between a table of words and a head."""

    def __init__(self, attend: Any, with_mask: bool, **how: Any) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(WORDS, 32), nn.Linear(32, WORDS)
        self.maps = nn.ModuleList(nn.Linear(32, 96) for _ in range(2))
        self.attend, self.with_mask, self.how = attend, with_mask, how

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scores at every position."""
        vectors = self.words(ids)
        for to_parts in self.maps:
            query, key, value = to_parts(vectors).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)
            how = self.how if mask is None else {**self.how, "attn_mask": mask[:, None, None].clone()}
            vectors = vectors + self.attend(query, key, value, **how).transpose(1, 2).flatten(2)
        scores: Tensor = self.head(vectors)
        return scores


def attention(name: str, causal: bool, padding: bool = True, **how: Any) -> Build:
    """Return the build of two layers of a function of the package."""

    def build() -> ModelSubject:
        import flash_attention_softmax_n

        model = Attending(getattr(flash_attention_softmax_n, name), padding, is_causal=causal, **how)
        return (MaskedDecoder if causal else MaskedEncoder)(model, **({} if padding else {"padding": ()}))

    return build


BOOL_MASK = Judgement(
    "defect",
    "flash-attention-softmax-n: slow_attention_n ignores a mask of True and False, and fills the caller's mask with True",
    ("slow_attention_n, n=1",),
    ("long sentences", "padding content", "padding amount", "padding gradients", "alone"),
    "For a mask of True and False, minus infinity is written into the mask itself instead of the bias. In such a tensor it becomes True, so "
    "the mask that was passed is True everywhere afterwards, and nothing is added to the scores.",
    "flash_attention_softmax_n/core/functional.py:86",
    "The meaning of True: the documentation of the function says that such an element takes part (functional.py:53). The adapter passes a copy "
    "of its mask. `flash_attention_n` with the same masks holds, and so does `is_causal`.",
    control_is="no setting; `flash_attention_n` is another entry",
    mend=(
        Edit(
            "flash_attention_softmax_n.core.functional",
            86,
            86,
            '            attn_bias = attn_bias.masked_fill(attn_mask.logical_not(), float("-inf"))',
            "95040631ddf9",
        ),
    ),
    mend_is="minus infinity goes into the bias",
    report="flash-attention-softmax-n-boolean-mask",
)

PACKAGE = Package(
    "flash-attention-softmax-n",
    "0.3.2",
    "https://github.com/softmax1/Flash-Attention-Softmax-N",
    entries=(
        Entry(
            "flash_attention_n, n=1, causal",
            "package",
            attention("flash_attention_n", True, softmax_n_param=1),
        ),
        Entry("flash_attention_n, n=1", "package", attention("flash_attention_n", False, softmax_n_param=1)),
        Entry("flash_attention_n, n=0, causal", "package", attention("flash_attention_n", True)),
        Entry(
            "slow_attention_n, n=1, causal",
            "package",
            attention("slow_attention_n", True, padding=False, softmax_n_param=1.0),
        ),
        Entry("slow_attention_n, n=1", "package", attention("slow_attention_n", False, softmax_n_param=1.0)),
    ),
    judgements=(BOOL_MASK,),
    not_tried=(("flash_attention_n_triton", "needs Triton and a CUDA device"),),
)
