"""Beam search: extend the likeliest partial translations of every sentence (Lowerre 1976; Graves 2012).

A step extends every unfinished hypothesis by every token and keeps the `beam_size` likeliest extensions of
each sentence. Extensions that end are finished and get their score, the others continue; beam size 1 is
greedy search. A hypothesis that reaches its sentence's length limit ends there, with the score of its
tokens. The search of a sentence stops when no unfinished hypothesis can score higher than the finished ones;
this changes no result.

The score of a translation Y is log P(Y | X) / lp(Y) with lp(Y) = ((5 + |Y|) / 6)^alpha, where |Y| counts the
end mark (Wu et al. 2016, "Google's neural machine translation system", equation 14, arXiv:1609.08144,
without its coverage penalty). P is the model's probability: tokens that logit masks hide are never chosen
but keep their share of it, so that teacher forcing gives the same score.

A translation does not depend on the other sentences of its batch. Equal scores of a step are ranked by the
rank of their prefix, then by token id; finished translations with equal scores by their last step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskbench.data.vocabulary import EOS
from maskbench.decoding.best_tokens import stable_topk
from maskbench.decoding.decoding_state import DecodingState, evaluation_mode, length_limits
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.model.transformer import EncoderDecoder


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished translation."""

    tokens: list[int]
    """Token ids without the end mark."""
    score: float
    """Log-likelihood in nats divided by the length penalty; at most 0."""
    ended: bool = True
    """Whether the model ended it; False: it was cut at the length limit."""


def length_penalty(length: int, alpha: float) -> float:
    """Return the divisor of a log-likelihood, ((5 + length) / 6)^alpha (Wu et al. 2016, equation 14).

    Args:
        length: in tokens, end mark included.
        alpha: 0 ranks by likelihood alone, positive values favour longer translations, negative ones
            shorter.
    """
    return float(((5 + length) / 6) ** alpha)


def beam_search(
    model: EncoderDecoder,
    source: SourceBatch,
    clock: Clock,
    *,
    beam_size: int,
    alpha: float,
    max_length_ratio: float,
    n_best: int = 1,
    cached: bool | None = None,
) -> list[list[Hypothesis]]:
    """Return the best translations found of every source, best first, all different.

    Each list has `n_best` translations, or fewer where fewer exist.

    Args:
        source: the sentences to translate, each ends with EOS.
        clock: of phase "eval".
        beam_size: number of extensions per sentence that a step keeps; at least `n_best`.
        alpha: the exponent of the length penalty.
        max_length_ratio: a translation is cut at this many tokens per source token plus 10, or at the
            model's last position.
        cached: whether to keep keys and values; None: where the plan allows it.
    """
    with evaluation_mode(model):
        limits = length_limits(source.lengths, max_length_ratio, model.max_length)
        state = DecodingState.start(model, source, clock, int(limits.max()), cached)
        sentences = [_Sentence(limit, alpha, n_best) for limit in limits.tolist()]
        search = _Search(state, sentences, beam_size, limits)
        while search.goes_on:
            search.step()
        return [sentence.finished for sentence in sentences]


@dataclass(slots=True)
class _Sentence:
    """The finished translations of one sentence."""

    limit: int
    """Maximal length in tokens, end mark included."""
    alpha: float
    n_best: int
    finished: list[Hypothesis] = field(default_factory=list)
    """At most `n_best`, best first."""

    def finish(self, said: list[int], log_likelihood: float) -> None:
        """Add a finished hypothesis and keep the `n_best` of all.

        Args:
            said: its tokens, with the end mark if it has one.
            log_likelihood: in nats.
        """
        score = log_likelihood / length_penalty(len(said), self.alpha)
        ended = said[-1] == EOS
        self.finished.append(Hypothesis(said[:-1] if ended else said, score, ended))
        self.finished.sort(key=lambda hypothesis: -hypothesis.score)
        del self.finished[self.n_best :]

    def may_improve(self, log_likelihood: float, length: int) -> bool:
        """Return whether an unfinished hypothesis of `length` tokens could still become one of the `n_best`.

        Its log-likelihood can only fall, and the penalty is monotone in the final length.
        """
        if len(self.finished) < self.n_best:
            return True
        most = max(length_penalty(end, self.alpha) for end in (length + 1, self.limit))
        return log_likelihood / most > self.finished[-1].score


@dataclass(slots=True)
class _Search:
    """The unfinished hypotheses of a batch, one per row: sentence by sentence, likeliest first."""

    state: DecodingState
    sentences: list[_Sentence]
    beam_size: int
    limits: Int[Tensor, "sentences"]
    """Maximal length of every translation in tokens, end mark included."""
    sentence: Int[Tensor, "rows"] = field(init=False)
    """Index of the sentence that each row translates, ascending."""
    log_likelihood: Float[Tensor, "rows"] = field(init=False)
    """In nats; float64, so that rounding of the sum does not make different hypotheses equal."""

    def __post_init__(self) -> None:
        self.sentence = torch.arange(len(self.sentences), device=self.state.tokens.device)
        self.log_likelihood = torch.zeros_like(self.sentence, dtype=torch.float64)

    @property
    def goes_on(self) -> bool:
        """Whether some hypothesis is unfinished."""
        return len(self.sentence) > 0

    def step(self) -> None:
        """Extend every hypothesis by one token; keep those that can still be among the `n_best`."""
        parent, token, total = self._extensions()
        sentence, length = self.sentence[parent], self.state.length + 1
        ends = (token == EOS) | (length >= self.limits[sentence])
        ended = ends.nonzero().flatten()
        said = torch.cat((self.state.tokens[parent[ended], 1:], token[ended, None]), dim=1)
        # A tensor is read at once, because each read of one number waits for the device.
        for s, tokens, value in zip(
            sentence[ended].tolist(), said.tolist(), total[ended].tolist(), strict=True
        ):
            self.sentences[s].finish(tokens, value)
        hopes = zip(ends.tolist(), sentence.tolist(), total.tolist(), strict=True)
        lives = [not end and self.sentences[s].may_improve(value, length) for end, s, value in hopes]
        kept = torch.tensor(lives, device=sentence.device).nonzero().flatten()
        self.sentence, self.log_likelihood = sentence[kept], total[kept]
        self.state.select(parent[kept])
        self.state.append(token[kept])

    def _extensions(self) -> tuple[Int[Tensor, "kept"], Int[Tensor, "kept"], Float[Tensor, "kept"]]:
        """Return the likeliest extensions: the row that each extends, its token, its log-likelihood in nats.

        Ordered by sentence, then likeliest first.
        """
        scores = self.state.next_token_scores()
        log_probabilities = scores.log_softmax(-1)
        possible = self.state.mask_forbidden(scores)
        # The `beam_size` best extensions of a sentence contain at most `beam_size` tokens of one hypothesis.
        token = stable_topk(possible, min(self.beam_size, possible.shape[1]))
        best = possible.gather(1, token).double()
        # The log of the sum over the vocabulary, from the first token's score and log-probability: `logsumexp`
        # takes half as long again as `log_softmax`.
        of_all = best[:, :1] - log_probabilities.gather(1, token[:, :1])
        total = self.log_likelihood[:, None] + (best - of_all).masked_fill(best == -math.inf, -math.inf)
        is_first = torch.ones_like(self.sentence, dtype=torch.bool)
        is_first[1:] = self.sentence[1:] != self.sentence[:-1]
        first, row_of = is_first.nonzero().flatten(), is_first.cumsum(0) - 1
        place = torch.arange(len(row_of), device=row_of.device) - first[row_of]
        width = total.shape[1]
        table = total.new_full((len(first), int(place.max()) + 1, width), -math.inf)
        table[row_of, place] = total
        table = table.flatten(1)
        chosen = stable_topk(table, min(self.beam_size, table.shape[1]))
        value = table.gather(1, chosen)
        there = value > -math.inf
        parent = (first[:, None] + chosen // width)[there]
        return parent, token[parent, (chosen % width)[there]], value[there]
