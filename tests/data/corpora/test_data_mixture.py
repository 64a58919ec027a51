"""Several corpora as the tasks of one run: what becomes of their words, their annotations and their splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from tiny_runs import config

import maskbench.data
import maskbench.masks
from maskbench.config.load import load_experiment
from maskbench.config.schema.experiment import CorpusConfig
from maskbench.data.cache import load_corpus
from maskbench.data.corpora.mixture import MixtureCorpus, MixtureOptions, _shifted
from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.vocabulary import EOS, MASK, UNK, WordVocabulary
from maskbench.errors import ConfigError, CorpusError
from maskbench.registry import CORPORA
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run

SAY = {"name": "copy", "pairs": 30, "valid": 4, "test": 5, "symbols": 6, "max_length": 4}
TURN = {"name": "reverse", "pairs": 20, "valid": 3, "test": 7, "symbols": 9, "max_length": 6}


def options(**tasks: dict[str, Any]) -> MixtureOptions:
    return MixtureOptions.model_validate({"tasks": tasks})


def build(**tasks: dict[str, Any]) -> Corpus:
    return MixtureCorpus.build(options(**tasks))


def inner(described: dict[str, Any]) -> Corpus:
    builder = CORPORA.lookup(described["name"])
    built: Corpus = builder.build(builder.Options(**{k: v for k, v in described.items() if k != "name"}))
    return built


@pytest.fixture(scope="module")
def mixed() -> Corpus:
    return build(say=SAY, turn=TURN)


class Nothing(BaseModel):
    """No options."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Made(CorpusBuilder):
    """A corpus of two pairs a split, with tags, and junk where `junk` says so."""

    Options = Nothing
    words = ("a", "b", "c")
    pair = ("a b", "c c a")
    tag_names: tuple[str, ...] = ("end", "noun", "verb")
    junk = False
    test = "test"

    @classmethod
    def split_names(cls, options: Nothing) -> list[str]:
        return ["valid", cls.test, "later"]

    @classmethod
    def annotations(cls, options: Nothing) -> frozenset[str]:
        return frozenset({"links", "deps", "tags"} | ({"junk"} if cls.junk else set()))

    @classmethod
    def tags(cls, options: Nothing) -> tuple[str, ...]:
        return cls.tag_names

    @classmethod
    def origins(cls, options: Nothing) -> dict[str, str]:
        return {"later": cls.test}

    @classmethod
    def build(cls, options: Nothing) -> Corpus:
        vocabulary = WordVocabulary(list(cls.words))
        splits = [cls._split(name, vocabulary) for name in ("train", "valid", cls.test, "later")]
        return assemble_corpus("made", vocabulary, splits, ["made up"], cls.tag_names)

    @classmethod
    def _split(cls, name: str, vocabulary: WordVocabulary) -> Split:
        encoded = encode_split(name, [cls.pair, (f"{cls.pair[0]} {cls.words[0]}", cls.pair[1])], vocabulary)
        # Of two and three words: the first target word translates the second source word, the last one the first.
        links = [[1, 6], [1, 8]]
        deps = [[0, 1, 6], [1, 2, 8]]
        tags = [[1, 2, 1], [2, 1, 1]]
        return annotate_split(encoded, links, deps=deps, tags=tags, junk=cls.junk)


class Other(Made):
    """Likewise, of other words, with other tags, and junk."""

    words = ("x", "b", "y")
    pair = ("x y", "y b zz")
    tag_names = ("end", "place", "noun")
    junk = True
    test = "first"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setattr(CORPORA, "_entries", {**CORPORA._entries, "made": Made, "other": Other})
    return build(one={"name": "made"}, two={"name": "other"})


def links_by_word(split: Split, part: str) -> list[set[tuple[int, int]]]:
    rows, sizes = getattr(split, part).rows(), split.src.lengths.tolist()
    return [{(link // size, link % size) for link in row} for row, size in zip(rows, sizes, strict=True)]


def test_every_line_has_its_marker_and_means_what_it_meant(mixed: Corpus) -> None:
    for task, described in (("say", SAY), ("turn", TURN)):
        for name, split in inner(described).splits.items():
            if name == "train":
                continue
            now = mixed.splits[f"{task}-{name}"]
            assert now.sources == [f"[{task}] {line}" for line in split.sources]
            assert now.references == split.references
            for ids, line in zip(now.src.rows(), now.sources, strict=True):
                assert ids[-1] == EOS and mixed.vocabulary.decode(ids) == line
            for ids, line in zip(now.tgt.rows(), now.references, strict=True):
                assert ids[-1] == EOS and mixed.vocabulary.decode(ids) == line
    # Nine symbols hold six of the other task, and there are five marks and two markers.
    assert len(mixed.vocabulary) == 9 + 5 + 2


def test_the_splits_are_those_that_are_promised(mixed: Corpus) -> None:
    chosen = options(say=SAY, turn=TURN)
    names = MixtureCorpus.split_names(chosen)
    assert names[:2] == ["valid", "test"] and len(names) == 2 + 2 * (2 + len(NOISE_SPLITS))
    assert [name for name in mixed.splits if name != "train"] == names
    origins = {name: split.origin for name, split in mixed.splits.items() if split.origin is not None}
    assert MixtureCorpus.origins(chosen) == origins and origins["turn-noise-drop-20"] == "turn-test"
    assert len(origins) == 2 * len(NOISE_SPLITS)


@pytest.mark.parametrize(("name", "counts"), [("train", (30, 20)), ("valid", (4, 3)), ("test", (5, 7))])
def test_pairs_of_all_tasks_are_together_task_by_task(
    mixed: Corpus, name: str, counts: tuple[int, int]
) -> None:
    split = mixed.splits[name]
    assert [line.split()[0] for line in split.sources] == ["[say]"] * counts[0] + ["[turn]"] * counts[1]
    both = [*inner(SAY).splits[name].references, *inner(TURN).splits[name].references]
    assert split.references == both
    assert [mixed.vocabulary.decode(ids) for ids in split.tgt.rows()] == both
    assert split.origin is None and split.touched is None
    assert split.links is not None and len(split.links) == len(split)


def test_masked_words_stay_masked(mixed: Corpus) -> None:
    before = inner(TURN).splits["noise-mask-30"].src.values.tolist()
    after = mixed.splits["turn-noise-mask-30"].src.values.tolist()
    assert after.count(MASK) == before.count(MASK) > 0
    assert UNK not in after


def test_links_move_by_one_and_the_end_hangs_on_the_marker_too(mixed: Corpus) -> None:
    for name in ("test", "noise-drop-30"):
        before, after = inner(TURN).splits[name], mixed.splits[f"turn-{name}"]
        moved = [{(t, s + 1) for t, s in row} for row in links_by_word(before, "links")]
        assert links_by_word(after, "links") == moved
        ends = [size - 1 for size in before.tgt.lengths.tolist()]
        hanging = [{(t, s + 1) for t, s in row} for row in links_by_word(before, "deps")]
        assert links_by_word(after, "deps") == [
            row | {(end, 0)} for row, end in zip(hanging, ends, strict=True)
        ]
        assert after.links is not None and after.deps is not None
        for rows in (after.links, after.deps):
            assert all(row == sorted(set(row)) for row in rows.rows())
    touched = [split.touched for split in (before, after)]
    assert touched[0] is not None and touched[1] is not None
    assert touched[0].values.tolist() == touched[1].values.tolist()


@settings(max_examples=60)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.data())
def test_shifting_is_counted_in_pairs(before: int, targets: int, shift: int, data: st.DataObject) -> None:
    pairs = data.draw(st.sets(st.tuples(st.integers(0, targets - 1), st.integers(0, before - 1))))
    links = sorted(t * before + s for t, s in pairs)
    moved = _shifted(links, before, targets, shift, all_of_end=False)
    assert moved == sorted(t * (before + shift) + (s + shift) for t, s in pairs)


def test_annotations_that_not_all_tasks_have_are_dropped(made: Corpus) -> None:
    chosen = options(one={"name": "made"}, two={"name": "other"})
    assert MixtureCorpus.annotations(chosen) == {"links", "deps", "tags"}
    assert all(split.junk is None for split in made.splits.values())
    both = build(one={"name": "other"}, two={"name": "other"})
    assert both.splits["train"].junk is not None
    assert both.splits["two-first"].junk is not None
    assert both.splits["two-first"].junk.lengths.tolist() == both.splits["two-first"].src.lengths.tolist()
    assert both.splits["two-first"].junk.values.tolist() == [0] * 9


def test_tags_of_all_tasks_are_one_list_and_keep_their_names(made: Corpus) -> None:
    chosen = options(one={"name": "made"}, two={"name": "other"})
    assert MixtureCorpus.tags(chosen) == made.tags == ("end", "noun", "verb", "place")
    tags = {name: made.splits[name].tags for name in ("one-test", "two-first")}
    said = {name: [made.tags[i] for i in rows.values.tolist()] for name, rows in tags.items() if rows}
    assert said["one-test"] == ["noun", "verb", "noun", "end", "verb", "noun", "noun", "end"]
    assert said["two-first"] == ["place", "noun", "place", "end", "noun", "place", "place", "end"]
    assert MixtureCorpus.tags(options(one={"name": "made"}, say=SAY)) == ()
    assert build(one={"name": "made"}, say=SAY).splits["one-test"].tags is None


def test_the_main_test_split_of_a_task_may_have_another_name(made: Corpus) -> None:
    assert made.splits["test"].sources == [
        *("[one] a b", "[one] a b a", "[two] x y", "[two] x y x"),
    ]


def test_a_word_its_own_task_does_not_know_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    knows = type("Knows", (Made,), {"words": ("zz", "q", "r"), "pair": ("zz q", "q r zz")})
    monkeypatch.setattr(CORPORA, "_entries", {**CORPORA._entries, "other": Other, "knows": knows})
    corpus = build(one={"name": "other"}, two={"name": "knows"})
    assert corpus.vocabulary.id_of("zz") is not None
    assert corpus.splits["one-first"].tgt[0].tolist()[2] == UNK
    assert corpus.splits["two-test"].tgt[0].tolist()[2] == corpus.vocabulary.id_of("zz")
    assert corpus.splits["one-first"].references[0] == "y b zz"


def test_notes_say_which_task_they_are_about(made: Corpus) -> None:
    # All splits of a task are the same here; the mixture says that of its own splits.
    assert made.notes[:4] == (
        "one: made up",
        "two: made up",
        "4 of 4 pairs of valid are also in train, word for word",
        "4 of 4 pairs of test are also in train, word for word",
    )
    assert not [note for note in made.notes if note.startswith(("one: 2", "two: 2"))]


def test_a_marker_that_is_a_word_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = type("Taken", (Made,), {"words": ("a", "b", "[two]"), "pair": ("a b", "b b [two]")})
    monkeypatch.setattr(CORPORA, "_entries", {**CORPORA._entries, "made": Made, "taken": taken})
    with pytest.raises(CorpusError, match=r"the marker \[two\] of the task two is a word of the task one"):
        build(one={"name": "taken"}, two={"name": "made"})
    assert build(one={"name": "taken"}, three={"name": "made"}).max_length == 5


def write_files(folder: Path, lines: int = 12) -> dict[str, Any]:
    folder.mkdir()
    for stem in ("train", "valid", "test"):
        for side, word in (("de", "Haus"), ("en", "house")):
            text = "".join(f"{word} {stem} {i}\n" for i in range(lines))
            (folder / f"{stem}.{side}").write_text(text, encoding="utf-8")
    return {"name": "files", "path": str(folder), "src": "de", "tgt": "en", "vocab_size": 300}


def test_tasks_of_the_same_files_share_their_subwords(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a")
    corpus = build(translate=files, say={"name": "denoise", "of": files})
    assert corpus.vocabulary.to_json() == inner(files).vocabulary.to_json()
    split = corpus.splits["translate-test"]
    assert [corpus.vocabulary.decode(ids) for ids in split.src.rows()] == split.sources
    assert split.sources[3] == "[translate] Haus test 3" and split.links is None
    marker = corpus.vocabulary.encode("[translate]")
    masked = corpus.splits["translate-noise-mask-30"]
    assert all(ids[: len(marker)] == marker for ids in masked.src.rows()) and MASK in masked.src.values


def test_a_space_stands_behind_a_marker_of_characters(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a") | {"tokenizer": "char"}
    with pytest.raises(CorpusError, match=r"cannot write \[t\], the marker of the task t"):
        build(t=files, s={"name": "denoise", "of": files})
    for side in ("de", "en"):
        (tmp_path / "a" / f"train.{side}").write_text("Haus test [house] 0123456789\n", encoding="utf-8")
    corpus = build(t=files, s={"name": "denoise", "of": files})
    for name in ("t-test", "s-test", "t-noise-mask-30"):
        split = corpus.splits[name]
        assert [corpus.vocabulary.decode(ids) for ids in split.src.rows()] == split.sources
    assert corpus.splits["t-test"].sources[3] == "[t] Haus test 3" and MASK in split.src.values


def test_tasks_without_a_common_vocabulary_are_refused(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a")
    with pytest.raises(
        CorpusError, match=r"need one vocabulary.*\(translate: bpe, say: word\).*tokenizer: word"
    ):
        build(translate=files, say=SAY)
    words = {**files, "tokenizer": "word"}
    corpus = build(translate=words, say=SAY)
    assert corpus.vocabulary.decode(corpus.splits["train"].src[0].tolist()) == "[translate] Haus train 0"


def test_what_is_wrong_with_a_task_says_which(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a")
    (tmp_path / "a" / "test.en").unlink()
    with pytest.raises(CorpusError, match="task translate: no files for 1 of 3 splits"):
        build(say=SAY, translate=files)


def test_where_files_lie_is_no_part_of_a_run_but_a_task_called_path_is(tmp_path: Path) -> None:
    # None: where the program itself keeps what it downloads.
    here, there = ({"name": "multi30k", "path": place, "src": "de", "tgt": "en"} for place in ("x", None))
    runs = [
        config().model_copy(
            update={"corpus": CorpusConfig(name="mixture", options={"tasks": {"path": SAY, "b": files}})}
        )
        for files in (here, there)
    ]
    identity, other = (run.identity()["corpus"]["options"] for run in runs)
    assert identity == other
    assert identity["tasks"] == {"path": SAY, "b": {"name": "multi30k", "src": "de", "tgt": "en"}}
    # What a run was asked for is not changed by asking for its identity.
    assert runs[0].corpus.options["tasks"]["b"]["path"] == "x"


def test_the_cache_notices_other_files_and_other_versions_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**write_files(tmp_path / "a"), "tokenizer": "word"}
    corpus = CorpusConfig(name="mixture", options={"tasks": {"say": SAY, "translate": files}})
    cache = tmp_path / "cache"
    before = load_corpus(corpus, cache)
    assert load_corpus(corpus, cache).sha256 == before.sha256 and len(list(cache.iterdir())) == 1
    (tmp_path / "a" / "valid.de").write_text("Hund\n" * 12, encoding="utf-8")
    assert load_corpus(corpus, cache).sha256 != before.sha256 and len(list(cache.iterdir())) == 2
    monkeypatch.setattr(maskbench.data.CopyCorpus, "version", 99)
    assert load_corpus(corpus, cache).splits["translate-valid"].sources[0] == "[translate] Hund"
    assert len(list(cache.iterdir())) == 3


WRONG = [
    ("{name: mixture}", "missing key 'tasks' in corpus"),
    ("{name: mixture, tasks: {a: {name: copy}}}", "corpus.tasks must have at least 2 element"),
    ("{name: mixture, tasks: {a: {name: copy}, B: {name: copy}}}", "'B' cannot be the name of a task"),
    ("{name: mixture, tasks: {a: {name: copy}, b-c: {name: copy}}}", "'b-c' cannot be the name of a task"),
    ("{name: mixture, tasks: {a: {name: copi}, b: {name: copy}}}", "1:71: error: corpus.tasks.a.name: no corpus named 'copi'; did you mean 'copy'?"),
    ("{name: mixture, tasks: {a: {name: mixture}, b: {name: copy}}}", "corpus.tasks.a.name: mixture cannot stand inside"),
    ("{name: mixture, tasks: {a: {pairs: 3}, b: {name: copy}}}", "missing key 'name' in corpus.tasks.a"),
    ("{name: mixture, tasks: {a: {name: 3}, b: {name: copy}}}", "corpus.tasks.a.name must be text, got 3"),
    ("{name: mixture, tasks: {a: 3, b: {name: copy}}}", "corpus.tasks.a must be a mapping, got 3"),
    ("{name: mixture, tasks: {a: {name: copy, pears: 3}, b: {name: copy}}}", "corpus.tasks.a.pears: unknown key 'pears' of copy; did you mean 'pairs'?"),
    ("{name: mixture, tasks: {a: {name: copy, pairs: x}, b: {name: copy}}}", "corpus.tasks.a.pairs must be a whole number, got 'x'"),
    ("{name: mixture, tasks: {a: {name: copy, min_length: 9, max_length: 3}, b: {name: copy}}}", "corpus.tasks.a: min_length 9 is above max_length 3"),
]  # fmt: skip


@pytest.mark.parametrize(("corpus", "said"), WRONG)
def test_a_mistake_inside_a_task_is_told_at_its_place(tmp_path: Path, corpus: str, said: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{{name: x, arms: {{none: []}}, corpus: {corpus}}}", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    message = str(error.value)
    assert said in message.replace(str(file), "") and "^" in message


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    tasks = "{a: {name: copy, pears: 1, symbls: 2}, b: {name: copy, pairs: 0}}"
    file.write_text(
        f"name: x\narms: {{none: []}}\ncorpus: {{name: mixture, tasks: {tasks}}}", encoding="utf-8"
    )
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    assert [word in str(error.value) for word in ("'pears'", "'symbls'", "at least 1, got 0")] == [True] * 3


def test_a_panel_can_set_an_option_of_a_task_and_a_metric_can_be_that_of_a_task(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    text = {
        "name": "x",
        "arms": {"none": []},
        "corpus": {"name": "mixture", "tasks": {"say": SAY, "turn": TURN}},
        "panels": {"few": {"corpus.tasks.say.pairs": 10}},
        "evaluate": {"splits": ["say-test"], "metrics": ["exact_match"]},
        "compare": {"metric": "say-test/exact_match"},
    }
    file.write_text(json.dumps(text), encoding="utf-8")
    (panel,) = load_experiment(file).panels
    assert panel.arms[0].config.corpus.options["tasks"]["say"]["pairs"] == 10


def test_a_run_has_a_score_for_every_task(tmp_path: Path) -> None:
    settings = config()
    corpus = CorpusConfig(name="mixture", options={"tasks": {"say": SAY, "turn": TURN}})
    evaluate = settings.evaluate.model_copy(
        update={"splits": ("test", "say-test", "turn-test"), "metrics": ("token_accuracy",)}
    )
    run = settings.model_copy(update={"corpus": corpus, "evaluate": evaluate})
    path = tmp_path / "x" / "none" / "seed-0"
    train_run(RunJob("x", None, "none", 0, run, path, tmp_path / "cache"), lambda p: None)
    metrics = json.loads((path / "result.json").read_text())["metrics"]
    both = {name: metrics[f"{name}/token_accuracy"] for name in ("test", "say-test", "turn-test")}
    # Token accuracy counts tokens, end marks among them, so that of all is the mean of both by their tokens.
    say, turn = (sum(inner(task).splits["test"].tgt.lengths.tolist()) for task in (SAY, TURN))
    expected = (both["say-test"] * say + both["turn-test"] * turn) / (say + turn)
    assert both["test"] == pytest.approx(expected)
