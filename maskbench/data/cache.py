"""A cache of built corpora on disk.

An entry is a folder named by a hash of its inputs: the corpus's name and options, the version of its builder,
and the contents of its input files. So a changed file or option leads to another entry, and no entry is out
of date. An entry is written to a temporary folder and renamed, and is checked against its manifest when it is
read. So readers never see a partial entry, several builders may run at once, and a damaged entry is built
again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from maskbench.data.corpus import RAGGED_FIELDS, Corpus, CorpusBuilder, Ragged, Split
from maskbench.data.vocabulary import Vocabulary
from maskbench.errors import ResourceError
from maskbench.files import remove_folder, unfinished_folder
from maskbench.randomness import VERSION
from maskbench.registry import CORPORA
from maskbench.statistics.split_overlap import SplitOverlaps

FORMAT: Final = 4
"""Version of the file layout; increased when the layout changes."""

_ARRAYS, _TEXTS, _MANIFEST = "arrays.npz", "corpus.json", "manifest.json"


class CorpusChoice(Protocol):
    """What an experiment file says about its corpus (`maskbench.config.schema.experiment.CorpusConfig`)."""

    @property
    def name(self) -> str:
        """Name of the corpus in `CORPORA`."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the corpus: every key but `name`."""


def load_corpus(config: CorpusChoice, cache_dir: Path) -> Corpus:
    """Return the corpus of `config`, built at the first call and read from `cache_dir` afterwards.

    Raises:
        ConfigError: there is no corpus of that name.
        CorpusError: its data is missing or malformed.
        ResourceError: the cache cannot be written.
    """
    builder: type[CorpusBuilder] = CORPORA.lookup(config.name)
    options = builder.Options.model_validate(dict(config.options))
    entry = cache_dir / _key(config.name, builder, options)
    cached = _read(entry)
    if cached is not None:
        return cached
    built = builder.build(options)
    try:
        _write(built, entry)
    except OSError as error:
        raise ResourceError(
            f"cannot write the corpus cache {entry}: {error.strerror or error}; free some space, or choose another folder"
        ) from error
    # Read the entry back, so that the first run uses exactly what later runs read.
    return _read(entry) or built


def _key(name: str, builder: type[CorpusBuilder], options: Any) -> str:
    made_by, made_of = builder.versions(options), dict(builder.inputs(options))
    if builder.code_sha256 is not None and builder.code_sha256 not in made_by:
        made_by = [*made_by, builder.code_sha256]
    parts = [FORMAT, VERSION, name, made_by, options.model_dump(mode="json"), made_of]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return f"{name}-{hashlib.sha256(text.encode('ascii')).hexdigest()[:24]}"


def _write(corpus: Corpus, entry: Path) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(entry) as building:
        contents = {_ARRAYS: _pack_arrays(corpus), _TEXTS: _pack_texts(corpus)}
        for name, data in contents.items():
            (building / name).write_bytes(data)
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        (building / _MANIFEST).write_text(json.dumps(sums), encoding="ascii")
        _move_into_place(building, entry)


def _move_into_place(building: Path, entry: Path) -> None:
    """Rename `building` to `entry`; keep a valid entry that another builder finished in the meantime."""
    for _ in range(3):
        try:
            os.rename(building, entry)
            return
        except OSError:
            if not entry.exists():
                raise
        if _read(entry) is not None:
            return
        with suppress(FileNotFoundError):  # Another builder removed it.
            remove_folder(entry)


def _read(entry: Path) -> Corpus | None:
    """Return the corpus in `entry`; None if it is missing or damaged."""
    try:
        sums = json.loads((entry / _MANIFEST).read_bytes())
        contents = {name: (entry / name).read_bytes() for name in (_ARRAYS, _TEXTS)}
    except (OSError, ValueError):
        return None
    if sums != {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}:
        return None
    return _unpack(contents[_ARRAYS], json.loads(contents[_TEXTS]))


def _pack_arrays(corpus: Corpus) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, split in corpus.splits.items():
        for part in RAGGED_FIELDS:
            rows: Ragged | None = getattr(split, part)
            if rows is not None:
                arrays[f"{name}/{part}/values"] = rows.values
                arrays[f"{name}/{part}/offsets"] = rows.offsets
    buffer = io.BytesIO()
    # allow_pickle is given because the type stubs would otherwise take it for an array.
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _pack_texts(corpus: Corpus) -> bytes:
    texts = {
        "name": corpus.name,
        "sha256": corpus.sha256,
        "max_length": corpus.max_length,
        "notes": corpus.notes,
        "tags": corpus.tags,
        "overlaps": corpus.overlaps.to_json(),
        "vocabulary": corpus.vocabulary.to_json(),
        "splits": {
            name: [split.sources, split.references, split.origin, split.parts]
            for name, split in corpus.splits.items()
        },
    }
    return json.dumps(texts, ensure_ascii=False).encode("utf-8")


def _unpack(arrays: bytes, texts: dict[str, Any]) -> Corpus:
    with np.load(io.BytesIO(arrays), allow_pickle=False) as stored:

        def rows(key: str) -> Ragged:
            return Ragged(stored[f"{key}/values"], stored[f"{key}/offsets"])

        splits = {}
        for name, (sources, references, origin, made_of) in texts["splits"].items():
            parts = {
                part: rows(f"{name}/{part}") for part in RAGGED_FIELDS if f"{name}/{part}/values" in stored
            }
            splits[name] = Split(
                name, sources=sources, references=references, origin=origin, parts=tuple(made_of), **parts
            )
    return Corpus(
        name=texts["name"],
        vocabulary=Vocabulary.from_json(texts["vocabulary"]),
        splits=splits,
        sha256=texts["sha256"],
        max_length=texts["max_length"],
        notes=tuple(texts["notes"]),
        tags=tuple(texts["tags"]),
        overlaps=SplitOverlaps.from_json(texts["overlaps"]),
    )
