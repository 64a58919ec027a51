"""The sample sentence pair that masks are drawn for, with everything that a strategy can read about it.

A picture of a mask needs no corpus and no trained model. Queries, keys, embeddings and losses are random numbers from
a fixed seed; gold annotations mark a few words as junk and link every target word to a source word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maskbench.data.corpus import Ragged
from maskbench.data.vocabulary import BOS, EOS, N_SPECIAL, SPECIAL_NAMES
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionRequest, Sizes
from maskbench.masks.corpus_statistics import CorpusStatistics, edges_of_starts
from maskbench.randomness import Key, torch_generator

_TEXT = (
    "the old captain saw three fish ##ing boats . a storm came in from the dark sea and every sail ##or "
    "went home to the light ##house ."
)
"""`##` marks a piece that continues the word before it."""
SOURCE = tuple(_TEXT.split())
_FREQUENT = frozenset({"the", "a", "and", "in", "from", "to", "every", "."})
_WORDS = tuple(dict.fromkeys(SOURCE))
_IDS = {word: N_SPECIAL + i for i, word in enumerate(_WORDS)}


def token_text(token: int) -> str:
    """Return the text of a token of the sample vocabulary."""
    if token < N_SPECIAL:
        return SPECIAL_NAMES[token]
    return _WORDS[token - N_SPECIAL] if token - N_SPECIAL < len(_WORDS) else f"w{token}"


def make_sample_sizes(max_length: int, n_heads: int = 4, n_layers: int = 2) -> Sizes:
    """Return the sizes of the sample model, with statistics of the sample corpus."""
    size = N_SPECIAL + len(_WORDS)
    starts = edges_of_starts(
        torch.tensor([True] * N_SPECIAL + [not text.startswith("##") for text in _WORDS])
    )
    counts = torch.tensor(
        [0] * N_SPECIAL + [900 if text in _FREQUENT else 60 - i for i, text in enumerate(_WORDS)]
    )
    rows = Ragged.from_rows([[_IDS[text] for text in SOURCE], [_IDS[text] for text in SOURCE[5:14]]])
    facts = CorpusStatistics(
        source_words=starts,
        target_words=starts,
        counts=counts,
        pairs=lambda: (rows, rows),
        annotations=frozenset({"junk", "links"}),
    )
    return Sizes(n_heads, 8 * n_heads, n_layers, n_layers, size, max_length, _IDS.get, facts)


@dataclass(frozen=True)
class SamplePair:
    """A sentence pair without padding, as a batch of one."""

    src: Tensor
    """[1, source length], the end mark last."""
    tgt: Tensor
    """[1, target length]: decoder inputs, the begin mark first."""
    sizes: Sizes

    @classmethod
    def from_sample_text(cls, src_length: int, tgt_length: int, max_length: int | None = None) -> SamplePair:
        """Return the sample sentence, cut or repeated to these lengths, begin and end marks included."""
        ids = [_IDS[text] for text in SOURCE]
        longest = max(src_length, tgt_length)
        endless = ids * math.ceil(longest / len(ids))
        src = torch.tensor([*endless[: src_length - 1], EOS][:src_length])
        tgt = torch.tensor([BOS, *endless[: tgt_length - 1]])
        return cls(src[None], tgt[None], make_sample_sizes(max_length or longest + 1))

    @classmethod
    def from_random_tokens(cls, length: int, sizes: Sizes) -> SamplePair:
        """Return a pair of random sentences over the vocabulary of `sizes`."""
        drawn = torch.empty(2, length - 1)
        drawn.uniform_(0.0, 1.0, generator=_keyed_generator("tokens"))
        ids = N_SPECIAL + (drawn * (sizes.vocab_size - N_SPECIAL)).long()
        src, tgt = torch.full((1, length), EOS), torch.full((1, length), BOS)
        src[0, :-1], tgt[0, 1:] = ids[0], ids[1]
        return cls(src, tgt, sizes)

    @property
    def annotations(self) -> Annotations:
        """Two words in every five of the source are junk; target word t is linked to source word t + 1 or t - 1."""
        s, t = torch.arange(self.src.shape[1]), torch.arange(self.tgt.shape[1])
        # Neighbours are swapped, so that links are not the diagonal.
        swapped = (t ^ 1).clamp(max=len(s) - 1)
        return Annotations(((s % 5) >= 3)[None] & (s < len(s) - 1)[None], (swapped[:, None] == s)[None])

    def request(self, site: str, clock: Clock) -> AttentionRequest:
        """Return the request of an attention layer over the whole pair."""
        n_q = self.src.shape[1] if site == "encoder_self" else self.tgt.shape[1]
        n_kv = self.tgt.shape[1] if site == "decoder_self" else self.src.shape[1]
        heads, width = self.sizes.n_heads, self.sizes.d_model
        q_idx, kv_idx = torch.arange(n_q), torch.arange(n_kv)
        every = torch.ones(1, 1, n_q, n_kv, dtype=torch.bool)
        reads_source = site != "decoder_self"
        return AttentionRequest(
            query=keyed_normal("query", 1, heads, n_q, width // heads),
            keys=keyed_normal("key", 1, heads, n_kv, width // heads),
            x=keyed_normal("x", 1, n_q, width),
            q_idx=q_idx,
            kv_idx=kv_idx,
            legal=every if reads_source else (kv_idx <= q_idx[:, None])[None, None],
            src_lengths=torch.tensor([self.src.shape[1]]) if reads_source else None,
            examples=torch.zeros(1, dtype=torch.int64),
            clock=clock,
            src_ids=self.src if reads_source else None,
            tgt_ids=None if site == "encoder_self" else self.tgt,
            annotations=self.annotations,
        )


def keyed_normal(name: str, *shape: int) -> Tensor:
    """Return standard normal float32 numbers that depend on `name` and the shape only."""
    return torch.empty(shape).normal_(0.0, 1.0, generator=_keyed_generator(name, *shape))


def _keyed_generator(name: str, *shape: int) -> torch.Generator:
    return torch_generator(Key.of(0, "picture", name, *shape))
