"""Masks on the vocabulary scores: which words the model may output, and the lexicon of `source_vocabulary`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from maskbench.config.schema.experiment import Refresh
from maskbench.data.corpus import Ragged
from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import N_SPECIAL, SPECIAL_NAMES, UNK
from maskbench.errors import ConfigError
from maskbench.masks.base import LogitMask, StrategyOptions
from maskbench.masks.context import LogitContext, Sizes
from maskbench.masks.schedules import RatioEach
from maskbench.masks.strategies.inputs.token_selection import bernoulli
from maskbench.registry import MASKS

Numbers = npt.NDArray[np.int64]

_CHUNK = 4_000_000
"""Word pairs that are counted at a time, to bound the memory."""


def build_dice_lexicon(sources: Ragged, targets: Ragged, vocab_size: int, k: int) -> Numbers:
    """Return for every entry the `k` target entries that go with it best, best first: `[vocab, k]`, -1 where none is.

    dice(s, t) = 2 n(s, t) / (n(s) + n(t)), where n counts the sentence pairs that contain s, t, or both (Dice 1945).
    Marks have no translations and are none; of equals the entry with the smaller id comes first.
    """
    src, tgt = _unique_entries(sources, vocab_size), _unique_entries(targets, vocab_size)
    n_src = np.bincount(src[1], minlength=vocab_size)
    n_tgt = np.bincount(tgt[1], minlength=vocab_size)
    together, counts = _count_cooccurrences(src, tgt, len(sources), vocab_size)
    s, t = np.divmod(together, vocab_size)
    dice = 2 * counts / (n_src[s] + n_tgt[t])
    order = np.lexsort((t, -dice, s))
    s, t = s[order], t[order]
    place = np.arange(len(s)) - np.searchsorted(s, s)
    best = place < k
    table = np.full((vocab_size, k), -1, dtype=np.int64)
    table[s[best], place[best]] = t[best]
    return table


def most_frequent_entries(rows: Ragged, count: int) -> Numbers:
    """Return the `count` entries that occur most often, marks left out; of equals those with the smaller id."""
    counts = np.bincount(rows.values)
    counts[:N_SPECIAL] = 0
    ranked = np.argsort(-counts, kind="stable")[:count]
    return ranked[counts[ranked] > 0].astype(np.int64)


def _unique_entries(rows: Ragged, vocab_size: int) -> tuple[Numbers, Numbers]:
    """Return (row, entry) for every ordinary entry of every row, each once, rows ascending."""
    row = np.repeat(np.arange(len(rows), dtype=np.int64), rows.lengths)
    ordinary = rows.values >= N_SPECIAL
    found = np.unique(row[ordinary] * vocab_size + rows.values[ordinary])
    return np.divmod(found, vocab_size)


def _count_cooccurrences(
    src: tuple[Numbers, Numbers], tgt: tuple[Numbers, Numbers], n_rows: int, vocab_size: int
) -> tuple[Numbers, Numbers]:
    """Return every pair that occurs together as `s * vocab_size + t`, ascending, and in how many rows it does."""
    keys, counts = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for chunk in _pairs(src, tgt, n_rows, vocab_size):
        new, seen = np.unique(chunk, return_counts=True)
        keys, places = np.unique(np.concatenate([keys, new]), return_inverse=True)
        counts = np.bincount(places, weights=np.concatenate([counts, seen])).astype(np.int64)
    return keys, counts


def _pairs(
    src: tuple[Numbers, Numbers], tgt: tuple[Numbers, Numbers], n_rows: int, vocab_size: int
) -> Iterator[Numbers]:
    """Yield the pairs of all rows, some rows at a time."""
    per_row = np.bincount(tgt[0], minlength=n_rows)
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(per_row)])
    partners = per_row[src[0]]
    ends = np.cumsum(partners)
    start = 0
    while start < len(partners):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        many = partners[start:stop]
        within = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
        places = np.repeat(first[src[0][start:stop]], many) + within
        yield np.repeat(src[1][start:stop], many) * vocab_size + tgt[1][places]
        start = stop


class BanTokensOptions(StrategyOptions):
    """Which words are banned."""

    tokens: list[str] = Field(min_length=1)
    """Vocabulary entries, as the vocabulary writes them; `<unk>` among them."""


@MASKS.register("ban_tokens")
class BanTokens(LogitMask):
    """The listed words get probability 0: they are never produced.

    score(v) = -inf for banned v. In training the gold token is never banned, so a banned word that the reference has
    is still learned; the reported nll never uses the mask.
    """

    sites = frozenset({"logits"})
    default_phases = ("train", "eval")
    source = "Wolf et al. 2020 (bad-words processing in Transformers, arXiv:1910.03771)"
    Options = BanTokensOptions
    example = BanTokensOptions(tokens=["<unk>"])

    def __init__(self, options: BanTokensOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        ids = {token: UNK if token == SPECIAL_NAMES[UNK] else sizes.id_of(token) for token in options.tokens}
        unknown = [token for token, i in ids.items() if i is None]
        if unknown:
            raise ConfigError(
                f"ban_tokens: the vocabulary has no entry {', '.join(map(repr, unknown))}; "
                "give entries as the vocabulary writes them (with BPE, pieces of words)"
            )
        allowed = torch.ones(sizes.vocab_size, dtype=torch.bool)
        allowed[[i for i in ids.values() if i is not None]] = False
        self.register_buffer("keep", allowed, persistent=False)

    def allowed(self, options: BanTokensOptions, ctx: LogitContext) -> Bool[Tensor, "vocab"]:
        return self.get_buffer("keep")


class DropVocabularyOptions(StrategyOptions):
    """How much of the vocabulary is dropped."""

    ratio: RatioEach = 0.1
    """Share of the ordinary vocabulary entries that a sentence does without."""


@MASKS.register("drop_vocabulary")
class DropVocabulary(LogitMask):
    """Every sentence does without a random share of the vocabulary: those words get probability 0.

    score(v) = -inf where a number drawn for (sentence, v) is below the ratio. Marks always stay, and in training the
    gold token does. Multiplying scores by 0 instead would leave a hidden word with the weight exp(0) = 1.
    """

    sites = frozenset({"logits"})
    stochastic = True
    default_refresh = Refresh(per="example")
    source = "Jean et al. 2015 (a softmax over a sampled vocabulary, arXiv:1412.2007), with uniform choice"
    Options = DropVocabularyOptions
    example = DropVocabularyOptions(ratio=0.3)

    def allowed(self, options: DropVocabularyOptions, ctx: LogitContext) -> Bool[Tensor, "#batch 1 vocab"]:
        assert ctx.draws is not None  # stochastic: the plan always draws
        entries = torch.arange(self.sizes.vocab_size, device=ctx.prefix.device)
        ratio = options.ratio[:, None, None] if isinstance(options.ratio, Tensor) else options.ratio
        word = ctx.draws.words(entries[None], entries[None] * 0)[0]
        return ~bernoulli(word, ratio) | (entries < N_SPECIAL)


class NoRepeatNgramOptions(StrategyOptions):
    """How long a repetition must be."""

    n: int = Field(3, ge=1, le=20)
    """No run of this many tokens is said twice in a sentence; 1 forbids every repetition of a token."""


@MASKS.register("no_repeat_ngram")
class NoRepeatNgram(LogitMask):
    """A word that would complete a run of `n` words the sentence already has is not said.

    score(v) = -inf at position t if the n - 1 tokens before t, followed by v, occur among the tokens before t. The mark
    at the front counts for none of them, and the end mark is never banned. It acts in decoding; the reported nll, which
    teacher-forces, never uses it.
    """

    sites = frozenset({"logits"})
    depends_on = frozenset({"input"})
    default_phases = ("eval",)
    source = "Paulus et al. 2018 (trigrams are never repeated in decoding, arXiv:1705.04304)"
    Options = NoRepeatNgramOptions
    example = NoRepeatNgramOptions(n=1)

    def allowed(self, options: NoRepeatNgramOptions, ctx: LogitContext) -> Bool[Tensor, "batch len vocab"]:
        prefix, rows = ctx.prefix, ctx.positions[:, None]
        ends = torch.arange(prefix.shape[1], device=prefix.device)
        # An n-gram that ends at `ends` lies behind the front mark, and a row must itself have n - 1 tokens behind it.
        repeats = ((ends >= options.n) & (ends <= rows) & (rows >= options.n - 1))[None]
        for back in range(options.n - 1):
            own = prefix[:, (ctx.positions - back).clamp(min=0)]
            earlier = prefix[:, (ends - 1 - back).clamp(min=0)]
            repeats = repeats & (own[:, :, None] == earlier[:, None])
        shape = (len(prefix), len(ctx.positions), prefix.shape[1])
        # What is not banned is written to one more column, which is cut off.
        said = torch.where(repeats, prefix[:, None], self.sizes.vocab_size).expand(shape)
        banned = torch.zeros(*shape[:2], self.sizes.vocab_size + 1, dtype=torch.bool, device=prefix.device)
        return ~banned.scatter(-1, said, True)[..., :-1]


class SourceVocabularyOptions(StrategyOptions):
    """How many words a source opens."""

    k: int = Field(50, ge=1)
    """Likeliest translations of every source word."""
    frequent: int = Field(100, ge=0)
    """Most frequent target words, open to every source."""


@MASKS.register("source_vocabulary")
class SourceVocabulary(LogitMask):
    """Only likely translations of the source's words, frequent words and marks may be said.

    allowed(v) = v is among the `k` best partners of some source token, or among the `frequent` commonest target tokens,
    or a mark. Partners are ranked by their Dice coefficient over the training pairs. The source is read before any
    token mask. It acts in decoding unless `phases` says otherwise; in training the gold token always stays.
    """

    sites = frozenset({"logits"})
    depends_on = frozenset({"input"})
    default_phases = ("eval",)
    source = (
        "Jean et al. 2015 (candidate lists from a lexicon, arXiv:1412.2007); Dice 1945 for the coefficient"
    )
    Options = SourceVocabularyOptions
    example = SourceVocabularyOptions(k=1, frequent=1)

    def __init__(self, options: SourceVocabularyOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        if sizes.facts.pairs is None:
            raise ConfigError(
                "source_vocabulary: makes its lexicon from training pairs, and there are none here"
            )
        sources, targets = sizes.facts.pairs()
        lexicon = torch.from_numpy(build_dice_lexicon(sources, targets, sizes.vocab_size, options.k))
        always = torch.zeros(sizes.vocab_size, dtype=torch.bool)
        always[:N_SPECIAL] = True
        always[torch.from_numpy(most_frequent_entries(targets, options.frequent))] = True
        self.register_buffer("lexicon", lexicon, persistent=False)
        self.register_buffer("always", always, persistent=False)

    def allowed(self, options: SourceVocabularyOptions, ctx: LogitContext) -> Bool[Tensor, "batch 1 vocab"]:
        batch, size = len(ctx.src_ids), self.sizes.vocab_size
        real = real_tokens(ctx.src_lengths, ctx.src_ids.shape[1])
        partners = self.get_buffer("lexicon")[ctx.src_ids].masked_fill(~real[..., None], -1)
        # Places without a partner are written to one more column, which is cut off.
        partners = torch.where(partners < 0, size, partners).reshape(batch, -1)
        opened = torch.zeros(batch, size + 1, dtype=torch.bool, device=ctx.src_ids.device)
        opened = opened.scatter(1, partners, True)[:, :-1]
        return (opened | self.get_buffer("always"))[:, None]
