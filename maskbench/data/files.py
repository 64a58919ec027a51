"""The corpus `files`: parallel text of one's own, in two aligned files per split or in one table.

What is read strictly and what is left out gently differ on purpose. A training pair with an empty side, or longer
than `max_length`, teaches nothing and is left out and counted; an evaluation pair is never left out, because a score
on fewer sentences is another score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble, encode_split
from maskbench.data.noise import NOISE_SPLITS, noise_splits
from maskbench.data.text_files import Pair, Source, find, sha256_of
from maskbench.data.vocabulary import N_SPECIAL, BpeVocabulary, Vocabulary, WordVocabulary
from maskbench.errors import CorpusError
from maskbench.registry import CORPORA

MOST_EVALUATION_TOKENS: Final = 1024
"""An evaluation pair may not be longer than this on either side."""

Stem = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class FilesOptions(BaseModel):
    """Options of `files`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="folder of the files; a relative one is looked up from here")
    src: Stem = Field(description="ending of the source files, such as de")
    tgt: Stem = Field(description="ending of the target files, such as en")
    train: Stem = Field(default="train", description="name of the training files without their ending")
    valid: Stem = Field(default="valid", description="name of the validation files")
    test: Stem | list[Stem] = Field(
        default=["test"], description="names of the test files; noise is made from the first"
    )
    tokenizer: Literal["bpe", "word"] = Field(
        default="bpe", description="subwords of both languages, or words"
    )
    vocab_size: int = Field(default=8_000, ge=6, le=200_000, description="most entries, 5 marks among them")
    lowercase: bool = Field(default=False, description="read everything in lower case, references too")
    max_length: int = Field(
        default=100, ge=1, le=1024, description="longer training pairs are left out (tokens)"
    )
    min_frequency: int = Field(default=1, ge=1, description="rarer words are unknown (tokenizer: word)")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.src == self.tgt:
            raise ValueError(f"src and tgt both are {self.src!r}, so they name the same files")
        if self.tokenizer == "bpe" and self.vocab_size < N_SPECIAL + 256:
            raise ValueError(
                f"vocab_size must be at least {N_SPECIAL + 256} (all bytes and the marks) with bpe"
            )
        if self.tokenizer == "bpe" and self.min_frequency > 1:
            raise ValueError("min_frequency is for tokenizer: word; bpe knows every word")
        tests = self.tests()
        if not tests or len(set(tests)) < len(tests):
            raise ValueError("test must name at least one split, and none twice")
        for stem in tests:
            if stem in ("train", "valid", self.train) or stem in NOISE_SPLITS:
                raise ValueError(f"a test split cannot be called {stem!r}: that name has a meaning already")
        return self

    def tests(self) -> list[str]:
        """Return the names of the test splits."""
        return [self.test] if isinstance(self.test, str) else list(self.test)

    def stems(self) -> dict[str, str]:
        """Return the stem of every split by the split's name."""
        return {"train": self.train, "valid": self.valid, **{stem: stem for stem in self.tests()}}


@CORPORA.register("files")
class Files(CorpusBuilder):
    """Parallel text files."""

    Options = FilesOptions

    @classmethod
    def split_names(cls, options: FilesOptions) -> list[str]:
        """Return valid, the test splits, and the noisy copies of the first of them."""
        return ["valid", *options.tests(), *NOISE_SPLITS]

    @classmethod
    def origins(cls, options: FilesOptions) -> Mapping[str, str]:
        """Return that the noisy splits are copies of the first test split."""
        return dict.fromkeys(NOISE_SPLITS, options.tests()[0])

    @classmethod
    def inputs(cls, options: FilesOptions) -> Mapping[str, str]:
        """Return the sha256 of every file that would be read, under its own name."""
        sources = _locate(options)
        return {path.name: sha256_of(path) for source in sources.values() for path in source.files}

    @classmethod
    def build(cls, options: FilesOptions) -> Corpus:
        """Read the files, learn the vocabulary on the training text, and encode."""
        sources = _locate(options)
        pairs = {name: _read(source, options) for name, source in sources.items()}
        training = [pair for pair in pairs["train"] if _is_full(pair)]
        if not training:
            raise CorpusError(f"{sources['train'].files[0]}: there is no training pair with two sides")
        vocabulary = _learn(training, options)
        train, too_long = _train_split(training, vocabulary, options)
        notes = [*_left_out(len(pairs["train"]) - len(training), too_long, options.max_length)]
        splits = [train]
        for name in ("valid", *options.tests()):
            splits.append(_evaluation_split(name, pairs[name], sources[name], vocabulary))
            notes += _remarks(name, pairs[name], training)
        words = sorted({word for line in train.sources for word in line.split()})
        return assemble("files", vocabulary, [*splits, *noise_splits(splits[2], vocabulary, words)], notes)


def _locate(options: FilesOptions) -> dict[str, Source]:
    """Return where every split's lines are.

    Raises:
        CorpusError: some are nowhere; the message lists every path that was looked for.
    """
    folder = Path(options.path).expanduser().absolute()
    found, missing = {}, []
    for name, stem in options.stems().items():
        source, looked_for = find(folder, stem, options.src, options.tgt)
        if source is None:
            missing.append(f"  {name}: " + ", ".join(path.name for path in looked_for))
        else:
            found[name] = source
    if missing:
        reason = "" if folder.is_dir() else " (there is no such folder)"
        raise CorpusError(
            f"no files for {len(missing)} of {len(options.stems())} splits in {folder}{reason}; looked for\n"
            + "\n".join(missing)
            + "\nput the files there, or correct path, src, tgt and the names of the splits in the experiment file"
        )
    return found


def _read(source: Source, options: FilesOptions) -> list[Pair]:
    pairs = source.read()
    return [(src.lower(), tgt.lower()) for src, tgt in pairs] if options.lowercase else pairs


def _is_full(pair: Pair) -> bool:
    return bool(pair[0].strip() and pair[1].strip())


def _learn(pairs: Sequence[Pair], options: FilesOptions) -> Vocabulary:
    texts = (text for pair in pairs for text in pair)
    if options.tokenizer == "bpe":
        return BpeVocabulary.train(texts, size=options.vocab_size)
    return WordVocabulary.train(texts, size=options.vocab_size, min_frequency=options.min_frequency)


def _train_split(pairs: list[Pair], vocabulary: Vocabulary, options: FilesOptions) -> tuple[Split, int]:
    """Return the training split and how many pairs were too long for it."""
    split = encode_split("train", pairs, vocabulary)
    # The EOS at the end of each side is not counted.
    fits = (split.src.lengths <= options.max_length + 1) & (split.tgt.lengths <= options.max_length + 1)
    if fits.all():
        return split, 0
    kept = [pair for pair, keep in zip(pairs, fits, strict=True) if keep]
    if not kept:
        raise CorpusError(
            f"all {len(pairs)} training pairs are longer than max_length {options.max_length}; raise it"
        )
    return encode_split("train", kept, vocabulary), len(pairs) - len(kept)


def _evaluation_split(name: str, pairs: list[Pair], source: Source, vocabulary: Vocabulary) -> Split:
    if not pairs:
        raise CorpusError(f"{source.files[0]}: has no lines, so nothing can be evaluated on {name}")
    split = encode_split(name, pairs, vocabulary)
    for side, rows in enumerate((split.src, split.tgt)):
        longest = int(rows.lengths.argmax())
        tokens = int(rows.lengths[longest]) - 1
        if tokens > MOST_EVALUATION_TOKENS:
            raise CorpusError(
                f"{source.where(longest + 1, side)}: this line has {tokens} tokens, above the limit of"
                f" {MOST_EVALUATION_TOKENS}; evaluation pairs are never left out, so split or shorten the line"
            )
    return split


def _left_out(empty: int, too_long: int, max_length: int) -> list[str]:
    notes = []
    if empty:
        notes.append(f"left out of train: {_pairs(empty)} with an empty side")
    if too_long:
        notes.append(f"left out of train: {_pairs(too_long)} longer than {max_length} tokens")
    return notes


def _remarks(name: str, pairs: Sequence[Pair], training: Sequence[Pair]) -> list[str]:
    known = set(training)
    overlap = sum(pair in known for pair in pairs)
    empty = sum(not _is_full(pair) for pair in pairs)
    notes = []
    if overlap:
        notes.append(f"{overlap} of {_pairs(len(pairs))} of {name} are also in train, word for word")
    if empty:
        notes.append(f"kept in {name}: {_pairs(empty)} with an empty side")
    return notes


def _pairs(count: int) -> str:
    return f"{count} pair" if count == 1 else f"{count} pairs"
