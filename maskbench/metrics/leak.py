"""The alarm for leaks: is a model right only because it sees the words it is to predict?"""

from __future__ import annotations

import numpy as np

from maskbench.data.corpus import Split
from maskbench.metrics.forced import Forced
from maskbench.metrics.translation import Said


def forced_gap(tokens: Forced, said: Said, split: Split) -> float:
    """Return the share of sentences right given the gold prefix, minus the share right in greedy decoding.

    -1 to 1; 0 is what it should be. A sentence is right given the gold prefix if every token of its reference, end mark
    included, is ranked first; it is right in decoding if the greedy translation is the reference, token by token.

    For a model that cannot see the future the two are the same sentences. Say every token of a reference is ranked
    first given the gold ones before it. Then greedy decoding begins with the first of them; what it has said is then a
    gold prefix, from which it says the next one; and so on to the end mark. Conversely, a translation that is the
    reference ranked each token of it first, given what was then the gold prefix. Training does not come into it: no
    model has a gap, however it was trained. One that can see later tokens in teacher forcing finds them missing in
    decoding, which is the gap.

    What else can part the two, and acts in decoding only: masks of the logits, and the limit on length, where a
    reference is longer. In decoding `<pad>`, `<bos>` and `<mask>` are never said, which is no gap either way unless a
    model ranks one of them first in a sentence that is right otherwise (then below 0). Rounding differs between the two
    passes and can decide a tie.

    Args:
        tokens: what the model thinks of every token of the split.
        said: its greedy translations of the split.
    """
    right = np.logical_and.reduceat(tokens.correct, split.tgt.offsets[:-1])
    return (int(right.sum()) - int(said.right.sum())) / len(split)
