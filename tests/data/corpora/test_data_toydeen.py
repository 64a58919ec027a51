"""The grammar of toydeen, checked with tables and rules written here and not taken from it."""

from __future__ import annotations

import re
from itertools import islice, pairwise

import pytest

from maskbench.data.corpora.toydeen.corpus import english_words, generate_sentences, german_words
from maskbench.data.corpora.toydeen.grammar import MAX_RANDOM_NUMBERS, Derivation, derive
from maskbench.data.corpora.toydeen.split_styles import LONG_SPLITS, NOVELTY_STYLES, PLAIN_STYLE, SplitStyle
from maskbench.data.corpora.toydeen.tree import Leaf, Node
from maskbench.data.generation.sentence_rng import sentence_rngs
from maskbench.randomness import Key

Pair = tuple[list[str], list[str]]

# Determiner and the adjective `alt` behind it, in the order masculine, feminine, neuter, plural.
PARADIGM = {
    ("the", "nom"): "der alte, die alte, das alte, die alten",
    ("the", "acc"): "den alten, die alte, das alte, die alten",
    ("the", "dat"): "dem alten, der alten, dem alten, den alten",
    ("this", "nom"): "dieser alte, diese alte, dieses alte, diese alten",
    ("this", "acc"): "diesen alten, diese alte, dieses alte, diese alten",
    ("this", "dat"): "diesem alten, dieser alten, diesem alten, diesen alten",
    ("my", "nom"): "mein alter, meine alte, mein altes, meine alten",
    ("my", "acc"): "meinen alten, meine alte, mein altes, meine alten",
    ("my", "dat"): "meinem alten, meiner alten, meinem alten, meinen alten",
    ("no", "nom"): "kein alter, keine alte, kein altes, keine alten",
    ("no", "acc"): "keinen alten, keine alte, kein altes, keine alten",
    ("no", "dat"): "keinem alten, keiner alten, keinem alten, keinen alten",
    ("a", "nom"): "ein alter, eine alte, ein altes, -",
    ("a", "acc"): "einen alten, eine alte, ein altes, -",
    ("a", "dat"): "einem alten, einer alten, einem alten, -",
    ("every", "nom"): "jeder alte, jede alte, jedes alte, -",
    ("every", "acc"): "jeden alten, jede alte, jedes alte, -",
    ("every", "dat"): "jedem alten, jeder alten, jedem alten, -",
    ("some", "nom"): "-, -, -, einige alte",
    ("some", "acc"): "-, -, -, einige alte",
    ("some", "dat"): "-, -, -, einigen alten",
}
PARADIGM |= {
    (there, case): PARADIGM[here, case]
    for here, there in [("a", "an"), ("this", "these")]
    for case in ("nom", "acc", "dat")
}

# English noun: column of the paradigm, German form, dative form.
NOUNS = {
    "man": (0, "Mann", "Mann"),
    "dog": (0, "Hund", "Hund"),
    "key": (0, "Schlüssel", "Schlüssel"),
    "apple": (0, "Apfel", "Apfel"),
    "woman": (1, "Frau", "Frau"),
    "cow": (1, "Kuh", "Kuh"),
    "lamp": (1, "Lampe", "Lampe"),
    "child": (2, "Kind", "Kind"),
    "girl": (2, "Mädchen", "Mädchen"),
    "house": (2, "Haus", "Haus"),
    "men": (3, "Männer", "Männern"),
    "dogs": (3, "Hunde", "Hunden"),
    "keys": (3, "Schlüssel", "Schlüsseln"),
    "women": (3, "Frauen", "Frauen"),
    "lamps": (3, "Lampen", "Lampen"),
    "girls": (3, "Mädchen", "Mädchen"),
    "houses": (3, "Häuser", "Häusern"),
    "ponies": (3, "Ponys", "Ponys"),
}
ADJECTIVES = dict(
    pair.split("/")
    for pair in [
        "old/alt",
        "young/jung",
        "small/klein",
        "big/groß",
        "fast/schnell",
        "pretty/schön",
        "red/rot",
        "blue/blau",
        "green/grün",
        "new/neu",
        "cold/kalt",
        "warm/warm",
        "rich/reich",
        "poor/arm",
        "quiet/ruhig",
        "loud/laut",
        "heavy/schwer",
        "light/leicht",
        "strong/stark",
        "white/weiß",
    ]
)
DETERMINERS = ["the", "this", "these", "my", "no", "a", "an", "every", "some"]
PREPOSITIONS = {
    "near": ("neben", "dat"),
    "behind": ("hinter", "dat"),
    "with": ("mit", "dat"),
    "without": ("ohne", "acc"),
}
ADVERBS = dict(
    pair.split("/")
    for pair in [
        "today/heute",
        "often/oft",
        "sometimes/manchmal",
        "rarely/selten",
        "here/hier",
        "now/jetzt",
        "again/wieder",
        "always/immer",
        "indoors/drinnen",
        "outdoors/draußen",
    ]
)
# The forms of each sense, as a pattern.
INDOORS = {
    "bank": "Bank(en)?", "bow": "Schleifen?", "court": "Gerichte?n?",
    "pen": "Stifte?n?", "club": "Vereine?n?", "seal": "Siegeln?",
}  # fmt: skip
OUTDOORS = {
    "bank": "Ufern?", "bow": "B[oö]gen", "court": "H[oö]fe?n?", "pen": "Gehegen?", "club": "Keulen?", "seal": "Robben?",
}  # fmt: skip
RELATIVE = {
    "nom": ["der", "die", "das", "die"],
    "acc": ["den", "die", "das", "die"],
    "dat": ["dem", "der", "dem", "denen"],
}
# English finite verbs with their infinitive in German, particle included, and whether they are singular.
VERBS = {
    "sees": ("sehen", "sieht"), "finds": ("finden", "findet"), "buys": ("kaufen", "kauft"),
    "loves": ("lieben", "liebt"), "hears": ("hören", "hört"), "holds": ("halten", "hält"),
    "forgets": ("vergessen", "vergisst"), "steals": ("stehlen", "stiehlt"),
}  # fmt: skip
BASES = {
    "sees": "see",
    "finds": "find",
    "buys": "buy",
    "loves": "love",
    "hears": "hear",
    "holds": "hold",
    "forgets": "forget",
    "steals": "steal",
}
SEPARABLE = {
    "calls up": ("ruft", "an"), "call up": ("rufen", "an"), "picks up": ("holt", "ab"), "pick up": ("holen", "ab"),
    "turns off": ("schaltet", "aus"), "turn off": ("schalten", "aus"), "wakes up": ("weckt", "auf"),
    "throws away": ("wirft", "weg"), "throw away": ("werfen", "weg"), "takes along": ("nimmt", "mit"),
}  # fmt: skip
DATIVE = ["helps", "help", "follows", "follow"]
MODALS = {"must": ("muss", "müssen"), "can": ("kann", "können"), "should": ("soll", "sollen")}
REPORTED = set(
    ["say", "says", "said", "know", "knows", "known", "think", "thinks", "thought", "hope", "hopes", "hoped"]
) | set(["believe", "believes", "believed", "claim", "claims", "claimed"])


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    stream = generate_sentences(seed=3, max_length=24)
    return [(one.source.split(), one.reference.split()) for one in islice(stream, 16_000)]


def is_plain(pair: Pair) -> bool:
    """Whether the sentence is one clause without a relative clause."""
    return "," not in pair[1]


def noun_phrase(words: list[str]) -> tuple[list[str], list[str]] | None:
    """Split a known noun phrase off the front of English `words`."""
    for size in (2, 3):
        if len(words) >= size and words[0] in DETERMINERS and words[size - 1] in NOUNS:
            if size == 3 and words[1] not in ADJECTIVES:
                return None
            return words[:size], words[size:]
    return None


def translated(phrase: list[str], case: str) -> list[str]:
    """Translate an English noun phrase with the paradigm above."""
    column, form, dative = NOUNS[phrase[-1]]
    determiner, adjective = PARADIGM[phrase[0], case].split(", ")[column].split()
    middle = [ADJECTIVES[word] + adjective.removeprefix("alt") for word in phrase[1:-1]]
    return [determiner, *middle, dative if case == "dat" else form]


def contains(words: list[str], part: list[str]) -> bool:
    return f" {' '.join(part)} " in f" {' '.join(words)} "


def test_a_subject_at_the_start_is_nominative(pairs: list[Pair]) -> None:
    checked = 0
    for source, target in pairs:
        split = noun_phrase(source)
        if split:
            expected = translated(split[0], "nom")
            assert target[: len(expected)] == expected, (source, target)
            checked += 1
    assert checked > 300


def test_a_preposition_governs_its_case(pairs: list[Pair]) -> None:
    seen = set()
    for source, target in pairs:
        for at, word in enumerate(source):
            split = noun_phrase(source[at + 1 :]) if word in PREPOSITIONS else None
            if split:
                there, case = PREPOSITIONS[word]
                assert contains(target, [there, *translated(split[0], case)]), (source, target)
                seen.add((word, split[0][0]))
    assert len(seen) > 25


@pytest.mark.parametrize(
    ("verbs", "case"), [(["sees", "finds", "buys", "loves"], "acc"), (["helps", "follows"], "dat")]
)
def test_a_verb_governs_the_case_of_its_object(pairs: list[Pair], verbs: list[str], case: str) -> None:
    checked = 0
    for source, target in pairs:
        for verb in set(verbs) & set(source):
            split = noun_phrase(source[source.index(verb) + 1 :])
            if split:
                assert contains(target, translated(split[0], case)), (source, target)
                checked += 1
    assert checked > 20


def test_a_recipient_is_dative_and_moves_in_front_of_the_object(pairs: list[Pair]) -> None:
    checked = 0
    for pair in filter(is_plain, pairs):
        source, target = pair
        if "to" in source:
            at = source.index("to")
            recipient = noun_phrase(source[at + 1 :])
            theme = noun_phrase(source[at - 2 : at]) or noun_phrase(source[at - 3 : at])
            if recipient and theme and not set(PREPOSITIONS) & set(source):
                expected = translated(recipient[0], "dat") + translated(theme[0], "acc")
                assert contains(target, expected), pair
                checked += 1
    assert checked > 20


def test_a_fronted_adverb_puts_the_verb_second(pairs: list[Pair]) -> None:
    fronted = [(source, target) for source, target in pairs if source[0] in ADVERBS]
    for source, target in fronted:
        assert target[0] == ADVERBS[source[0]]
        # The subject begins with its determiner, so the third word is the subject's and the second is the verb.
        assert re.match(r"d(er|ie|as)$|(ein|kein|mein|dies|jed|einig)", target[2]), (source, target)
        assert not re.match(r"d(er|ie|as|en|em)$|(ein|kein|mein|dies|jed)", target[1]), (source, target)
    assert len(fronted) > 1000


def subordinate(pair: Pair) -> tuple[list[str], list[str]] | None:
    """Return the clause behind dass or weil, always the last one, in both languages, or None where there is none."""
    source, target = pair
    for conjunction in {"dass", "weil"} & set(target):
        at = target.index(conjunction)
        assert target[at - 1] == ","
        here = [
            i for i, word in enumerate(source) if word in ("that", "because") and source[i - 1] in REPORTED
        ]
        if "because" in source:
            here = [source.index("because")]
        return source[here[0] + 1 :], target[at + 1 :]
    return None


def test_a_subordinate_clause_ends_in_its_finite_verb(pairs: list[Pair]) -> None:
    finite = {verb: (form, form) for verb, (_, form) in VERBS.items()}
    finite |= {base: (VERBS[verb][0], VERBS[verb][0]) for verb, base in BASES.items()}
    finite |= {**MODALS, "has": ("hat", "ist"), "have": ("haben", "sind")}
    seen = set()
    for pair in pairs:
        clause = subordinate(pair)
        split = noun_phrase(clause[0]) if clause else None
        if clause and split and split[1][0] in finite:
            assert clause[1][-1] in finite[split[1][0]], pair
            seen.add(split[1][0])
    assert len(seen) > 10


def test_a_modal_sends_the_infinitive_to_the_end_and_agrees_with_the_subject(pairs: list[Pair]) -> None:
    checked = 0
    for pair in filter(is_plain, pairs):
        source, target = pair
        split = noun_phrase(source)
        verbs = {BASES[form]: infinitive for form, (infinitive, _) in VERBS.items()}
        for modal, (singular, plural) in MODALS.items():
            if modal in source and split and source[source.index(modal) + 1] in verbs:
                assert target[-1] == verbs[source[source.index(modal) + 1]], pair
                assert (plural if NOUNS[split[0][-1]][0] == 3 else singular) in target, pair
                checked += 1
    assert checked > 20


def test_the_number_of_a_verb_reaches_across_a_prepositional_phrase(pairs: list[Pair]) -> None:
    checked = attracted = 0
    for source, target in pairs:
        split = noun_phrase(source)
        if not split or split[1][0] not in PREPOSITIONS:
            continue
        inner = noun_phrase(split[1][1:])
        if inner and inner[1][0] in MODALS:
            head, attractor = (NOUNS[phrase[-1]][0] == 3 for phrase in (split[0], inner[0]))
            assert MODALS[inner[1][0]][head] in target, (source, target)
            checked, attracted = checked + 1, attracted + (head != attractor)
    assert checked > 5 and attracted > 1


def test_the_perfect_takes_its_auxiliary_from_the_verb(pairs: list[Pair]) -> None:
    auxiliary = {
        "swum": ("ist", "sind"),
        "fallen": ("ist", "sind"),
        "slept": ("hat", "haben"),
        "seen": ("hat", "haben"),
    }
    participle = {"swum": "geschwommen", "fallen": "gefallen", "slept": "geschlafen", "seen": "gesehen"}
    checked = 0
    for pair in filter(is_plain, pairs):
        source, target = pair
        for verb in auxiliary.keys() & source:
            if {"has", "have"} & set(source):
                assert target[-1] == participle[verb], pair
                assert auxiliary[verb]["have" in source] in target, pair
                checked += 1
    assert checked > 20


def test_a_particle_is_separated_in_a_main_clause_and_ends_it(pairs: list[Pair]) -> None:
    checked = 0
    for pair in filter(is_plain, pairs):
        source, target = pair
        for verb, (finite, particle) in SEPARABLE.items():
            if contains(source, verb.split()) and not set(MODALS) & set(source):
                assert finite in target and target[-1] == particle, pair
                checked += 1
    assert checked > 50


def test_a_particle_stays_with_its_verb_in_a_subordinate_clause(pairs: list[Pair]) -> None:
    checked = 0
    for pair in pairs:
        clause = subordinate(pair)
        for verb, (finite, particle) in SEPARABLE.items() if clause else ():
            if clause and contains(clause[0], verb.split()) and not set(MODALS) & set(clause[0]):
                assert clause[1][-1] == particle + finite, pair
                checked += 1
    assert checked > 10


def test_a_cue_at_either_end_decides_every_homograph(pairs: list[Pair]) -> None:
    seen = set()
    for source, target in pairs:
        for word in source:
            noun = word.removesuffix("s")
            if noun in INDOORS:
                cues = [cue for cue in ("indoors", "outdoors") if cue in source]
                assert len(cues) == 1 and source.count(cues[0]) == 1
                assert cues[0] in (source[0], source[-1])
                right, wrong = (INDOORS, OUTDOORS) if cues == ["indoors"] else (OUTDOORS, INDOORS)
                assert any(re.fullmatch(right[noun], word) for word in target), (source, target)
                assert not any(re.fullmatch(wrong[noun], word) for word in target), (source, target)
                seen.add((noun, cues[0], source[0] == cues[0]))
    assert len(seen) == 6 * 2 * 2


def test_a_cue_also_stands_where_nothing_hangs_on_it(pairs: list[Pair]) -> None:
    with_cue = [source for source, _ in pairs if {"indoors", "outdoors"} & set(source)]
    idle = [source for source in with_cue if not {word.removesuffix("s") for word in source} & set(INDOORS)]
    assert 0.2 < len(idle) / len(with_cue) < 0.7


def test_a_relative_pronoun_agrees_with_its_head(pairs: list[Pair]) -> None:
    seen = set()
    for source, target in pairs:
        for at, word in enumerate(source):
            if word != "that" or source[at - 1] not in NOUNS:
                continue
            column, form, dative = NOUNS[source[at - 1]]
            inner = noun_phrase(source[at + 1 :])
            if inner is None and source[at + 1] in DETERMINERS:
                continue
            verb = inner[1][0] if inner else ""
            case = "dat" if verb in DATIVE else "acc" if verb in {*VERBS, *BASES.values()} else "nom"
            if inner and case == "nom":
                continue
            pronoun = RELATIVE[case][column]
            assert any(contains(target, [noun, ",", pronoun]) for noun in (form, dative)), (source, target)
            seen.add((case, column))
    assert len(seen) > 7


PERSONAL = {
    "nom": ["er", "sie", "es", "sie"],
    "acc": ["ihn", "sie", "es", "sie"],
    "dat": ["ihm", "ihr", "ihm", "ihnen"],
}
PEOPLE = {"man", "men", "woman", "women", "child", "girl", "girls"}


def test_a_subject_pronoun_has_the_gender_of_the_subject_of_the_main_clause(pairs: list[Pair]) -> None:
    seen = set()
    for source, target in pairs:
        for place, word in enumerate(source):
            before = source[place - 1]
            if word not in ("it", "they") or before not in ("that", "because"):
                continue
            split = noun_phrase(source)
            if split:
                assert split[0][-1] not in PEOPLE
                column = NOUNS[split[0][-1]][0]
                assert (word == "they") == (column == 3)
                conjunction = {"that": "dass", "because": "weil"}[before]
                assert contains(target, [",", conjunction, PERSONAL["nom"][column]]), (source, target)
                seen.add((column, conjunction))
    assert len(seen) == 8


def test_an_object_pronoun_has_the_gender_of_the_object_of_the_main_clause(pairs: list[Pair]) -> None:
    seen = set()
    for source, target in pairs:
        if "because" not in source:
            continue
        at = source.index("because")
        here, there = source[at + 1 :], target[target.index("weil") + 1 :]
        verbs = [i for i, word in enumerate(source[:at]) if word in {*VERBS, *BASES.values(), *DATIVE}]
        pronouns = [word for word in here[1:] if word in ("it", "them")]
        split = noun_phrase(source[verbs[-1] + 1 : at]) if verbs else None
        if not pronouns or not split:
            continue
        assert split[0][-1] not in PEOPLE
        column = NOUNS[split[0][-1]][0]
        assert pronouns == ["them" if column == 3 else "it"]
        case = "dat" if {*DATIVE, "helped", "followed"} & set(here) else "acc"
        assert PERSONAL[case][column] in there, (source, target)
        if here[0] in DETERMINERS:
            assert PERSONAL["acc" if case == "dat" else "dat"][column] not in there[1:]
        seen.add((column, case))
    assert {column for column, _ in seen} == {0, 1, 2, 3}


def test_every_relative_clause_is_closed_by_one_comma_or_the_end(pairs: list[Pair]) -> None:
    for _, target in pairs:
        text = " ".join(target)
        assert ", ," not in text and not text.endswith(",") and not text.startswith(",")


def test_a_or_an_follows_the_next_word(pairs: list[Pair]) -> None:
    for source, _ in pairs:
        for word, following in pairwise(source):
            if word in ("a", "an"):
                assert (word == "an") == (following[0] in "aeiou")


def test_one_sentence_has_one_translation() -> None:
    stream = generate_sentences(seed=9, max_length=8)
    known: dict[str, str] = {}
    repeated = 0
    for one in islice(stream, 7_000):
        repeated += one.source in known
        assert known.setdefault(one.source, one.reference) == one.reference
    assert repeated > 5


def test_the_word_lists_are_exactly_what_the_grammar_says(pairs: list[Pair]) -> None:
    said = [{word for pair in pairs for word in pair[side]} for side in (0, 1)]
    for known, used in zip((english_words(), german_words()), said, strict=True):
        assert len(set(known)) == len(known) and used <= set(known)
        assert len(used) > 0.97 * len(known)


def test_sentences_keep_to_the_longest_length() -> None:
    stream = generate_sentences(seed=4, max_length=9)
    lengths = [len(side.split()) for _ in range(2_000) for side in next(stream)[:2]]
    assert max(lengths) == 9 and min(lengths) >= 3


@pytest.mark.parametrize("style", [PLAIN_STYLE, LONG_SPLITS["long-3"][1], *NOVELTY_STYLES.values()])
def test_no_derivation_needs_more_draws_than_it_is_given(style: SplitStyle) -> None:
    rng = sentence_rngs(Key.of(7, "test"), 0, 1_500, MAX_RANDOM_NUMBERS)
    for one in rng:
        derive(one, style)
    # One more is for what `minimal` changes.
    assert max(one.n_used for one in rng) < MAX_RANDOM_NUMBERS


def test_a_derivation_orders_the_same_parts_in_both_languages() -> None:
    def check(node: Node) -> None:
        if isinstance(node, Leaf):
            assert node.english or node.german
            return
        assert sorted(map(id, node.english)) == sorted(map(id, node.german))
        for part in node.english:
            check(part)

    for rng in sentence_rngs(Key.of(8, "test"), 0, 300, MAX_RANDOM_NUMBERS):
        check(Derivation(rng).sentence())
