"""When two sentences are the same: by words and by tokens, in dealing, notes, statistics and overlaps alike."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_overlaps import WordSplit, overlaps_of

from maskbench.comparison.checks.shared_sentences import find_shared_sentences
from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, RunConfig
from maskbench.data.corpora.denoise import DenoiseCorpus, DenoiseOptions
from maskbench.data.corpora.files import FilesCorpus, FilesOptions
from maskbench.data.corpora.mixture import MixtureCorpus, MixtureOptions
from maskbench.data.corpora.public_corpora import (
    Multi30kCorpus,
    Multi30kOptions,
    TatoebaCorpus,
    TatoebaOptions,
)
from maskbench.data.corpus import Corpus
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.sameness import classify_sentences, dealing_key, mark_repeated, sentence_key
from maskbench.data.statistics import compute_statistics
from maskbench.data.vocabulary import BpeVocabulary, CharacterVocabulary, Vocabulary, WordVocabulary
from maskbench.errors import CorpusError

FORMS = ("NFC", "NFD")
BLANKS: dict[str, Callable[[str], str]] = {
    "doubled": lambda line: line.replace(" ", "  "),
    "no-break": lambda line: line.replace(" ", "\u00a0"),
    "ideographic": lambda line: line.replace(" ", "\u3000"),
    "tab": lambda line: line.replace(" ", "\t"),
    "leading": lambda line: f" {line}",
    "trailing": lambda line: f"{line}\u2009",
}
TOKENIZERS = ("word", "char", "bpe")
LINES = [f"{n} äöü ñandú {word}" for n, word in enumerate(6 * ["Čapek", "Ångström"])]


def written(line: str, form: str, blank: str) -> str:
    return unicodedata.normalize(form, BLANKS[blank](line))


def words(line: str) -> tuple[str, ...]:
    """The words that a person reads, by another way than the library's."""
    return tuple(part for part in re.split(r"\s+", unicodedata.normalize("NFKD", line)) if part)


def learned(tokenizer: str, lines: Sequence[str]) -> Vocabulary:
    if tokenizer == "bpe":
        return BpeVocabulary.train(lines, size=300)
    return (WordVocabulary if tokenizer == "word" else CharacterVocabulary).train(lines, size=300)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_write_a_sentence_is_the_same_sentence(form: str, blank: str, tokenizer: str) -> None:
    others = [written(line, form, blank) for line in LINES]
    vocabulary = learned(tokenizer, [*LINES, *others])
    found = classify_sentences([*LINES, *others], vocabulary.encode_all([*LINES, *others]))
    classes = found.words.tolist()
    assert classes[: len(LINES)] == classes[len(LINES) :] and len(set(classes)) == len(LINES)
    assert mark_repeated(found).tolist() == [False] * len(LINES) + [True] * len(LINES)


@given(line=st.text(st.sampled_from("aéñ\u0301\u0303\u00a0 \t\u3000\u200b\ufeff\ufe0f\x07"), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_key_is_its_own_key_and_all_forms_have_it(line: str) -> None:
    key = sentence_key(line)
    assert sentence_key(key) == key == key.strip() and "  " not in key
    assert {sentence_key(unicodedata.normalize(form, line)) for form in FORMS} == {key}
    assert dealing_key(line.upper()) == dealing_key(dealing_key(line))
    assert words(key) == words(re.sub("[\u200b\ufeff\ufe0f\x07]", "", line))


def test_sentences_of_unknown_words_are_the_same_for_the_model_alone() -> None:
    vocabulary = WordVocabulary(["the", "dog"])
    lines = ["the cat", "the emu", "the dog", "emu the", "the  cat"]
    found = classify_sentences(lines, vocabulary.encode_all(lines))
    assert (found.words.tolist(), found.tokens.tolist()) == ([0, 1, 2, 3, 0], [0, 0, 1, 2, 0])
    assert mark_repeated(found).tolist() == [False, True, False, False, True]
    assert mark_repeated([found.words]).tolist() == [False, False, False, False, True]


def pairs(lines: Sequence[str], sign: str = "x") -> list[tuple[str, str]]:
    return [(line, f"{sign} {line}") for line in lines]


def write(folder: Path, stem: str, rows: Sequence[tuple[str, str]], form: str = "aligned") -> None:
    folder.mkdir(exist_ok=True)
    if form == "table":
        (folder / f"{stem}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in rows), encoding="utf-8")
    elif form == "lines":
        text = "".join(json.dumps({"src": s, "tgt": t}) + "\n" for s, t in rows)
        (folder / f"{stem}.jsonl").write_text(text, encoding="utf-8")
    else:
        for side, ending in enumerate(("src", "tgt")):
            data = "".join(f"{row[side]}\n" for row in rows).encode()
            packed = form == "packed"
            name = folder / f"{stem}.{ending}{'.gz' if packed else ''}"
            name.write_bytes(gzip.compress(data, mtime=0) if packed else data)


def files(folder: Path, **options: Any) -> Corpus:
    return FilesCorpus.build(FilesOptions(path=str(folder), **options))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_shares_deal_no_sentence_to_two_splits_however_it_is_written(tmp_path: Path, tokenizer: str) -> None:
    many = [f"é{n} ist hier" for n in range(40)]
    ways = [(form, blank) for form in FORMS for blank in BLANKS if blank != "tab"]
    rows = [(written(line, *way), f"t {line}") for line in many for way in ways] + pairs(
        [m.upper() for m in many]
    )
    write(tmp_path, "train", rows)
    corpus = files(tmp_path, tokenizer=tokenizer, vocab_size=400, valid=0.2, test=0.2)
    dealt = {
        name: {words(line.lower()) for line in corpus.splits[name].sources}
        for name in ("train", "valid", "test")
    }
    assert sum(map(len, dealt.values())) == 40 and min(map(len, dealt.values())) >= 3
    train = {tuple(row) for row in corpus.splits["train"].src.rows()}
    for name in ("valid", "test"):
        if tokenizer != "word":  # Words that only one split has are unknown.
            assert not train & {tuple(row) for row in corpus.splits[name].src.rows()}
        assert corpus.overlaps.between(name, "train").sources == 0
        assert compute_statistics(corpus, [name])[name].sources_in_train == 0


def test_plain_sentences_are_dealt_as_they_always_were(tmp_path: Path) -> None:
    write(tmp_path, "train", pairs([f"Satz {n}" for n in range(60)]))
    corpus = files(tmp_path, tokenizer="word", valid=0.1, test=0.3)
    for name, split in corpus.splits.items():
        for line in split.sources if name in ("train", "valid", "test") else ():
            hashed = hashlib.blake2b(line.lower().encode(), digest_size=8).hexdigest()
            place = int(hashed, 16) / 16**16
            assert name == ("valid" if place < 0.1 else "test" if place < 0.4 else "train")


def test_tatoeba_is_dealt_by_the_same_sentences(tmp_path: Path) -> None:
    lines = [f"item {n}" for n in range(80)]
    rows = "".join(f"{line}\tx\n{line.replace(' ', '  ')} \ty\n" for line in lines)
    (tmp_path / "deu.txt").write_text(rows, encoding="utf-8")
    corpus = TatoebaCorpus.build(TatoebaOptions(path=str(tmp_path), valid=0.1, test=0.1, tokenizer="word"))
    dealt = [{words(line) for line in corpus.splits[name].sources} for name in ("train", "valid", "test")]
    assert sum(map(len, dealt)) == 80


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("blank", [blank for blank in BLANKS if blank != "tab"])
@pytest.mark.parametrize("form", FORMS)
def test_a_test_pair_that_is_a_training_pair_is_counted_and_said(
    tmp_path: Path, form: str, blank: str, tokenizer: str
) -> None:
    write(tmp_path, "train", pairs(LINES))
    write(tmp_path, "valid", pairs(["ganz anders"]))
    write(tmp_path, "test", [(written(s, form, blank), written(t, form, blank)) for s, t in pairs(LINES[:5])])
    corpus = files(tmp_path, tokenizer=tokenizer, vocab_size=300)
    assert corpus.notes[-1] == "5 of 5 pairs of test are also in train, word for word"
    found = compute_statistics(corpus, ["test"])["test"]
    assert (found.sources_in_train, found.pairs_in_train, found.repeated) == (5, 5, 0)


def test_any_two_splits_are_counted_both_ways_on_each_side(tmp_path: Path) -> None:
    write(tmp_path, "train", pairs(["a", "b", "c", "c "]))
    write(tmp_path, "valid", [("d", "x d"), (" a", "other"), ("e", "x  b")])
    write(tmp_path, "one", [("d", "x d"), ("d", "x d"), ("f", "x f")])
    write(tmp_path, "two", [("f\u00a0", "x f"), ("b", "x b"), ("d", "none")])
    corpus = files(tmp_path, test=["one", "two"], vocab_size=300)
    plain = ("train", "valid", "one", "two")
    found = {
        (o.split, o.other): (o.sources, o.targets, o.pairs)
        for o in corpus.overlaps.counts
        if {o.split, o.other} <= set(plain)
    }
    assert found == {
        ("train", "train"): (1, 1, 1),
        ("one", "one"): (1, 1, 1),
        ("valid", "train"): (1, 1, 0),
        ("train", "valid"): (1, 1, 0),
        ("two", "train"): (1, 1, 1),
        ("train", "two"): (1, 1, 1),
        ("one", "valid"): (2, 2, 2),
        ("valid", "one"): (1, 1, 1),
        ("two", "valid"): (1, 1, 0),
        ("valid", "two"): (1, 1, 0),
        ("two", "one"): (2, 1, 1),
        ("one", "two"): (3, 1, 1),
    }
    assert tuple(note for note in corpus.notes if "positions beyond" not in note) == (
        "3 of 3 lines of one have fewer than two words: noise-drop and noise-swap leave them as they are",
        "1 of 3 sources of valid are also in train, word for word, with another target; 1 more target with another source",
        "2 of 3 pairs of one are also in valid, word for word",
        "1 of 3 pairs of two are also in train, word for word",
        "1 of 3 sources of two are also in valid, word for word, with another target; 1 more target with another source",
        "1 of 3 pairs of two are also in one, word for word; 1 more source with another target",
    )


KNOWN = ("a", "b", "é", "e\u0301", "zz", "qq")
"""The last two are unknown to the vocabulary."""
sentences = st.lists(st.sampled_from(KNOWN), max_size=2)


@given(
    drawn=st.lists(
        st.lists(st.tuples(sentences, sentences, st.sampled_from([" ", "  ", "\u3000"])), max_size=4),
        min_size=2,
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None)
def test_counts_are_those_of_comparing_every_sentence_with_every_other(drawn: list[Any]) -> None:
    splits = [
        WordSplit(f"s{n}", [(blank.join(source), blank.join(target)) for source, target, blank in rows])
        for n, rows in enumerate(drawn)
    ]
    found = overlaps_of(splits, WordVocabulary(KNOWN[:4]))

    def same(one: str, other: str) -> bool:
        read = [["?" if word in KNOWN[4:] else word for word in line.split()] for line in (one, other)]
        return words(one) == words(other) or read[0] == read[1]

    for a in splits:
        for b in splits:
            sides: list[list[bool]] = [[], [], []]
            for place, pair in enumerate(a.rows):
                rows = b.rows[:place] if a is b else b.rows
                sides[0].append(any(same(pair[0], other[0]) for other in rows))
                sides[1].append(any(same(pair[1], other[1]) for other in rows))
                sides[2].append(any(same(pair[0], x) and same(pair[1], y) for x, y in rows))
            one = found.between(a.name, b.name)
            assert [one.sources, one.targets, one.pairs] == [sum(side) for side in sides]


FORMATS = ("aligned", "packed", "table", "lines")


def arms() -> list[ArmConfig]:
    config = RunConfig(corpus=CorpusConfig(name="files", options={}))
    return [ArmConfig(name=name, title=name, config=config) for name in ("none", "up")]


def alarms(corpus: Corpus, metric: str) -> tuple[str, ...]:
    return find_shared_sentences(arms(), corpus.overlaps, metric).alarms


@pytest.mark.parametrize("test_format", FORMATS)
@pytest.mark.parametrize("valid_format", FORMATS)
def test_a_test_split_with_the_content_of_valid_is_alarmed_with_its_noisy_copies(
    tmp_path: Path, valid_format: str, test_format: str
) -> None:
    write(tmp_path, "train", pairs(["other lines", "in train"]))
    write(tmp_path, "valid", pairs(LINES), valid_format)
    write(tmp_path, "test", pairs(LINES), test_format)
    corpus = files(tmp_path, tokenizer="char")
    assert "12 of 12 pairs of test are also in valid, word for word" in corpus.notes
    for split in ("test", *NOISE_SPLITS):
        (alarm,) = alarms(corpus, f"{split}/bleu")
        assert alarm.startswith(
            f"tuned on what is compared: {split}/bleu is measured on the sentences on which"
        )
        assert ("altered copy" in alarm) == (split != "test") and "12 of 12 sources" in alarm


def test_splits_of_other_content_are_not_alarmed(tmp_path: Path) -> None:
    write(tmp_path, "train", pairs(["other lines", "in train"]))
    write(tmp_path, "valid", pairs(LINES[:6]))
    write(tmp_path, "test", pairs(LINES[6:]))
    corpus = files(tmp_path)
    assert all(alarms(corpus, f"{split}/bleu") == () for split in ("test", *NOISE_SPLITS))
    assert alarms(corpus, "valid/bleu")[0].endswith("such as test/bleu")


def test_few_shared_sentences_are_one_warning_and_many_an_alarm(tmp_path: Path) -> None:
    write(tmp_path, "train", pairs([f"train {n}" for n in range(5)]))
    write(tmp_path, "valid", pairs([f"valid {n}" for n in range(5)]))
    own = pairs([f"own {n}" for n in range(98)])
    write(tmp_path, "few", [*own, *pairs(["train 1", "valid 1 "])])
    write(tmp_path, "many", [*own, *pairs(["train 1", "train 2", "train  3"])])
    corpus = files(tmp_path, test=["few", "many"], tokenizer="char")
    few = find_shared_sentences(arms(), corpus.overlaps, "few/bleu")
    assert few.alarms == () and few.warnings == (
        "shared sentences: of 100 sources of few, 1 are also in train (1 with the same target) and 1 are also in valid, on"
        " which valid/nll picked every run's checkpoint",
    )
    many = find_shared_sentences(arms(), corpus.overlaps, "many/bleu")
    assert many.warnings == () and many.alarms[0].startswith(
        "trained on what is compared: many/bleu is measured on many, and 3 of 101 sources of it are also in train"
    )


def test_multi30k_in_a_folder_of_ones_own_is_judged_by_content(tmp_path: Path) -> None:
    for stem, rows in (("train", pairs(["a b"])), ("val", pairs(LINES)), ("test_2016_flickr", pairs(LINES))):
        for side, language in enumerate(("en", "de")):
            (tmp_path / f"{stem}.{language}").write_text(
                "".join(f"{row[side]}\n" for row in rows), encoding="utf-8"
            )
    corpus = Multi30kCorpus.build(Multi30kOptions(path=str(tmp_path), tokenizer="char"))
    assert alarms(corpus, "test_2016_flickr/bleu") and alarms(corpus, "noise-drop-10/bleu")


def described(folder: Path, **splits: list[tuple[str, str]]) -> dict[str, Any]:
    for stem, rows in splits.items():
        write(folder, stem, rows)
    return {"name": "files", "path": str(folder), "tokenizer": "word"}


def test_tasks_of_a_mixture_are_judged_by_content(tmp_path: Path) -> None:
    same = described(tmp_path / "same", train=pairs(LINES), valid=pairs(LINES[:3]), test=pairs(LINES[:3]))
    apart = described(tmp_path / "apart", train=pairs(LINES), valid=pairs(LINES[3:5]), test=pairs(LINES[5:9]))
    corpus = MixtureCorpus.build(MixtureOptions.model_validate({"tasks": {"one": same, "two": apart}}))
    assert corpus.overlaps.between("test", "valid").pairs == 3
    for split in ("one-test", "one-noise-swap-10", "test", "one-valid"):
        assert "tuned on" in alarms(corpus, f"{split}/bleu")[-1], split
    assert not [alarm for alarm in alarms(corpus, "two-test/bleu") if "tuned" in alarm]
    # The notes of the tasks are not repeated: the mixture counts its own splits.
    assert corpus.notes == (
        "5 of 5 pairs of valid are also in train, word for word",
        "7 of 7 pairs of test are also in train, word for word",
        "3 of 7 pairs of test are also in valid, word for word",
    )


def test_denoising_keeps_a_sentence_once_however_it_is_written(tmp_path: Path) -> None:
    of = described(
        tmp_path,
        train=[("a b", "x y"), ("a  b", "x\u00a0y"), ("c d ", "e\u0301 e"), ("b a", "b a")],
        valid=[(" c d", "\u00e9 e"), ("new", "\u00e9 e ")],
        test=[("b\u3000a", "z z")],
    )
    corpus = DenoiseCorpus.build(DenoiseOptions.model_validate({"of": of}))
    kept = {name: corpus.splits[name].sources for name in ("test", "valid", "train")}
    # `new` and `z` are unknown words, but no two of their sentences are of one length.
    assert kept == {
        "test": ["b\u3000a", "z z"],
        "valid": [" c d", "\u00e9 e", "new"],
        "train": ["a b", "x y"],
    }
    assert not [one for one in corpus.overlaps.counts if {one.split, one.other} <= {"train", "valid", "test"}]
    equal = described(tmp_path / "equal", train=pairs(LINES), valid=pairs(LINES[:3]), test=pairs(LINES[:3]))
    with pytest.raises(
        CorpusError, match=r"each of the \d+ lines? of valid is blank, or the same as a line of test .* give"
    ):
        DenoiseCorpus.build(DenoiseOptions.model_validate({"of": equal}))
