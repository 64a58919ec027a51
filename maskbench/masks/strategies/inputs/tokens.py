"""`tokens`: replaces a share of the input words of the encoder or the decoder."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field, model_validator
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig, Refresh
from maskbench.data.padding import are_real
from maskbench.data.vocabulary import EOS
from maskbench.errors import ConfigError
from maskbench.masks.base import INPUT_SITES, StrategyOptions, TokenMask
from maskbench.masks.context import Sizes, TokenContext, TokenInput
from maskbench.masks.corpus_statistics import CorpusStatistics
from maskbench.masks.schedules import RatioEach
from maskbench.masks.strategies.inputs.selection_order import PositionPreference, priority_mask
from maskbench.masks.strategies.inputs.token_replacement import (
    PickedTokens,
    Replacement,
    delete_tokens,
    replace_tokens,
    tokens_to_delete,
)
from maskbench.masks.strategies.inputs.token_selection import CountRule, num_to_mask, pick_units
from maskbench.masks.strategies.inputs.token_units import SpanOptions, Units, assign_spans, pick_running_spans
from maskbench.registry import MASKS


class AlwaysVisible(StrategyOptions):
    """Tokens that are never picked."""

    first: int = Field(0, ge=0)
    """So many tokens at the front of the sentence; the mark at the front of the decoder's input is not counted."""
    last: int = Field(0, ge=0)
    """So many tokens before the end mark; at the encoder only."""
    tokens: list[str] = Field(default_factory=list)
    """Vocabulary entries, as the vocabulary writes them."""


class TokensOptions(StrategyOptions):
    """How many tokens are hidden, which, and how."""

    ratio: RatioEach
    """Share of the eligible units that is picked."""
    replace: Replacement = Replacement(mask=1.0)
    """`mask`, `random`, `keep`, `zero`, `delete`, or a mix such as {mask: 0.8, random: 0.1, keep: 0.1}."""
    count: CountRule | None = None
    """`rounded` (the encoder's default), `floor`, `ceil`, `at_least_one` or `bernoulli` (the decoder's only rule)."""
    unit: Literal["token", "word", "span"] = "token"
    """What is picked as one: a token, a word with all its pieces, or a span."""
    span: SpanOptions | None = None
    """With `unit: span`: how long spans are, and whether of tokens or of words."""
    positions: PositionPreference = "uniform"
    """Which half of the units is picked first, and evenly: `prefix`, `suffix`, `middle`, `ends`, `rare`, `frequent`."""
    collapse: bool = False
    """Whether a picked word or span becomes one mask token instead of one for each token; at the encoder only."""
    always_visible: AlwaysVisible = AlwaysVisible()
    """Tokens that are never picked: {first: 1, last: 1, tokens: [the]}."""

    @model_validator(mode="after")
    def _check_consistency(self) -> TokensOptions:
        if self.unit != "span" and self.span is not None:
            raise ValueError(
                f"span: describes spans, but unit is {self.unit}; say unit: span or leave it out"
            )
        if self.collapse and self.unit == "token":
            raise ValueError(
                "collapse: joins the tokens of a unit, and a token has one; use unit: word or span"
            )
        if self.collapse and self.replace.mask != 1:
            raise ValueError("collapse: a unit becomes one mask token, so replace must be mask")
        if self.positions != "uniform" and self.count == "bernoulli":
            raise ValueError(f"positions: {self.positions} ranks the units; use another count than bernoulli")
        if self.positions != "uniform" and self.unit == "span":
            raise ValueError(
                f"positions: spans are laid out at random; {self.positions} goes with token or word"
            )
        return self

    @property
    def counted(self) -> str:
        """What the ratio is a share of: "token" or "word"."""
        if self.unit == "span":
            return (self.span or SpanOptions()).of
        return self.unit


@MASKS.register("tokens")
class Tokens(TokenMask):
    """A share of the words of every sentence is hidden from the encoder or the decoder; the labels stay.

    Of n eligible units (tokens, words; for spans, the tokens or words they hold), r n are picked on average (`count`),
    and become the mask token or a random word, are kept, lose their embedding, or are taken out. Padding, marks and
    unknown words are never picked; a word is cut where a token of it is not eligible. A word is what stands between
    blanks; in text of a script without blanks, a character; text without either is refused. Tokens of a span share their
    fate, pieces of a word do not. With `collapse` a unit becomes one mask token (BART's infilling; its insertions of
    mask tokens, spans of length 0, are left out, and T5's numbered marks are one mark here).

    At the decoder a pick depends on the tokens up to its own: a word is decided at its first piece, a span at its
    start. How often a new mask is drawn is the placement's `refresh`: one variant is a static mask, ten are BERT's
    copies, unlimited is RoBERTa's dynamic masking.
    """

    sites = INPUT_SITES
    stochastic = True
    default_refresh = Refresh(per="example")
    source = (
        "Devlin et al. 2019 (BERT, arXiv:1810.04805); Liu et al. 2019 (RoBERTa, arXiv:1907.11692); "
        "Joshi et al. 2020 (SpanBERT, arXiv:1907.10529); Lewis et al. 2020 (BART, arXiv:1910.13461)"
    )
    Options = TokensOptions
    example = TokensOptions(ratio=0.3)

    def __init__(self, options: TokensOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.count: CountRule = options.count or ("rounded" if site == "encoder_input" else "bernoulli")
        by_word = options.counted == "word"
        # Where words are read off the tokens before, a decoding step cannot be computed alone.
        self.cacheable = site == "encoder_input" or not by_word
        counts = sizes.facts.counts
        edges = _word_edges(sizes.facts, site) if by_word else None
        if options.positions in ("rare", "frequent") and counts is None:
            raise ConfigError(f"tokens: positions: {options.positions} needs the corpus's token counts")
        self.register_buffer("word_edges", edges, persistent=False)
        self.counts: Tensor | None
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer(
            "shown", _entries_never_picked(options.always_visible.tokens, sizes), persistent=False
        )

    @classmethod
    def check(cls, site: str, options: TokensOptions, placement: PlacementConfig, model: ModelConfig) -> None:
        super().check(site, options, placement, model)
        if site != "decoder_input":
            return
        if options.count not in (None, "bernoulli"):
            raise ValueError(
                f"count: {options.count} needs the sentence's length, which the decoder may not know; use bernoulli"
            )
        if options.positions != "uniform":
            raise ValueError(
                f"positions: {options.positions} needs the whole sentence; the decoder takes uniform"
            )
        if options.replace.delete:
            raise ValueError(
                "replace: delete would move the decoder's tokens away from their labels; use mask"
            )
        if options.collapse:
            raise ValueError("collapse: would move the decoder's tokens away from their labels; leave it out")
        if options.always_visible.last:
            raise ValueError("always_visible: last needs the sentence's end, which the decoder may not know")

    def change(
        self, options: TokensOptions, ctx: TokenContext
    ) -> tuple[TokenInput, Bool[Tensor, "batch len"]]:
        eligible = ctx.eligible & ~self._visible(options.always_visible, ctx)
        units = (
            Units.from_tokens(eligible)
            if options.counted == "token"
            else Units.from_words(eligible, ctx.current.ids, self.get_buffer("word_edges"))
        )
        chosen = (
            self._spans(options, ctx, units) if options.unit == "span" else self._units(options, ctx, units)
        )
        changed = replace_tokens(ctx.current, chosen, options.replace, self.sizes.vocab_size)
        if options.collapse:
            changed = delete_tokens(changed, chosen.picked & ~chosen.begins, chosen.picked, ctx.lengths)
        elif options.replace.delete:
            changed = delete_tokens(
                changed, tokens_to_delete(chosen, options.replace), chosen.picked, ctx.lengths
            )
        return changed, chosen.picked

    def _units(self, options: TokensOptions, ctx: TokenContext, units: Units) -> PickedTokens:
        """Pick tokens or words."""
        assert ctx.draws is not None  # stochastic: the plan always draws
        first = None
        if options.positions != "uniform":
            first = priority_mask(options.positions, units, ctx.current.ids, self.counts)
        starts, (fate, word) = pick_units(
            units.starts, options.ratio, self.count, ctx.draws, ctx.positions, first
        )
        picked = starts if options.unit == "token" else units.expand_to_tokens(starts)
        return PickedTokens(picked, starts, fate, word)

    def _spans(self, options: TokensOptions, ctx: TokenContext, units: Units) -> PickedTokens:
        """Pick spans; tokens of a span share their fate."""
        assert ctx.draws is not None  # as above
        spans = options.span or SpanOptions()
        _, fate, word, _ = ctx.draws.words(ctx.positions, torch.zeros_like(ctx.positions))
        if self.count == "bernoulli":
            picked, fate = pick_running_spans(units, ctx.positions, options.ratio, spans, ctx.draws)
            begins = picked & ~_before(picked, False)
            return PickedTokens(picked, begins, fate, word)
        chances = torch.tensor(spans.length_probabilities(), dtype=torch.float64, device=fate.device)
        wanted = num_to_mask(units.starts.sum(1, keepdim=True), options.ratio, self.count, ctx.draws)
        number = assign_spans(units, wanted, chances, ctx.draws)
        picked = number >= 0
        begins = picked & (number != _before(number, -1))
        fate = fate.expand(picked.shape).gather(1, _last_true_column(begins))
        return PickedTokens(picked, begins, fate, word)

    def _visible(self, options: AlwaysVisible, ctx: TokenContext) -> Bool[Tensor, "batch len"]:
        """Return True on the tokens that are never picked."""
        ids = ctx.current.ids
        shown: Tensor = self.get_buffer("shown")[ids]
        front = options.first + (self.site == "decoder_input")
        shown = shown | (ctx.positions < front)
        if options.last:
            real = are_real(ctx.positions, ctx.lengths) & (ids > EOS)
            shown = shown | (real.flip(1).cumsum(1).flip(1) <= options.last)
        return shown


def _word_edges(facts: CorpusStatistics, site: str) -> Bool[Tensor, "5 vocab"]:
    """Return where words begin at a site.

    Raises:
        ConfigError: the corpus does not say.
    """
    side, edges = (
        ("sources", facts.source_words) if site == "encoder_input" else ("targets", facts.target_words)
    )
    if side in facts.no_words:
        raise ConfigError(
            f"tokens: the {side} of the corpus have no words ({facts.no_words[side]}), so {site} with words as units "
            "would hide whole sentences or nothing; use unit: token, and tokenizer: bpe or char, or divide the text by "
            "spaces"
        )
    if edges is None:
        raise ConfigError("tokens: the corpus does not say where words begin; use unit: token")
    return edges


def _entries_never_picked(tokens: list[str], sizes: Sizes) -> Bool[Tensor, "vocab"]:
    """Return True on the vocabulary entries that are never picked."""
    ids: dict[str, Any] = {token: sizes.id_of(token) for token in tokens}
    unknown = [token for token, index in ids.items() if index is None]
    if unknown:
        raise ConfigError(
            f"tokens: always_visible: the vocabulary has no entry {', '.join(map(repr, unknown))}; "
            "give entries as the vocabulary writes them (with BPE, pieces of words)"
        )
    shown = torch.zeros(sizes.vocab_size, dtype=torch.bool)
    shown[list(ids.values())] = True
    return shown


def _before(values: Tensor, first: int) -> Tensor:
    """Return the values moved one column to the right, with `first` in the first column."""
    return torch.cat([torch.full_like(values[:, :1], first), values[:, :-1]], dim=1)


def _last_true_column(flags: Bool[Tensor, "batch len"]) -> Int[Tensor, "batch len"]:
    """Return the column of the last True at or before each column, 0 where there is none."""
    columns = torch.arange(flags.shape[1], device=flags.device)
    return torch.where(flags, columns, 0).cummax(1).values
