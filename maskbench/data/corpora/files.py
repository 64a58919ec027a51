"""The corpus `files`: the user's parallel text, in aligned files, tables, or JSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.text.pair_files import (
    Header,
    PairFiles,
    SentencePairs,
    find_pair_files,
)
from maskbench.data.text.table_rows import Quotes
from maskbench.data.text.text_corpus import TextOptions, build_text_corpus, deal_splits, list_left_out
from maskbench.data.text.text_files import expand_folder, hash_corpus_file
from maskbench.data.text.unread_files import find_unread_files
from maskbench.errors import CorpusError
from maskbench.registry import CORPORA

Stem = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Share = Annotated[float, Field(gt=0, lt=0.5)]


class FilesOptions(TextOptions):
    """Options of `files`."""

    path: str = Field(min_length=1, description="folder of the files; a relative one is looked up from here")
    src: Stem = Field(
        default="src",
        description="ending of the source files, such as de; in JSON lines the key of the source",
    )
    tgt: Stem = Field(default="tgt", description="ending of the target files, such as en; or their key")
    train: Stem = Field(default="train", description="name of the training files without their ending")
    valid: Stem | Share = Field(
        default="valid",
        description="name of the validation files, or a share of the training files, such as 0.05",
    )
    test: Stem | Share | list[Stem] = Field(
        default=["test"],
        description="names of the test files, or a share of the training files; noise is made from the first",
    )
    header: Header = Field(
        default="auto",
        description="whether tables have a header; auto: if their first line names the columns",
    )

    quotes: Quotes = Field(
        default="auto",
        description="quotation marks around fields of tables: csv takes them off, text keeps them; auto: as the table shows",
    )

    @model_serializer(mode="wrap")
    def _without_default_quotes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `quotes` out if it is `auto`: configurations from before there was the option keep their hash."""
        written: dict[str, Any] = handler(self)
        if self.quotes == "auto":
            written.pop("quotes", None)
        return written

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.src == self.tgt:
            raise ValueError(f"src and tgt both are {self.src!r}, so they name the same files")
        tests = self.tests()
        if not tests or len(set(tests)) < len(tests):
            raise ValueError("test must name at least one split, and none twice")
        for stem in tests:
            if stem in ("train", "valid", self.train) or stem in NOISE_SPLITS:
                raise ValueError(f"a test split cannot be called {stem!r}: that name has a meaning already")
        return self

    def tests(self) -> list[str]:
        """Return the names of the test splits."""
        if isinstance(self.test, float):
            return ["test"]
        return [self.test] if isinstance(self.test, str) else list(self.test)

    def stems(self) -> dict[str, str]:
        """Return the stem of every split that has files of its own, by the split's name."""
        stems = {"train": self.train}
        if isinstance(self.valid, str):
            stems["valid"] = self.valid
        return stems if isinstance(self.test, float) else stems | {stem: stem for stem in self.tests()}

    def shares(self) -> dict[str, float]:
        """Return the share of every split that is taken from the training files, by the split's name."""
        named = {"valid": self.valid, "test": self.test}
        return {name: share for name, share in named.items() if isinstance(share, float)}


@CORPORA.register("files")
class FilesCorpus(CorpusBuilder):
    """Parallel text files."""

    Options = FilesOptions
    version = 5

    @classmethod
    def split_names(cls, options: FilesOptions) -> list[str]:
        """Return the names of valid, the test splits, and the noisy copies of the first test split."""
        return ["valid", *options.tests(), *NOISE_SPLITS]

    @classmethod
    def origins(cls, options: FilesOptions) -> Mapping[str, str]:
        """Return the first test split as the origin of every noisy split."""
        return dict.fromkeys(NOISE_SPLITS, options.tests()[0])

    @classmethod
    def inputs(cls, options: FilesOptions) -> Mapping[str, str]:
        """Return the sha256 of every file that would be read, by file name."""
        return hash_pair_files(_locate(options))

    @classmethod
    def build(cls, options: FilesOptions) -> Corpus:
        """Read the files, learn the vocabulary on the training text, and return the encoded corpus."""
        return build_text_corpus("files", _texts(options), options)

    @classmethod
    def list_left_out(cls, options: FilesOptions) -> list[str]:
        """Return `file:line: reason` for every training pair that is left out; notes list only the first."""
        return list_left_out(_texts(options), options)


Files = FilesCorpus
"""The name that scripts outside maskbench use for this class."""


def locate_pair_files(
    folder: Path,
    stems: Mapping[str, str],
    src: str,
    tgt: str,
    header: Header = "auto",
    quotes: Quotes = "auto",
) -> dict[str, PairFiles]:
    """Find the files of every split.

    Args:
        folder: the folder of the files.
        stems: the stem of every split, by the split's name.
        src, tgt: the endings of aligned files; also the names of table columns and JSON keys.
        header: whether tables have a header.
        quotes: what quotation marks around the fields of tables are.

    Raises:
        CorpusError: files of a split are missing; the message lists every path that was tried, and files that
            are there in a format that is not read.
    """
    found, missing = {}, []
    for name, stem in stems.items():
        source, looked_for = find_pair_files(folder, stem, src, tgt, header, quotes)
        if source is None:
            missing.append(f"  {name}: " + ", ".join(path.name for path in looked_for))
            if unread := find_unread_files(folder, stem, looked_for):
                missing.append("    there is, in a format that is not read: " + "; ".join(unread))
        else:
            found[name] = source
    if missing:
        reason = "" if folder.is_dir() else " (there is no such folder)"
        raise CorpusError(
            f"no files for {len(stems) - len(found)} of {len(stems)} splits in {folder}{reason}; looked for\n"
            + "\n".join(missing)
            + "\nput the files there, or correct path, src, tgt and the names of the splits in the experiment file"
        )
    return found


def hash_pair_files(sources: Mapping[str, PairFiles]) -> dict[str, str]:
    """Return the sha256 of every file by file name."""
    return {path.name: hash_corpus_file(path) for source in sources.values() for path in source.files}


def _locate(options: FilesOptions) -> dict[str, PairFiles]:
    return locate_pair_files(
        expand_folder(options.path), options.stems(), options.src, options.tgt, options.header, options.quotes
    )


def _texts(options: FilesOptions) -> dict[str, SentencePairs]:
    """Return the text of every split: train, valid, and the test splits in order."""
    read = {name: source.read() for name, source in _locate(options).items()}
    read |= deal_splits(read["train"], options.shares())
    return {name: read[name] for name in ("train", "valid", *options.tests())}
