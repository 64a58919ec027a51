"""Build a corpus from pairs of files: select training pairs, learn the vocabulary, and write notes.

A training pair with an empty or invisible side, or longer than `max_length`, is left out, counted and listed. An
evaluation pair is never left out, because scores on different sets of sentences are not comparable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maskbench.data.corpus import Corpus, Split, assemble_corpus, encode_split
from maskbench.data.generation.noise import list_unaltered, make_noisy_splits
from maskbench.data.sameness import dealing_key
from maskbench.data.text.pair_files import Pair, SentencePairs
from maskbench.data.text.score_notes import describe_score_pitfalls
from maskbench.data.text.text_files import name_lines
from maskbench.data.untrained_positions import count_untrained_positions, longest_side
from maskbench.data.vocabulary import (
    N_SPECIAL,
    BpeVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)
from maskbench.data.words import choose_rule, lacks_white_space
from maskbench.errors import CorpusError
from maskbench.text import count_of, is_invisible

MAX_EVALUATION_TOKENS: Final = 1024
"""Maximum length of an evaluation pair, in tokens, on either side, unless `max_length` is larger."""

_INVISIBLE_SIDE: Final = "a side of nothing but invisible characters (zero-width, control or format)"


class TextOptions(BaseModel):
    """Options for reading, tokenising and selecting text from files."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    tokenizer: Literal["bpe", "word", "char"] = Field(
        default="bpe", description="subwords of both languages, words, or characters (a space is one)"
    )
    vocab_size: int = Field(default=8_000, ge=6, le=200_000, description="most entries, 5 marks among them")
    lowercase: bool = Field(
        default=False, description="lower the case of everything as it is read, references too"
    )
    max_length: int = Field(
        default=100, ge=1, le=16_384, description="longer training pairs are left out (tokens)"
    )
    min_frequency: int = Field(
        default=1, ge=1, description="rarer words or characters are unknown (not with bpe)"
    )

    @model_validator(mode="after")
    def _tokenizer_makes_sense(self) -> Self:
        if self.tokenizer == "bpe" and self.vocab_size < N_SPECIAL + 256:
            raise ValueError(
                f"vocab_size must be at least {N_SPECIAL + 256} (all bytes and the marks) with bpe"
            )
        if self.tokenizer == "bpe" and self.min_frequency > 1:
            raise ValueError("min_frequency is for tokenizer: word or char; bpe knows every word")
        return self


class TrainingSelection(NamedTuple):
    """The training pairs that are used, the vocabulary learned on them, and what was left out."""

    text: SentencePairs
    vocabulary: Vocabulary
    empty: list[int]
    """Indices in the whole text of the pairs with an empty side."""
    invisible: list[int]
    """Indices in the whole text of the pairs with a side of invisible characters only, and none empty."""
    too_long: list[int]
    """Indices in the whole text of the pairs longer than `max_length` on either side."""


def build_text_corpus(
    name: str, texts: Mapping[str, SentencePairs], options: TextOptions, notes: Iterable[str] = ()
) -> Corpus:
    """Learn the vocabulary on the training text, encode, and add the noisy copies of the first test split.

    Args:
        name: the name of the corpus.
        texts: the pairs by the split's name: "train", "valid", and the test splits in order.
        options: how to read and tokenise them.
        notes: sentences to put before the notes on the text.

    Raises:
        CorpusError: a split has no pairs, all its sources or all its references are empty, or an evaluation pair is
            longer than `MAX_EVALUATION_TOKENS` and `max_length`.
    """
    texts = _read(texts, options)
    chosen = _select(texts["train"], options)
    train = encode_split("train", chosen.text.pairs, chosen.vocabulary)
    said = [*notes, *(note for text in _different(texts) for note in text.notes)]
    said += _left_out_notes(texts["train"], chosen, options.max_length)
    splits = [train]
    for split, text in texts.items():
        if split != "train":
            splits.append(_evaluation_split(split, text, chosen.vocabulary, options.max_length))
            said += _invisible_notes(split, text.pairs)
    said += describe_score_pitfalls(texts, splits)
    said += _length_notes(train, splits[1:])
    rule = choose_rule(train.sources)
    words = sorted({word for line in train.sources for word in rule.split(line)})
    noisy = make_noisy_splits(splits[2], chosen.vocabulary, words, rule)
    said += _word_notes(train, options.tokenizer) + list_unaltered(splits[2], noisy, rule)
    return assemble_corpus(name, chosen.vocabulary, [*splits, *noisy], said)


def list_left_out(texts: Mapping[str, SentencePairs], options: TextOptions) -> list[str]:
    """Return `file:line: reason` for every training pair that is left out, sorted by reason and line."""
    text = _read(texts, options)["train"]
    chosen = _select(text, options)
    reasons = {
        "has an empty side": chosen.empty,
        "has a side of invisible characters only": chosen.invisible,
        f"longer than {options.max_length} tokens": chosen.too_long,
    }
    return [f"{text.locate(i, 0)}: {reason}" for reason, places in reasons.items() for i in places]


def deal_splits(text: SentencePairs, shares: Mapping[str, float]) -> dict[str, SentencePairs]:
    """Divide a text into "train" and a split for every share, by a hash of the source (`dealing_key`).

    So all pairs with the same source are in one split, however it is written, and the split of a pair depends
    neither on the order of the lines nor on other lines. Pairs with an empty or invisible side go to train, where
    they are left out and counted.

    Raises:
        CorpusError: a split gets no pair.
    """
    places: dict[str, list[int]] = {name: [] for name in ("train", *shares)}
    for i, pair in enumerate(text.pairs):
        places[_dealt_to(pair, shares)].append(i)
    for name in shares:
        if not places[name]:
            raise CorpusError(
                f"{text.source.files[0]}: a share of {shares[name]:g} of its pairs for {name} comes to none; raise it,"
                f" or give {name} files of its own"
            )
    return {name: text.select(chosen) for name, chosen in places.items()}


def _dealt_to(pair: Pair, shares: Mapping[str, float]) -> str:
    if _is_full(pair):
        digest = hashlib.blake2b(dealing_key(pair[0]).encode("utf-8"), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        for name, share in shares.items():
            if place < share:
                return name
            place -= share
    return "train"


def _different(texts: Mapping[str, SentencePairs]) -> list[SentencePairs]:
    """Return one text per file, since splits taken from the same file share its notes."""
    return list({text.source: text for text in texts.values()}.values())


def _read(texts: Mapping[str, SentencePairs], options: TextOptions) -> Mapping[str, SentencePairs]:
    return {name: text.lowercased() for name, text in texts.items()} if options.lowercase else texts


def _is_full(pair: Pair) -> bool:
    return not any(map(is_invisible, pair))


def _has_empty_side(pair: Pair) -> bool:
    return not (pair[0].strip() and pair[1].strip())


def _select(text: SentencePairs, options: TextOptions) -> TrainingSelection:
    full = [i for i, pair in enumerate(text.pairs) if _is_full(pair)]
    if not full:
        raise CorpusError(f"{text.source.files[0]}: there is no training pair with two sides")
    not_full = sorted(set(range(len(text.pairs))) - set(full))
    empty = [i for i in not_full if _has_empty_side(text.pairs[i])]
    invisible = [i for i in not_full if not _has_empty_side(text.pairs[i])]
    # The vocabulary is also learned on the pairs that are too long.
    vocabulary = _learn(text.select(full).pairs, options)
    split = encode_split("train", text.select(full).pairs, vocabulary)
    # The EOS at the end of each side is not counted.
    fits = (split.src.lengths <= options.max_length + 1) & (split.tgt.lengths <= options.max_length + 1)
    kept = [i for i, fit in zip(full, fits, strict=True) if fit]
    if not kept:
        raise CorpusError(
            f"{text.source.files[0]}: all {len(full)} training pairs are longer than max_length"
            f" {options.max_length}; raise it"
        )
    too_long = [i for i, fit in zip(full, fits, strict=True) if not fit]
    return TrainingSelection(text.select(kept), vocabulary, empty, invisible, too_long)


def _learn(pairs: Sequence[Pair], options: TextOptions) -> Vocabulary:
    texts = (text for pair in pairs for text in pair)
    if options.tokenizer == "bpe":
        return BpeVocabulary.train(texts, size=options.vocab_size)
    kind = WordVocabulary if options.tokenizer == "word" else CharacterVocabulary
    return kind.train(texts, size=options.vocab_size, min_frequency=options.min_frequency)


def _evaluation_split(name: str, text: SentencePairs, vocabulary: Vocabulary, max_length: int) -> Split:
    most = max(MAX_EVALUATION_TOKENS, max_length)
    if not text.pairs:
        raise CorpusError(f"{text.source.files[0]}: has no lines, so nothing can be evaluated on {name}")
    for side, what in enumerate(("source", "reference")):
        if all(is_invisible(pair[side]) for pair in text.pairs):
            raise CorpusError(
                f"{text.locate(0, side)}: every {what} of {name} ({count_of(len(text.pairs), 'line')}) is empty, so"
                f" nothing can be measured on {name}; is the file written completely?"
            )
    split = encode_split(name, text.pairs, vocabulary)
    for side, rows in enumerate((split.src, split.tgt)):
        longest = int(rows.lengths.argmax())
        tokens = int(rows.lengths[longest]) - 1
        if tokens > most:
            raise CorpusError(
                f"{text.locate(longest, side)}: this line has {tokens} tokens, above the limit of"
                f" {most}; evaluation pairs are never left out, so split or shorten the line, or raise max_length"
            )
    return split


def _left_out_notes(text: SentencePairs, chosen: TrainingSelection, max_length: int) -> list[str]:
    reasons = {
        "with an empty side": chosen.empty,
        f"with {_INVISIBLE_SIDE}": chosen.invisible,
        f"longer than {max_length} tokens": chosen.too_long,
    }
    return [
        f"left out of train: {count_of(len(places), 'pair')} {reason} ({name_lines([text.line_numbers[i] for i in places])})"
        for reason, places in reasons.items()
        if places
    ]


def _word_notes(train: Split, tokenizer: str) -> list[str]:
    """Return what a word is in text that is written without blanks between words."""
    notes = []
    for side, lines in (("sources", train.sources), ("targets", train.references)):
        rule = choose_rule(lines)
        if rule.divides:
            notes.append(
                f"the training {side} are written without blanks between words: for noise and for masks with unit:"
                " word, a word is one character there, with its combining marks; divide the text by spaces to have"
                " other words"
            )
        if tokenizer == "word" and lacks_white_space(lines, rule):
            tokens, words = (sum(map(len, map(cut, lines))) for cut in (str.split, rule.split))
            notes.append(
                f"tokenizer: word takes what stands between white space as one token, so the"
                f" {count_of(len(lines), 'line')} of the training {side} have {count_of(tokens, 'token')}, but"
                f" {count_of(words, 'word')}; use tokenizer: bpe or char, or divide the text by spaces"
            )
    return notes


def _length_notes(train: Split, splits: Sequence[Split]) -> list[str]:
    longest = longest_side(train)
    return [
        f"longer than every training pair ({longest} tokens, end mark included): {longer} of"
        f" {count_of(total, 'pair')} of {name}; positions beyond that are never trained"
        for name, (longer, total) in count_untrained_positions(train, splits).items()
    ]


def _invisible_notes(name: str, pairs: Sequence[Pair]) -> list[str]:
    empty = sum(map(_has_empty_side, pairs))
    invisible = sum(not _is_full(pair) for pair in pairs) - empty
    notes = []
    if empty:
        notes.append(f"kept in {name}: {count_of(empty, 'pair')} with an empty side")
    if invisible:
        notes.append(f"kept in {name}: {count_of(invisible, 'pair')} with {_INVISIBLE_SIDE}")
    return notes
