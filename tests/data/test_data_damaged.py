"""Two thousand damaged corpora: each is refused with its place, or read without a single shifted pair.

Every sentence says which pair it belongs to, so a shift shows. Damage is keyed: case i is the same in every run.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from maskbench.data.generation.sentence_rng import SentenceRng, sentence_rngs
from maskbench.data.text.pair_files import find_pair_files
from maskbench.data.text.text_files import MAX_LINE_BYTES
from maskbench.errors import CorpusError
from maskbench.randomness import Key

CASES = 2_000
PAIRS = 24
FORMATS = ("aligned", "table", "three columns", "json")
ODD = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\ufeff", "\u200b"]

Lines = list[bytes]


def sentence(side: str, i: int) -> str:
    return f"{side} {i:04d} ä{'x' * (i * 7 % 5)} {i:04d}."


PAIR = [(sentence("src", i), sentence("tgt", i)) for i in range(PAIRS)]


def files_of(form: str) -> dict[str, bytes]:
    if form == "aligned":
        return {
            f"train.{name}": "".join(f"{p[side]}\n" for p in PAIR).encode()
            for side, name in enumerate(("de", "en"))
        }
    if form == "json":
        rows = [json.dumps({"de": src, "en": tgt}, ensure_ascii=False) for src, tgt in PAIR]
        return {"train.jsonl": "".join(f"{row}\n" for row in rows).encode()}
    last = "\tCC-BY" if form == "three columns" else ""
    return {"train.tsv": "".join(f"{src}\t{tgt}{last}\n" for src, tgt in PAIR).encode()}


def somewhere(data: bytes, rng: SentenceRng) -> int:
    return rng.randbelow(len(data) + 1)


def at_line(change: Callable[[Lines, int, SentenceRng], Lines]) -> Callable[[bytes, SentenceRng], bytes]:
    def damage(data: bytes, rng: SentenceRng) -> bytes:
        lines = data.split(b"\n")
        return b"\n".join(change(lines, rng.randbelow(len(lines) - 1), rng))

    return damage


def inserted(*choices: str | bytes) -> Callable[[bytes, SentenceRng], bytes]:
    def damage(data: bytes, rng: SentenceRng) -> bytes:
        place, what = somewhere(data, rng), rng.choice(choices)
        return data[:place] + (what if isinstance(what, bytes) else what.encode()) + data[place:]

    return damage


def carriage_returns(data: bytes, rng: SentenceRng) -> bytes:
    ends = [b"\r\n" if rng.chance(0.5) else b"\n" for _ in range(data.count(b"\n"))]
    return b"".join(line + end for line, end in zip(data.split(b"\n"), ends, strict=False))


def old_mac(data: bytes, rng: SentenceRng) -> bytes:
    return data.replace(b"\n", b"\r", 1 + rng.randbelow(PAIRS))


def bits_flipped(data: bytes, rng: SentenceRng) -> bytes:
    place = rng.randbelow(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randbelow(8))]) + data[place + 1 :]


TEXT_DAMAGE: dict[str, Callable[[bytes, SentenceRng], bytes]] = {
    "nothing": lambda data, rng: data,
    "cut short": lambda data, rng: data[: somewhere(data, rng)],
    "a line is missing": at_line(lambda lines, i, rng: lines[:i] + lines[i + 1 :]),
    "a line is there twice": at_line(lambda lines, i, rng: lines[: i + 1] + lines[i:]),
    "a line is empty": at_line(lambda lines, i, rng: [*lines[:i], b"", *lines[i + 1 :]]),
    "an empty line more": at_line(lambda lines, i, rng: [*lines[:i], b"", *lines[i:]]),
    "a line is cut": at_line(
        lambda lines, i, rng: [*lines[:i], lines[i][: rng.randbelow(len(lines[i]))], *lines[i + 1 :]]
    ),
    "two lines in one": lambda data, rng: data.replace(b"\n", b" ", 1),
    "not UTF-8": inserted(b"\xff", b"\xc3", b"\xe2\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xfe\xff"),
    "a NUL": inserted("\0"),
    "an odd character": inserted(*ODD),
    "a tab more": inserted("\t", "\t\t"),
    "a tab less": lambda data, rng: data.replace(b"\t", b" ", 1),
    "carriage returns": carriage_returns,
    "an old Mac": old_mac,
    "a byte order mark": lambda data, rng: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data, rng: data.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be"])),
    "a huge line": inserted(b"x" * (MAX_LINE_BYTES + 5)),
    "a flipped bit": bits_flipped,
    "punctuation": inserted('"', "{", "}", ",", "\\", "\\u12", "[", '"de": 1,'),
}
PACKED_DAMAGE: dict[str, Callable[[bytes, SentenceRng], bytes]] = {
    "an archive and nothing": lambda data, rng: data,
    "an archive cut short": lambda data, rng: data[: rng.randbelow(len(data))],
    "a flipped bit of an archive": bits_flipped,
    "something behind": lambda data, rng: data + bytes([1 + rng.randbelow(255)]) * (1 + rng.randbelow(9)),
    "packed twice": lambda data, rng: gzip.compress(data, 1, mtime=0),
    "not packed": lambda data, rng: gzip.decompress(data),
    "two in one": lambda data, rng: data + data,
}


def damaged(rng: SentenceRng) -> tuple[dict[str, bytes], str]:
    """Return the files of one damaged corpus, and what was done to which."""
    form = rng.choice(FORMATS)
    files = files_of(form)
    victim = rng.choice(sorted(files))
    packed = rng.chance(0.35)
    kinds = PACKED_DAMAGE if packed and rng.chance(0.6) else TEXT_DAMAGE
    kind = rng.choice(sorted(kinds))
    if kinds is TEXT_DAMAGE:
        files[victim] = kinds[kind](files[victim], rng)
    if packed:
        files[f"{victim}.gz"] = gzip.compress(files.pop(victim), 1, mtime=0)
    if kinds is PACKED_DAMAGE:
        files[f"{victim}.gz"] = kinds[kind](files[f"{victim}.gz"], rng)
    if form == "aligned" and rng.chance(0.05):
        kind, (first, second) = f"{kind}, swapped", sorted(files)
        files[first], files[second] = files[second], files[first]
    return files, f"{form}, {'packed, ' if packed else ''}{victim}: {kind}"


NUMBER = re.compile(r"(?<!\d)\d{4}(?!\d)")


def is_shifted(src: str, tgt: str) -> bool:
    """Whether the two sides name different pairs; a side whose damage took both of its numbers names none."""
    sides = [set(NUMBER.findall(text)) for text in (src, tgt)]
    return bool(sides[0]) and bool(sides[1]) and not sides[0] & sides[1]


PLACED = re.compile(r"train\.(de|en|tsv|jsonl)(\.gz)?:\d+: ")
UNEQUAL = re.compile(r"train\.\w+(\.gz)? has \d+ lines but .*train\.\w+(\.gz)? has \d+;")
TOO_LARGE = re.compile(r"train\.\w+\.gz: decompresses to more than")


def outcome(folder: Path, rng: SentenceRng) -> tuple[str, str]:
    """Return how a damaged corpus was taken, `read` or `refused`, and what had been done to it."""
    files, story = damaged(rng)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source, _ = find_pair_files(folder, "train", "de", "en")
    assert source is not None
    try:
        text = source.read()
    except CorpusError as error:
        message = str(error)
        assert PLACED.search(message) or UNEQUAL.search(message) or TOO_LARGE.search(message), (
            story,
            message,
        )
        return "refused", story
    finally:
        for name in files:
            (folder / name).unlink()
    for src, tgt in text.pairs:
        assert not is_shifted(src, tgt), (story, src, tgt)
    if story.endswith("nothing"):
        assert text.pairs == PAIR, story
    return "read", story


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("damaged")
    return [outcome(folder, rng) for rng in sentence_rngs(Key.of(0, "damaged corpora"), 0, CASES, 64)]


def test_every_damaged_corpus_is_refused_with_its_place_or_read_without_a_shifted_pair(
    outcomes: list[tuple[str, str]],
) -> None:
    counts = Counter(how for how, _ in outcomes)
    assert counts.total() == CASES and counts["refused"] > 800 and counts["read"] > 400


def test_all_formats_and_kinds_of_damage_were_tried(outcomes: list[tuple[str, str]]) -> None:
    stories = [story for _, story in outcomes]
    for kind in (*FORMATS, *TEXT_DAMAGE, *PACKED_DAMAGE, "swapped", "packed"):
        assert sum(kind in story for story in stories) >= 20, kind


@pytest.mark.parametrize(
    "kind", ["not UTF-8", "a NUL", "a huge line", "packed twice", "not packed", "an archive cut short"]
)
def test_what_can_only_be_wrong_is_always_refused(outcomes: list[tuple[str, str]], kind: str) -> None:
    taken = [(how, story) for how, story in outcomes if kind in story and "swapped" not in story]
    assert taken and [story for how, story in taken if how == "read"] == []


def test_damage_that_leaves_the_text_whole_is_read(outcomes: list[tuple[str, str]]) -> None:
    for kind in ("carriage returns", "a byte order mark", "nothing"):
        taken = [how for how, story in outcomes if story.endswith(kind)]
        assert taken and set(taken) == {"read"}, kind


def test_a_missing_or_a_second_line_of_two_aligned_files_is_always_refused(
    outcomes: list[tuple[str, str]],
) -> None:
    kinds = ("a line is missing", "a line is there twice", "an empty line more", "two lines in one")
    taken = [how for how, story in outcomes if story.startswith("aligned") and story.endswith(kinds)]
    assert len(taken) > 20 and set(taken) == {"refused"}


def test_the_check_for_shifts_can_fail() -> None:
    assert is_shifted(PAIR[3][0], PAIR[4][1]) and not is_shifted(*PAIR[3])
