"""The corpus `files`."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maskbench.data.corpora.files import FilesCorpus, FilesOptions
from maskbench.data.corpus import Corpus
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.vocabulary import EOS, MASK, UNK, BpeVocabulary, CharacterVocabulary, WordVocabulary
from maskbench.errors import CorpusError

TRAIN = [("Ein Hund", "A dog"), ("Zwei Hunde", "Two dogs"), ("Ein Mann", "A man")]


def notes_of(corpus: Corpus) -> tuple[str, ...]:
    """The notes of a corpus, without those on lines longer than all of training, which such small texts often have."""
    return tuple(note for note in corpus.notes if not note.startswith("longer than every training pair"))


def write(folder: Path, stem: str, pairs: list[tuple[str, str]], suffix: str = "") -> None:
    for side, language in enumerate(("de", "en")):
        data = "".join(f"{pair[side]}\n" for pair in pairs).encode()
        name = folder / f"{stem}.{language}{suffix}"
        name.write_bytes(gzip.compress(data, mtime=0) if suffix else data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "train", TRAIN)
    write(tmp_path, "valid", [("Ein Kind", "A child")])
    write(tmp_path, "test", [("Zwei Männer", "Two men"), ("Ein Zebra", "A zebra")])
    return tmp_path


def options(folder: Path, **more: Any) -> FilesOptions:
    return FilesOptions.model_validate({"path": str(folder), "src": "de", "tgt": "en", **more})


def build(folder: Path, **more: Any) -> Corpus:
    return FilesCorpus.build(options(folder, **more))


def test_splits_are_read_in_order_and_encoded_with_one_vocabulary(folder: Path) -> None:
    corpus = build(folder)
    assert set(corpus.splits) == {"train", "valid", "test", *NOISE_SPLITS}
    assert isinstance(corpus.vocabulary, BpeVocabulary)
    train = corpus.splits["train"]
    assert list(zip(train.sources, train.references, strict=True)) == TRAIN
    for split in ("train", "valid", "test"):
        s = corpus.splits[split]
        assert [corpus.vocabulary.decode(s.src[i].tolist()) for i in range(len(s))] == s.sources
        assert [corpus.vocabulary.decode(s.tgt[i].tolist()) for i in range(len(s))] == s.references
    assert notes_of(corpus) == ()


def test_test_splits_are_called_by_their_files_and_valid_is_always_valid(folder: Path) -> None:
    write(folder, "dev", [("a", "b")])
    write(folder, "test_2016_flickr", [("c", "d")], ".gz")
    chosen = {"valid": "dev", "test": ["test_2016_flickr", "test"]}
    assert FilesCorpus.split_names(options(folder, **chosen)) == [
        "valid",
        "test_2016_flickr",
        "test",
        *NOISE_SPLITS,
    ]
    corpus = build(folder, **chosen)
    assert set(corpus.splits) == {"train", *FilesCorpus.split_names(options(folder, **chosen))}
    assert corpus.splits["valid"].sources == ["a"]
    assert corpus.splits["noise-drop-10"].references == ["d"]


def test_one_test_split_may_be_given_as_a_plain_name(folder: Path) -> None:
    assert build(folder, test="test").sha256 == build(folder, test=["test"]).sha256


def test_compressed_files_tables_and_plain_files_give_the_same_corpus(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other, "train", TRAIN, ".gz")
    write(other, "valid", [("Ein Kind", "A child")])
    (other / "test.tsv.gz").write_bytes(gzip.compress("Zwei Männer\tTwo men\nEin Zebra\tA zebra\n".encode()))
    assert build(other).sha256 == build(folder).sha256


def test_a_relative_path_starts_at_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert build(Path(folder.name)).sha256 == build(folder).sha256


def test_words_are_unknown_outside_training_but_references_stay_raw(folder: Path) -> None:
    corpus = build(folder, tokenizer="word")
    assert isinstance(corpus.vocabulary, WordVocabulary)
    test = corpus.splits["test"]
    ein = corpus.vocabulary.id_of("Ein")
    assert test.src[1].tolist() == [ein, UNK, EOS] and test.references[1] == "A zebra"


def test_characters_are_tokens_and_a_space_is_one(folder: Path) -> None:
    corpus = build(folder, tokenizer="char")
    vocabulary, test = corpus.vocabulary, corpus.splits["test"]
    assert isinstance(vocabulary, CharacterVocabulary)
    assert test.src.lengths.tolist() == [len("Zwei Männer") + 1, len("Ein Zebra") + 1]
    known = [vocabulary.id_of(character) for character in "Ein Zebra"]
    assert [i for i, index in enumerate(known) if index is None] == [6, 7]
    assert test.src[1].tolist() == [UNK if index is None else index for index in known] + [EOS]


def test_rare_words_are_unknown_if_asked_for(folder: Path) -> None:
    vocabulary = build(folder, tokenizer="word", min_frequency=2).vocabulary
    assert vocabulary.id_of("Ein") is not None and vocabulary.id_of("Mann") is None


def test_lower_case_reaches_references_too(folder: Path) -> None:
    corpus = build(folder, lowercase=True)
    assert corpus.splits["test"].sources[0] == "zwei männer"
    assert corpus.splits["test"].references[0] == "two men"


def test_marks_in_the_text_stay_text(folder: Path) -> None:
    write(folder, "train", [("<mask> </s> <pad>", "<s> <unk>"), *TRAIN])
    for tokenizer in ("bpe", "word"):
        train = build(folder, tokenizer=tokenizer).splits["train"]
        ids = train.src[0].tolist()
        assert ids[-1] == EOS and min(ids[:-1]) > MASK and min(train.tgt[0].tolist()[:-1]) > MASK


def test_training_pairs_with_an_empty_side_are_left_out_and_counted(folder: Path) -> None:
    write(folder, "train", [("", "x"), TRAIN[0], ("y", " \u2028"), TRAIN[1], ("", "")])
    corpus = build(folder)
    assert corpus.splits["train"].references == [TRAIN[0][1], TRAIN[1][1]]
    assert notes_of(corpus) == ("left out of train: 3 pairs with an empty side (lines 1, 3, 5)",)


INVISIBLE = ["\u200b", "\u2060", "\ufeff\u200e", "\x01", "\u202a\u202c", "\u3164", "\ufe0f \u00ad"]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_training_pairs_with_an_invisible_side_are_left_out_and_told_apart_from_empty_ones(
    folder: Path, text: str, side: int
) -> None:
    pair = ["x", "y"]
    pair[side] = f"\u200d{text}"
    write(folder, "train", [TRAIN[0], (pair[0], pair[1]), ("", "x"), TRAIN[1]])
    corpus = build(folder, tokenizer="word")
    assert corpus.splits["train"].references == [TRAIN[0][1], TRAIN[1][1]]
    reason = "with a side of nothing but invisible characters (zero-width, control or format)"
    assert [note for note in notes_of(corpus) if note.startswith("left out")] == [
        "left out of train: 1 pair with an empty side (line 3)",
        f"left out of train: 1 pair {reason} (line 2)",
    ]
    named = FilesCorpus.list_left_out(options(folder))
    assert named[1] == f"{folder}/train.de:2: has a side of invisible characters only"
    # Evaluation pairs stay, with a note.
    write(folder, "test", [(pair[0], pair[1]), TRAIN[0]])
    corpus = build(folder, tokenizer="word")
    assert len(corpus.splits["test"]) == 2 and f"kept in test: 1 pair {reason}" in notes_of(corpus)


def test_no_share_of_the_training_files_gets_an_invisible_pair(tmp_path: Path) -> None:
    write(tmp_path, "train", [*NUMBERED, *[(f"leer {i}", "\u200b") for i in range(60)]])
    corpus = build(tmp_path, valid=0.2, test=0.2)
    assert sum(len(corpus.splits[name]) for name in ("train", "valid", "test")) == 200


@pytest.mark.parametrize("text", ["\u0600", "a\u200b", "\u0301", "…"], ids=ascii)
def test_a_side_with_anything_visible_is_trained_on(folder: Path, text: str) -> None:
    write(folder, "train", [TRAIN[0], (text, text)])
    assert build(folder, tokenizer="word").splits["train"].sources == [TRAIN[0][0], text]


def test_only_invisible_training_pairs_are_none(folder: Path) -> None:
    write(folder, "train", [("\u200b", "a"), ("b", "\u2060")])
    with pytest.raises(CorpusError, match=r"train\.de: there is no training pair with two sides"):
        build(folder)


def test_quotes_of_tables_are_an_option_that_counts_only_when_it_is_given(folder: Path) -> None:
    for name in ("train.de", "train.en"):
        os.remove(folder / name)
    (folder / "train.tsv").write_text('"Ein Hund"\t"A dog"\nein Mann\ta man\n"Ja"\t"Yes"\n')
    assert build(folder).splits["train"].sources == ["Ein Hund", "ein Mann", "Ja"]
    assert build(folder, quotes="csv").splits["train"].sources == ["Ein Hund", "ein Mann", "Ja"]
    assert build(folder, quotes="text").splits["train"].sources == ['"Ein Hund"', "ein Mann", '"Ja"']
    # Runs from before there was the option keep their hash.
    assert "quotes" not in options(folder).model_dump(mode="json")
    assert options(folder, quotes="text").model_dump(mode="json")["quotes"] == "text"
    with pytest.raises(ValidationError, match="quotes"):
        options(folder, quotes="single")


def test_training_pairs_that_are_too_long_on_either_side_are_left_out_and_counted(folder: Path) -> None:
    write(folder, "train", [("a b c", "x"), ("a b c d", "x"), ("a", "w x y z"), ("a", "x y z")])
    corpus = build(folder, tokenizer="word", max_length=3)
    assert corpus.splits["train"].references == ["x", "x y z"]
    assert notes_of(corpus)[0] == "left out of train: 2 pairs longer than 3 tokens (lines 2, 3)"


def test_a_note_names_the_first_ten_lines_and_the_corpus_names_all_on_request(folder: Path) -> None:
    rows = [("a b c d", "x"), *[("", "x"), ("a", "x")] * 12]
    write(folder, "train", rows)
    chosen = options(folder, tokenizer="word", max_length=3)
    assert notes_of(FilesCorpus.build(chosen))[:2] == (
        "left out of train: 12 pairs with an empty side (lines 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 2 more)",
        "left out of train: 1 pair longer than 3 tokens (line 1)",
    )
    named = FilesCorpus.list_left_out(chosen)
    assert named[:12] == [f"{folder}/train.de:{2 * i}: has an empty side" for i in range(1, 13)]
    assert named[12:] == [f"{folder}/train.de:1: longer than 3 tokens"]


def test_evaluation_pairs_are_never_left_out(folder: Path) -> None:
    write(folder, "test", [("", "A dog"), ("a " * 30, "b"), ("c", "")])
    corpus = build(folder, max_length=3, tokenizer="word")
    assert corpus.splits["test"].references == ["A dog", "b", ""]
    assert corpus.splits["test"].src[0].tolist() == [EOS]
    assert "kept in test: 2 pairs with an empty side" in notes_of(corpus)


@pytest.mark.parametrize("side", [0, 1])
def test_an_evaluation_pair_that_is_far_too_long_is_refused_with_its_line(folder: Path, side: int) -> None:
    long = ["a", "b"]
    long[side] = "x " * 1025
    write(folder, "test", [("a", "b"), (long[0], long[1])])
    with pytest.raises(CorpusError, match=rf"test\.{('de', 'en')[side]}:2: this line has 1025 tokens"):
        build(folder, tokenizer="word")


def test_overlap_with_training_is_a_note_with_its_count(folder: Path) -> None:
    write(folder, "valid", [TRAIN[0], ("Ein Hund", "another"), TRAIN[2]])
    assert notes_of(build(folder)) == (
        "2 of 3 pairs of valid are also in train, word for word; 1 more source with another target",
    )


@pytest.mark.parametrize("pairs", [[], [("", "")], [("a", "")]])
def test_no_training_pair_at_all_is_refused(folder: Path, pairs: list[tuple[str, str]]) -> None:
    write(folder, "train", pairs)
    with pytest.raises(CorpusError, match=r"train\.de: there is no training pair"):
        build(folder)


def test_training_pairs_that_are_all_too_long_are_refused(folder: Path) -> None:
    with pytest.raises(CorpusError, match="all 3 training pairs are longer than max_length 1; raise it"):
        build(folder, max_length=1, tokenizer="word")


def test_an_evaluation_split_without_lines_is_refused(folder: Path) -> None:
    write(folder, "valid", [])
    with pytest.raises(CorpusError, match=r"valid\.de: has no lines"):
        build(folder)


@pytest.mark.parametrize("tokenizer", ["bpe", "word"])
@pytest.mark.parametrize("pairs", [[("a", "b")], [("a", "a")], [("a", "b"), ("c", "d")]])
def test_one_or_two_training_pairs_are_enough(
    folder: Path, pairs: list[tuple[str, str]], tokenizer: str
) -> None:
    write(folder, "train", pairs)
    assert len(build(folder, tokenizer=tokenizer).splits["train"]) == len(pairs)


NUMBERED = [(f"Satz {i % 150}", f"sentence {i}") for i in range(200)]


def test_a_share_of_the_training_files_may_validate_and_test(tmp_path: Path) -> None:
    write(tmp_path, "train", NUMBERED)
    chosen = {"valid": 0.1, "test": 0.3}
    assert FilesCorpus.split_names(options(tmp_path, **chosen)) == ["valid", "test", *NOISE_SPLITS]
    assert FilesCorpus.origins(options(tmp_path, **chosen))["noise-drop-20"] == "test"
    splits = build(tmp_path, **chosen).splits
    dealt = [splits[name] for name in ("train", "valid", "test")]
    pairs = [pair for split in dealt for pair in zip(split.sources, split.references, strict=True)]
    assert sorted(pairs) == sorted(NUMBERED)
    # 50 sources are there twice: no source is in two splits.
    assert sum(len(set(split.sources)) for split in dealt) == 150
    assert 5 <= len(set(splits["valid"].sources)) <= 26 and 28 <= len(set(splits["test"].sources)) <= 62


def test_what_is_dealt_to_a_split_does_not_hang_on_the_other_lines_or_on_their_case(tmp_path: Path) -> None:
    write(tmp_path, "train", NUMBERED)
    chosen = {"valid": 0.1, "test": 0.3}
    whole = build(tmp_path, **chosen).splits["test"].references
    write(tmp_path, "train", [(src.upper(), tgt) for src, tgt in NUMBERED[100:]])
    half = build(tmp_path, **chosen).splits["test"].references
    assert half == [reference for reference in whole if int(reference.split()[1]) >= 100]
    assert build(tmp_path, **chosen, lowercase=True).splits["test"].references == half


def test_a_share_beside_files_of_its_own(folder: Path) -> None:
    write(folder, "train", NUMBERED)
    splits = build(folder, valid=0.2).splits
    assert splits["test"].references == ["Two men", "A zebra"]
    assert len(splits["train"]) + len(splits["valid"]) == 200


def test_pairs_with_an_empty_side_are_left_out_of_train_whatever_the_share(tmp_path: Path) -> None:
    write(tmp_path, "train", [*NUMBERED, *[(f"leer {i}", "") for i in range(60)]])
    corpus = build(tmp_path, valid=0.2, test=0.2)
    assert sum(len(corpus.splits[name]) for name in ("train", "valid", "test")) == 200
    assert (
        len(notes_of(corpus)) == 1 and "60 pairs with an empty side (lines 201, 202," in notes_of(corpus)[0]
    )


def test_a_share_that_comes_to_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"train\.de: a share of 0\.001 of its pairs for valid comes to none"
    ):
        build(folder, valid=0.001)


def test_a_header_is_told_once_and_its_line_counted(tmp_path: Path) -> None:
    rows = "".join(f"{tgt}\t{src}\n" for src, tgt in [("", "x"), *NUMBERED])
    (tmp_path / "train.tsv").write_text("en\tde\n" + rows)
    corpus = build(tmp_path, valid=0.1, test=0.1)
    assert corpus.splits["valid"].sources[0].startswith("Satz")
    assert [note for note in notes_of(corpus) if "header" in note] == [
        "train.tsv:1 is taken for a header, not for a pair (en, de: target, source)"
    ]
    assert "left out of train: 1 pair with an empty side (line 2)" in notes_of(corpus)
    assert build(tmp_path, valid=0.1, test=0.1, header=False).splits["train"].sources[0] == "en"


def test_json_lines_give_the_same_corpus_as_aligned_files(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "json"
    other.mkdir()
    for stem in ("train", "valid", "test"):
        sides = [(folder / f"{stem}.{side}").read_text().splitlines() for side in ("de", "en")]
        rows = [json.dumps({"en": tgt, "de": src}) for src, tgt in zip(*sides, strict=True)]
        (other / f"{stem}.jsonl").write_text("\n".join(rows))
    assert build(other).sha256 == build(folder).sha256


def test_missing_files_are_listed_with_every_path_looked_for(folder: Path) -> None:
    os.remove(folder / "valid.en")
    with pytest.raises(CorpusError) as caught:
        build(folder, test=["test", "nothing"])
    message = str(caught.value)
    assert message.startswith(f"no files for 2 of 4 splits in {folder}; looked for")
    for name in [
        "valid.de",
        "valid.de.gz",
        "valid.en",
        "valid.en.gz",
        "valid.tsv",
        "valid.tsv.gz",
        "nothing.tsv.gz",
    ]:
        assert name in message
    assert "correct path, src, tgt" in message


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no such folder"):
        build(tmp_path / "nowhere")


def test_inputs_are_the_hashes_of_the_files_that_would_be_read(folder: Path) -> None:
    before = FilesCorpus.inputs(options(folder))
    assert sorted(before) == ["test.de", "test.en", "train.de", "train.en", "valid.de", "valid.en"]
    write(folder, "test", [("x", "y")])
    after = FilesCorpus.inputs(options(folder))
    assert {name for name in before if before[name] != after[name]} == {"test.de", "test.en"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"src": "en"}, "name the same files"),
        ({"vocab_size": 200}, "at least 261"),
        ({"min_frequency": 2}, "tokenizer: word"),
        ({"test": []}, "at least one split"),
        ({"test": ["a", "a"]}, "none twice"),
        ({"test": "train"}, "has a meaning already"),
        ({"test": ["noise-mask-10"]}, "has a meaning already"),
        ({"valid": "dev", "test": ["valid"]}, "has a meaning already"),
        ({"valid": 0.5}, "less than 0.5"),
        ({"test": 0.0}, "greater than 0"),
        ({"header": "maybe"}, "auto"),
        ({"train": "../train"}, "pattern"),
        ({"tokenizer": "spm"}, "bpe"),
        ({"max_length": "100"}, "integer"),
        ({"shuffle": True}, "xtra"),
    ],
)
def test_options_that_make_no_sense_are_refused(folder: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(folder, **wrong)


def test_the_defaults_are_the_documented_ones() -> None:
    assert FilesOptions(path="x", src="de", tgt="en").model_dump(mode="json") == {
        "path": "x", "src": "de", "tgt": "en", "train": "train", "valid": "valid", "test": ["test"],
        "tokenizer": "bpe", "vocab_size": 8000, "lowercase": False, "max_length": 100, "min_frequency": 1,
        "header": "auto",
    }  # fmt: skip


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("stem", ["valid", "test"])
def test_an_evaluation_split_without_any_text_on_a_side_is_refused(
    folder: Path, stem: str, side: int
) -> None:
    pairs = [("a", " "), ("b", "")]
    write(folder, stem, [pair[:: -1 if side == 0 else 1] for pair in pairs])
    what, language = ("reference", "en") if side else ("source", "de")
    with pytest.raises(
        CorpusError, match=rf"{stem}\.{language}:1: every {what} of {stem} \(2 lines\) is empty"
    ):
        build(folder)


def test_one_reference_is_enough(folder: Path) -> None:
    write(folder, "test", [("a", ""), ("b", "x"), ("c", "")])
    assert "kept in test: 2 pairs with an empty side" in notes_of(build(folder))


def test_unknown_words_of_references_and_sources_are_counted(folder: Path) -> None:
    write(folder, "test", [("Ein Hund", "A dog"), ("Ein Zebra", "One zebra or two")])
    write(folder, "valid", [("Ein Mann", "A man")])
    (note,) = (note for note in notes_of(build(folder, tokenizer="word")) if note.startswith("unknown"))
    assert note.startswith(
        "unknown to the vocabulary, which reads them as <unk>: 4 of 6 tokens of the references of test (66.7%), 1 of 4"
        " tokens of the sources of test (25.0%); token_accuracy, exact_match, bleu and chrf count"
    )
    assert "unknown" not in " ".join(notes_of(build(folder))), "bpe knows every word"


def test_references_that_hold_the_mark_for_unknown_words_are_noted(folder: Path) -> None:
    write(folder, "test", [("Ein Hund", "A <unk>"), ("Ein Hund", "A dog<unk>")])
    notes = [note for note in notes_of(build(folder)) if "<unk>" in note]
    assert len(notes) == 1 and notes[0].startswith("1 of 2 references of test hold <unk> as a word")


@pytest.mark.parametrize("side", [0, 1])
def test_text_that_was_cut_before_is_noted_once_for_each_side(folder: Path, side: int) -> None:
    cut, plain = "Hu@@ nde lau@@ fen", "Hunde laufen"
    for stem in ("train", "valid", "test"):
        write(folder, stem, [((plain, cut) if side else (cut, plain))])
    notes = [note for note in notes_of(build(folder)) if "already" in note]
    assert len(notes) == 1
    assert (
        f"the {'reference' if side else 'source'} text looks tokenised already: 3 of 3 lines hold" in notes[0]
    )
    assert ("not comparable with published scores" in notes[0]) == bool(side)


def test_spaced_full_stops_are_noted(folder: Path) -> None:
    write(folder, "train", [(f"Hund {i} .", f"Dog {i} .") for i in range(9)])
    assert notes_of(build(folder)) == ()
    write(folder, "test", [("Ein Hund .", "A dog .")])
    assert [note.partition(":")[0] for note in notes_of(build(folder))] == [
        "the source text looks tokenised already",
        "the reference text looks tokenised already",
    ]


def test_evaluated_lines_longer_than_all_of_training_are_a_note(tmp_path: Path) -> None:
    write(tmp_path, "train", [("a b", "a"), ("c", "b c d")])
    write(tmp_path, "valid", [("a b c", "a")])
    write(tmp_path, "test", [("a b c d", "a"), ("a", "b"), ("b", "a b c d e")])
    notes = [note for note in build(tmp_path).notes if "longer" in note]
    assert notes == [
        "longer than every training pair (4 tokens, end mark included): 2 of 3 pairs of test; positions beyond that "
        "are never trained"
    ]
