"""Public corpora by name: `multi30k` and `tatoeba`, downloaded once, or read from the user's folder.

Every file is pinned to a commit of a public repository, to its size and to its sha256. With `path`, the files
in that folder are the corpus; they are not compared with the pinned hashes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from maskbench.data.corpora.files import hash_pair_files, locate_pair_files
from maskbench.data.corpus import Corpus, CorpusBuilder
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.text.download import RemoteFile, data_folder, fetch_all
from maskbench.data.text.pair_files import PairFiles, SentencePairs
from maskbench.data.text.text_corpus import TextOptions, build_text_corpus, deal_splits, list_left_out
from maskbench.data.text.text_files import expand_folder
from maskbench.errors import CorpusError
from maskbench.registry import CORPORA

_MULTI30K: Final = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/"
_PINNED: Final = {
    "train.cs": (593827, "a65adb8b32e3bc664f21ecba7a6e7f6950fd1f405e135f7c312faabdb6255077"),
    "train.de": (637044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
    "train.en": (568929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
    "train.fr": (604242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
    "val.cs": (22096, "b63226e05c4bd5dd6a42897d74b86a1b9d2c31498252c572b1ea7f7996927fcc"),
    "val.de": (24681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
    "val.en": (21650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
    "val.fr": (23001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
    "test_2016_flickr.cs": (22572, "200a4a74cc9560f051924abb9803be008d1908d77f747e9141aeb86dfd2797f1"),
    "test_2016_flickr.de": (22890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
    "test_2016_flickr.en": (21077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
    "test_2016_flickr.fr": (22310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"),
    "test_2017_flickr.de": (21471, "a2c89666db00c495cd8513b9d708d5a3acc205d7de312ef2bf5fb7ebc1540aee"),
    "test_2017_flickr.en": (19138, "76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074"),
    "test_2017_flickr.fr": (20434, "3ba671ceb2299f3304ffafefea7a833d08632fbaf0ba18546f8a2ec2391af496"),
    "test_2017_mscoco.de": (10230, "799e4854c25d601cb6cb6be29eabe5667734c61ace2f495e03e429031a0bc338"),
    "test_2017_mscoco.en": (8844, "aab300bfb4427697987e02cd0aacd44bfe8aa50456231b6474c08038bbed2b58"),
    "test_2017_mscoco.fr": (9751, "754f3072ba9f124569ba5258b32730fc1d214bbf8e0c6dfb2b74401676220db0"),
}
"""Size and sha256 of the compressed text of Multi30k, task 1, by stem and language."""

_TATOEBA: Final = RemoteFile(
    "https://raw.githubusercontent.com/DarrenCarvalho/Language-Translation/"
    "e11f3bfa0e9fbd8ed1bca0289d3079143c11c3e4/data/deu.txt",
    2188364,
    "ad109252de3e35f8ec8030669ccddf6ee2f5cc1656c1928468e175233c01eb1d",
)

Folder = Annotated[
    str | None,
    Field(min_length=1, description="folder with the files, instead of downloading them; used as it is"),
]
Share = Annotated[float, Field(gt=0, lt=0.5)]


class _DownloadedCorpus(CorpusBuilder):
    """Base class of public corpora: their files, and how their splits are read from a folder."""

    version = 3
    name: ClassVar[str]
    licence: ClassVar[str]
    """What the user should know before using the text; the first of the corpus's notes."""

    @classmethod
    @abstractmethod
    def remote_files(cls, options: Any) -> list[RemoteFile]:
        """Return the files to download."""

    @classmethod
    @abstractmethod
    def pair_files(cls, options: Any, folder: Path) -> dict[str, PairFiles]:
        """Return the files in `folder` by split; raise a CorpusError if some are missing."""

    @classmethod
    @abstractmethod
    def read_texts(cls, options: Any, folder: Path) -> dict[str, SentencePairs]:
        """Return the text of every split: train, valid, and the test splits in order."""

    @classmethod
    @abstractmethod
    def test_splits(cls, options: Any) -> list[str]:
        """Return the names of the test splits; the first one has noisy copies."""

    @classmethod
    def split_names(cls, options: Any) -> list[str]:
        """Return the names of valid, the test splits, and the noisy copies of the first test split."""
        return ["valid", *cls.test_splits(options), *NOISE_SPLITS]

    @classmethod
    def origins(cls, options: Any) -> Mapping[str, str]:
        """Return the first test split as the origin of every noisy split."""
        return dict.fromkeys(NOISE_SPLITS, cls.test_splits(options)[0])

    @classmethod
    def inputs(cls, options: Any) -> Mapping[str, str]:
        """Return the sha256 of every file: the pinned hashes, or those of the files in `path`."""
        if options.path is None:
            return {remote.name: remote.sha256 for remote in cls.remote_files(options)}
        return hash_pair_files(cls.pair_files(options, expand_folder(options.path)))

    @classmethod
    def build(cls, options: Any) -> Corpus:
        """Download the missing files and build the corpus."""
        return build_text_corpus(cls.name, cls._all_texts(options), options, [cls.licence])

    @classmethod
    def list_left_out(cls, options: Any) -> list[str]:
        """Return `file:line: reason` for every training pair that is left out; notes list only the first."""
        return list_left_out(cls._all_texts(options), options)

    @classmethod
    def _all_texts(cls, options: Any) -> dict[str, SentencePairs]:
        if options.path is not None:
            return cls.read_texts(options, expand_folder(options.path))
        folder = data_folder() / cls.name
        fetch_all(cls.remote_files(options), folder)
        return cls.read_texts(options, folder)


class Multi30kOptions(TextOptions):
    """Options of `multi30k`."""

    path: Folder = None
    src: Literal["cs", "de", "en", "fr"] = Field(default="en", description="language of the sources")
    tgt: Literal["cs", "de", "en", "fr"] = Field(default="de", description="language of the targets")
    test: list[Literal["test_2016_flickr", "test_2017_flickr", "test_2017_mscoco"]] = Field(
        default=["test_2016_flickr"],
        min_length=1,
        description="the test splits; noise is made from the first; cs has that of 2016 alone",
    )

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if self.src == self.tgt:
            raise ValueError(f"src and tgt both are {self.src!r}; they must be two languages")
        if len(set(self.test)) < len(self.test):
            raise ValueError("test must name no split twice")
        for stem in self.test:
            if not {f"{stem}.{self.src}", f"{stem}.{self.tgt}"} <= _PINNED.keys():
                raise ValueError(f"{stem} does not exist in Czech; its languages are de, en and fr")
        return self

    def stems(self) -> dict[str, str]:
        """Return the stem of every split by the split's name."""
        return {"train": "train", "valid": "val", **{stem: stem for stem in self.test}}


@CORPORA.register("multi30k")
class Multi30kCorpus(_DownloadedCorpus):
    """Captions of images: 29,000 pairs to train, 1,014 to validate, 1,000 to test (Elliott et al. 2016, task 1)."""

    Options = Multi30kOptions
    name = "multi30k"
    licence = "the captions of Multi30k come from Flickr30k: for research and education, not for commerce"

    @classmethod
    def test_splits(cls, options: Multi30kOptions) -> list[str]:
        """Return the chosen test splits, under the names of their files."""
        return list(options.test)

    @classmethod
    def remote_files(cls, options: Multi30kOptions) -> list[RemoteFile]:
        """Return two files for every split."""
        names = [f"{stem}.{side}" for stem in options.stems().values() for side in (options.src, options.tgt)]
        return [RemoteFile(f"{_MULTI30K}{name}.gz", *_PINNED[name]) for name in names]

    @classmethod
    def pair_files(cls, options: Multi30kOptions, folder: Path) -> dict[str, PairFiles]:
        """Return the pair of files of every split."""
        return locate_pair_files(folder, options.stems(), options.src, options.tgt)

    @classmethod
    def read_texts(cls, options: Multi30kOptions, folder: Path) -> dict[str, SentencePairs]:
        """Return the text of every split."""
        return {name: source.read() for name, source in cls.pair_files(options, folder).items()}


class TatoebaOptions(TextOptions):
    """Options of `tatoeba`."""

    path: Folder = None
    src: Literal["de", "en"] = Field(default="en", description="language of the sources")
    tgt: Literal["de", "en"] = Field(default="de", description="language of the targets")
    valid: Share = Field(default=0.02, description="share of the sentences that validate")
    test: Share = Field(default=0.02, description="share of the sentences that test")

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.src == self.tgt:
            raise ValueError(f"src and tgt both are {self.src!r}; they must be two languages")
        return self


@CORPORA.register("tatoeba")
class TatoebaCorpus(_DownloadedCorpus):
    """Short sentences, English and German: 50,001 pairs in one table, as manythings.org published them in 2020.

    The source text has no splits; a hash of the source decides the split, so no source is in two splits
    (`maskbench.data.sameness`). With
    `path`, the folder must contain `deu.txt` (or `deu.txt.gz`), English first; newer tables from
    manythings.org have a third column.
    """

    Options = TatoebaOptions
    version = 3
    name = "tatoeba"
    licence = "the sentences of Tatoeba (tatoeba.org) are under CC BY 2.0 FR: name their source"

    @classmethod
    def test_splits(cls, options: TatoebaOptions) -> list[str]:
        """Return the one test split."""
        return ["test"]

    @classmethod
    def remote_files(cls, options: TatoebaOptions) -> list[RemoteFile]:
        """Return the table."""
        return [_TATOEBA]

    @classmethod
    def pair_files(cls, options: TatoebaOptions, folder: Path) -> dict[str, PairFiles]:
        """Return the table, from which all splits are taken."""
        for path in (folder / "deu.txt", folder / "deu.txt.gz"):
            if path.is_file():
                return {"train": PairFiles((path,), "en", "de", quotes="text")}
        raise CorpusError(
            f"there is no deu.txt or deu.txt.gz in {folder}; put the table there, or correct path"
        )

    @classmethod
    def read_texts(cls, options: TatoebaOptions, folder: Path) -> dict[str, SentencePairs]:
        """Return the splits of the table, sides swapped if German is the source."""
        text = cls.pair_files(options, folder)["train"].read()
        return deal_splits(
            text.swapped() if options.src == "de" else text, {"valid": options.valid, "test": options.test}
        )
