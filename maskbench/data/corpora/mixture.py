"""The corpus `mixture`: several tasks in one run; the first word of each source names its task.

One model so learns to translate between several languages (Johnson et al. 2017), or to translate, answer and
classify (Raffel et al. 2020): the tasks share every weight and the vocabulary, and a marker selects the task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from maskbench.data.corpora.nested_corpus import NestedCorpus, TaskCorpus, main_test_split
from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split, assemble_corpus
from maskbench.data.vocabulary import N_SPECIAL, UNK, Vocabulary, WordVocabulary
from maskbench.errors import CorpusError
from maskbench.registry import CORPORA

_TASK = re.compile(r"[a-z][a-z0-9_]{0,23}")


class MixtureOptions(BaseModel):
    """Options of `mixture`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    tasks: dict[str, TaskCorpus] = Field(
        min_length=2, max_length=8, description="a corpus for every task, such as {say: {name: copy}}"
    )

    @field_validator("tasks")
    @classmethod
    def _names_are_markers(cls, tasks: dict[str, Any]) -> dict[str, Any]:
        for task in tasks:
            if not _TASK.fullmatch(task):
                # No hyphen, so that `<task>-<split>` can be split again.
                rule = "a small letter, then small letters, digits and _, at most 24 in all"
                raise ValueError(f"{task[:40]!r} cannot be the name of a task ({rule})")
        return tasks

    def parts(self) -> dict[str, NestedCorpus]:
        """Return the corpus of every task, by the task's name."""
        return {task: NestedCorpus.from_options(described) for task, described in self.tasks.items()}


def task_marker(task: str) -> str:
    """Return the marker: the first word of every source of a task."""
    return f"[{task}]"


@CORPORA.register("mixture")
class MixtureCorpus(CorpusBuilder):
    """Several corpora as the tasks of one model, told apart by a marker in front of every source."""

    Options = MixtureOptions

    @classmethod
    def split_names(cls, options: MixtureOptions) -> list[str]:
        """Return `valid` and `test` of all tasks together, and each task's splits as `<task>-<split>`."""
        own = (f"{task}-{split}" for task, part in options.parts().items() for split in part.split_names())
        return ["valid", "test", *own]

    @classmethod
    def annotations(cls, options: MixtureOptions) -> frozenset[str]:
        """Return the annotations that all tasks have."""
        return reduce(frozenset.intersection, (part.annotations() for part in options.parts().values()))

    @classmethod
    def tags(cls, options: MixtureOptions) -> tuple[str, ...]:
        """Return the tags of all tasks, each once; empty unless every task has tags."""
        if "tags" not in cls.annotations(options):
            return ()
        return _united(part.builder.tags(part.options) for part in options.parts().values())

    @classmethod
    def origins(cls, options: MixtureOptions) -> dict[str, str]:
        """Return the origins of the tasks' altered copies, under their names in the mixture."""
        return {
            f"{task}-{copy}": f"{task}-{origin}"
            for task, part in options.parts().items()
            for copy, origin in part.builder.origins(part.options).items()
        }

    @classmethod
    def versions(cls, options: MixtureOptions) -> list[Any]:
        """Return the versions of this corpus and of its tasks."""
        return [cls.version, *(part.versions() for part in options.parts().values())]

    @classmethod
    def inputs(cls, options: MixtureOptions) -> dict[str, str]:
        """Return the sha256 of every file of every task."""
        return {
            file: sha256
            for task, part in options.parts().items()
            for file, sha256 in part.inputs(task).items()
        }

    @classmethod
    def build(cls, options: MixtureOptions) -> Corpus:
        """Build every task and prepend its marker to its sources."""
        parts = options.parts()
        corpora = {task: part.build(f"task {task}") for task, part in parts.items()}
        _refuse_used_markers(corpora)
        vocabulary, ids = _shared_vocabulary(corpora)
        kept, tags = cls.annotations(options), cls.tags(options)
        tasks = [
            _Task(task, ids[task], _marker_ids(task, vocabulary), kept, _places(corpus.tags, tags))
            for task, corpus in corpora.items()
        ]
        own = {
            task.name: [task.split(split) for split in corpora[task.name].splits.values()] for task in tasks
        }
        named = {split.name: split for splits in own.values() for split in splits}
        together = [
            # The training splits of the tasks are no splits of the mixture.
            replace(_joined("train", [named.pop(f"{task}-train") for task in parts]), parts=()),
            _joined("valid", [named[f"{task}-valid"] for task in parts]),
            _joined(
                "test",
                [named[f"{task}-{main_test_split(part.split_names())}"] for task, part in parts.items()],
            ),
        ]
        notes = [f"{task}: {note}" for task, corpus in corpora.items() for note in corpus.notes_on_reading]
        return assemble_corpus("mixture", vocabulary, [*together, *named.values()], notes, tags)


def _united(tags: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in tags for name in names))


def _places(own: Sequence[str], united: Sequence[str]) -> list[int]:
    """Return the index of each of a task's tags in the shared tags; empty if tags are not kept."""
    return [united.index(name) for name in own] if united else []


def _refuse_used_markers(corpora: Mapping[str, Corpus]) -> None:
    """Raise if any line contains a marker as a word.

    Raises:
        CorpusError: a line does; the message names the task and the split.
    """
    for marker, task in ((task_marker(task), task) for task in corpora):
        for other, corpus in corpora.items():
            for split in corpus.splits.values():
                for line in (*split.sources, *split.references):
                    if marker in line and marker in line.split():
                        raise CorpusError(
                            f"the marker {marker} of the task {task} is a word of the task {other} already (in"
                            f" {split.name}); give the task another name"
                        )


def _shared_vocabulary(
    corpora: Mapping[str, Corpus],
) -> tuple[Vocabulary, dict[str, npt.NDArray[np.int32]]]:
    """Return one vocabulary for all tasks, and for each task the new id of every old id.

    Raises:
        CorpusError: there is none: the vocabularies differ, and not all of them have words as tokens.
    """
    own = {task: corpus.vocabulary for task, corpus in corpora.items()}
    if all(isinstance(vocabulary, WordVocabulary) for vocabulary in own.values()):
        ordinary = {task: _ordinary(vocabulary) for task, vocabulary in own.items()}
        words = [word for words in ordinary.values() for word in words]
        shared = WordVocabulary(list(dict.fromkeys([*map(task_marker, own), *words])))
        marks = list(range(N_SPECIAL))
        return shared, {
            task: np.array([*marks, *(shared.id_of(word) for word in words)], dtype=np.int32)
            for task, words in ordinary.items()
        }
    first = next(iter(own.values()))
    if any(vocabulary.to_json() != first.to_json() for vocabulary in own.values()):
        kinds = ", ".join(
            f"{task}: {json.loads(vocabulary.to_json())['kind']}" for task, vocabulary in own.items()
        )
        raise CorpusError(
            f"the tasks of a mixture need one vocabulary, and these have none in common ({kinds}); tasks go together"
            " that all have words as tokens (tokenizer: word), or that are made of the same files"
        )
    return first, {task: np.arange(len(first), dtype=np.int32) for task in own}


def _ordinary(vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.token(index) for index in range(N_SPECIAL, len(vocabulary))]


def _marker_ids(task: str, vocabulary: Vocabulary) -> list[int]:
    """Return the ids that are prepended to every source of a task."""
    ids = vocabulary.encode(task_marker(task))
    if UNK in ids:
        raise CorpusError(
            f"the vocabulary cannot write {task_marker(task)}, the marker of the task {task}; use tokenizer: word or bpe"
        )
    return [*ids, *vocabulary.separator_ids]


@dataclass(frozen=True, slots=True)
class _Task:
    """Converts the splits of one task's corpus into splits of the mixture."""

    name: str
    ids: npt.NDArray[np.int32]
    """The new id of every old id."""
    marker: list[int]
    kept: frozenset[str]
    """The annotations that all tasks have."""
    tags: list[int]
    """The new index of every tag."""

    def split(self, split: Split) -> Split:
        """Return the split with the marker prepended to every source, ids and annotations adapted."""
        shift = len(self.marker)
        lengths = list(zip(split.src.lengths.tolist(), split.tgt.lengths.tolist(), strict=True))
        src = Ragged(self.ids[split.src.values], split.src.offsets)
        known = {name: getattr(split, name) for name in self.kept}
        for name in known.keys() & {"links", "deps"}:
            rows = zip(known[name].rows(), lengths, strict=True)
            # The end mark depends on every source token, and so on the marker too.
            moved = [_shifted(row, *sizes, shift, all_of_end=name == "deps") for row, sizes in rows]
            known[name] = Ragged.from_rows(moved)
        if "junk" in known:
            known["junk"] = Ragged.from_rows([[0] * shift + row for row in known["junk"].rows()])
        if "tags" in known:
            places = np.array(self.tags, dtype=np.int32)
            known["tags"] = Ragged(places[known["tags"].values], known["tags"].offsets)
        return Split(
            name=f"{self.name}-{split.name}",
            src=Ragged.from_rows([self.marker + row for row in src.rows()]),
            tgt=Ragged(self.ids[split.tgt.values], split.tgt.offsets),
            sources=[f"{task_marker(self.name)} {line}" for line in split.sources],
            references=split.references,
            origin=None if split.origin is None else f"{self.name}-{split.origin}",
            touched=split.touched if "deps" in self.kept else None,
            **known,
        )


def _shifted(links: list[int], before: int, targets: int, shift: int, *, all_of_end: bool) -> list[int]:
    """Return the links of one sentence after `shift` tokens are prepended to its `before` source tokens."""
    now = before + shift
    moved = [t * now + s + shift for t, s in (divmod(link, before) for link in links)]
    return sorted(moved + [(targets - 1) * now + s for s in range(shift)]) if all_of_end else moved


def _joined(name: str, splits: Sequence[Split]) -> Split:
    """Return all pairs of several splits as one split without an origin."""
    known: dict[str, Any] = {
        part: None
        if getattr(splits[0], part) is None
        else _stacked([getattr(split, part) for split in splits])
        for part in ("src", "tgt", "junk", "links", "deps", "tags")
    }
    return replace(
        splits[0],
        name=name,
        sources=[line for split in splits for line in split.sources],
        references=[line for split in splits for line in split.references],
        origin=None,
        touched=None,
        parts=tuple(split.name for split in splits),
        **known,
    )


def _stacked(parts: Sequence[Ragged]) -> Ragged:
    lengths = np.concatenate([part.lengths for part in parts])
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return Ragged(np.concatenate([part.values for part in parts]), offsets)
