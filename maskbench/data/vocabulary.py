"""Text to token ids and back, with one vocabulary for both languages.

Ids 0 to 4 are special tokens. Their spelling in a text does not encode to them: a line that contains the
characters `<mask>` encodes to ordinary tokens. So the tokeniser does not contain them; its ids are shifted by
5.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, Self

from maskbench.errors import CorpusError

PAD: Final = 0
BOS: Final = 1
EOS: Final = 2
UNK: Final = 3
MASK: Final = 4
N_SPECIAL: Final = 5
"""Number of special tokens, and the first ordinary id; a random replacement is drawn from [N_SPECIAL,
len(vocabulary))."""

SPECIAL_NAMES: Final = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
"""Spelling of the special tokens in decoded text, by id; never parsed."""

_SHOWN = (UNK, MASK)
"""Special tokens that stand for a word; decoding writes them, so that the word does not disappear."""


class Vocabulary(ABC):
    """Encodes and decodes text; ids are dense in [0, len)."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of ids, special tokens included."""

    @abstractmethod
    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of every text, without BOS or EOS."""

    @abstractmethod
    def id_of(self, token: str) -> int | None:
        """Return the id of an ordinary token, or None; special tokens are never found."""

    @abstractmethod
    def to_json(self) -> str:
        """Return a JSON description from which `from_json` builds an equal vocabulary."""

    @abstractmethod
    def _spell(self, token: str) -> bytes:
        """Return what an ordinary token adds to a line, in UTF-8, with the blank that it puts before itself."""

    @abstractmethod
    def encode_around_masks(self, pieces: Sequence[str | None]) -> list[int]:
        """Return the ids of one line with MASK for every None; the other pieces are the text between, with its blanks.

        A line without None has the ids that `encode` returns.
        """

    @abstractmethod
    def _ordinary_token(self, index: int) -> str:
        """Return the token with id `N_SPECIAL + index`."""

    @abstractmethod
    def _join(self, runs: Iterable[list[int] | str]) -> str:
        """Return the text of runs of ordinary ids and of the names of special tokens between them."""

    @property
    def separator_ids(self) -> list[int]:
        """The ids to insert between a text or a special token and the next part of the same line."""
        return []

    def spelling(self, index: int) -> bytes:
        """Return what an ordinary id adds to a line, in UTF-8; with BPE it may begin or end inside a character.

        Raises:
            IndexError: `index` is outside [N_SPECIAL, len).
        """
        if not N_SPECIAL <= index < len(self):
            raise IndexError(f"ordinary token id {index} is outside [{N_SPECIAL}, {len(self)})")
        return self._spell(self._ordinary_token(index - N_SPECIAL))

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text, without BOS or EOS; unknown words are UNK."""
        return self.encode_all([text])[0]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`.

        PAD, BOS and EOS are left out. UNK and MASK are written by name, because they stand for a word:
        without them, a wrong translation could equal its reference.
        """
        return self._join(_runs(ids))

    def token(self, index: int) -> str:
        """Return the spelling of id `index`.

        Raises:
            IndexError: `index` is outside [0, len).
        """
        if not 0 <= index < len(self):
            raise IndexError(f"token id {index} is outside [0, {len(self)})")
        return SPECIAL_NAMES[index] if index < N_SPECIAL else self._ordinary_token(index - N_SPECIAL)

    @staticmethod
    def from_json(text: str) -> Vocabulary:
        """Return the vocabulary described by `to_json`.

        Raises:
            CorpusError: the description has an unknown kind.
        """
        data = json.loads(text)
        if data["kind"] == "word":
            return WordVocabulary(data["words"])
        if data["kind"] == "bpe":
            return BpeVocabulary(data["tokenizer"])
        if data["kind"] == "char":
            return CharacterVocabulary(data["characters"])
        raise CorpusError(
            f"unknown kind of vocabulary {data['kind']!r}; this maskbench knows 'word', 'bpe' and 'char'"
        )


def _runs(ids: Iterable[int]) -> Iterator[list[int] | str]:
    run: list[int] = []
    for index in ids:
        if index >= N_SPECIAL:
            run.append(index)
        elif index in _SHOWN:
            if run:
                yield run
            yield SPECIAL_NAMES[index]
            run = []
    if run:
        yield run


class _Listed(Vocabulary):
    """A vocabulary given by a list of tokens; all other tokens are UNK."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = list(tokens)
        self._ids = {token: N_SPECIAL + index for index, token in enumerate(self._tokens)}
        if len(self._ids) != len(self._tokens):
            twice = next(token for token, count in Counter(self._tokens).items() if count > 1)
            raise ValueError(f"{twice!r} is in the vocabulary twice")

    @staticmethod
    @abstractmethod
    def _split(text: str) -> Iterable[str]:
        """Return the tokens of a text, known or not."""

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int, min_frequency: int = 1) -> Self:
        """Return a vocabulary of the most frequent tokens of `texts`, ties in code point order.

        It has at most `size` ids, special tokens included.
        """
        counts = Counter(token for text in texts for token in cls._split(text))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [token for token, count in ranked if count >= min_frequency]
        return cls(kept[: size - N_SPECIAL])

    def __len__(self) -> int:
        return N_SPECIAL + len(self._tokens)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of the tokens of every text; one that is not in the vocabulary is UNK."""
        ids = self._ids
        return [[ids.get(token, UNK) for token in self._split(text)] for text in texts]

    def encode_around_masks(self, pieces: Sequence[str | None]) -> list[int]:
        """Return the ids of the pieces, and MASK for every None."""
        return [i for piece in pieces for i in ([MASK] if piece is None else self.encode(piece))]

    def id_of(self, token: str) -> int | None:
        """Return the id of a token, or None."""
        return self._ids.get(token)

    def _ordinary_token(self, index: int) -> str:
        return self._tokens[index]

    def _said(self, runs: Iterable[list[int] | str]) -> Iterator[str]:
        for run in runs:
            yield from [run] if isinstance(run, str) else (self._tokens[i - N_SPECIAL] for i in run)


class WordVocabulary(_Listed):
    """Words split at white space. Decoding joins the words with single spaces."""

    @staticmethod
    def _split(text: str) -> list[str]:
        return text.split()

    def to_json(self) -> str:
        """Return the word list as JSON."""
        return json.dumps({"kind": "word", "words": self._tokens}, ensure_ascii=False)

    def _spell(self, token: str) -> bytes:
        return f" {token}".encode()

    def _join(self, runs: Iterable[list[int] | str]) -> str:
        return " ".join(self._said(runs))


class CharacterVocabulary(_Listed):
    """Characters (Unicode code points), the space included. Decoding joins them without a separator.

    So `decode(encode(text)) == text` if all characters are known. A word starts at the space before it, as
    with `BpeVocabulary`.
    """

    @staticmethod
    def _split(text: str) -> str:
        return text

    @property
    def separator_ids(self) -> list[int]:
        """The id of the space; empty if the vocabulary has no space."""
        space = self.id_of(" ")
        return [] if space is None else [space]

    def to_json(self) -> str:
        """Return the characters, in the order of their ids, as JSON."""
        return json.dumps({"kind": "char", "characters": "".join(self._tokens)}, ensure_ascii=False)

    def _spell(self, token: str) -> bytes:
        return token.encode()

    def _join(self, runs: Iterable[list[int] | str]) -> str:
        return "".join(self._said(runs))


class BpeVocabulary(Vocabulary):
    """Byte pair encoding (Sennrich et al. 2016) over bytes, learned jointly on both languages.

    Encoding adds a space in front of every text, so a word has the same tokens at the start of a line as
    inside it; decoding removes that space. The alphabet is all 256 bytes, so `decode(encode(text)) == text`
    for every string, white space and control characters included, and there is no UNK.
    """

    def __init__(self, description: str) -> None:
        from tokenizers import Tokenizer

        self._description = description
        self._tokenizer: Any = Tokenizer.from_str(description)

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> BpeVocabulary:
        """Learn merges on `texts` until there are `size` ids (special tokens included) or no more merges."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size - N_SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        with _one_thread():
            tokenizer.train_from_iterator((" " + text for text in texts), trainer)
        return cls(tokenizer.to_str())

    def __len__(self) -> int:
        return N_SPECIAL + int(self._tokenizer.get_vocab_size())

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the subword ids of every text; an empty text has none."""
        with _one_thread():
            encodings = self._tokenizer.encode_batch_fast([" " + text if text else "" for text in texts])
        return [[index + N_SPECIAL for index in encoding.ids] for encoding in encodings]

    def id_of(self, token: str) -> int | None:
        """Return the id of a subword in the spelling of `token` (`Ġ` for a leading space), or None."""
        index = self._tokenizer.token_to_id(token)
        return None if index is None else int(index) + N_SPECIAL

    def to_json(self) -> str:
        """Return the tokeniser's own description, wrapped in JSON."""
        return json.dumps({"kind": "bpe", "tokenizer": self._description}, ensure_ascii=False)

    def _ordinary_token(self, index: int) -> str:
        return str(self._tokenizer.id_to_token(index))

    def encode_around_masks(self, pieces: Sequence[str | None]) -> list[int]:
        """Return the ids of the pieces, and MASK for every None, which has the space before it as a word has."""
        ids: list[int] = []
        text = " "
        for piece in pieces:
            if piece is None:
                ids += [*self._raw_ids(text.removesuffix(" ")), MASK]
                text = ""
            else:
                text += piece
        return ids + self._raw_ids("" if text == " " else text)

    def _raw_ids(self, text: str) -> list[int]:
        """Return the ids of a text without a space in front."""
        with _one_thread():
            return [index + N_SPECIAL for index in self._tokenizer.encode(text).ids]

    def _spell(self, token: str) -> bytes:
        return bytes(_byte_of_letter()[letter] for letter in token)

    def _join(self, runs: Iterable[list[int] | str]) -> str:
        pieces = [f" {run}" if isinstance(run, str) else self._text(run) for run in runs]
        return "".join(pieces).removeprefix(" ")

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode([index - N_SPECIAL for index in ids], skip_special_tokens=False))


@cache
def _byte_of_letter() -> dict[str, int]:
    """Return the byte that each letter of the byte-level alphabet stands for (Radford et al. 2019, GPT-2)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}


@contextmanager
def _one_thread() -> Iterator[None]:
    # The library's thread pool would stay alive after the call and be broken in forked processes.
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
