"""What every German word of toydeen hangs on and is tagged as, checked by changing English words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus, generate_sentences
from maskbench.data.corpora.toydeen.grammar import MAX_RANDOM_NUMBERS, derive
from maskbench.data.corpora.toydeen.minimal_pairs import find_minimal_pairs
from maskbench.data.corpora.toydeen.split_styles import LONG_SPLITS, NOVELTY_STYLES, PLAIN_STYLE, SplitStyle
from maskbench.data.corpora.toydeen.tree import TAGS, AnnotatedSentence, annotate
from maskbench.data.generation.sentence_rng import SentenceRng, sentence_rngs
from maskbench.randomness import Key

NAMES = list(TAGS)

# English, and the German words, each with its tag and the English words it hangs on.
BY_HAND = [
    (
        "no cup steals some chickens because it helps them",
        "keine/determiner~no+cup Tasse/noun~cup stiehlt/verb~cup+steals einige/determiner~steals+some+chickens"
        " Hühner/noun~steals+chickens ,/comma~because weil/conjunction~because sie/pronoun~cup+it"
        " ihnen/pronoun~chickens+helps+them hilft/verb_final~because+it+helps",
    ),
    (
        "my window that some loud queens have followed sleeps",
        "mein/determiner~my+window Fenster/noun~window ,/comma~that dem/relative~window+that+followed"
        " einige/determiner~some+queens laute/adjective~some+loud+queens Königinnen/noun~queens"
        " gefolgt/verb_final~that+have+followed sind/verb_final~that+queens+have+followed ,/comma~that"
        " schläft/attracted~window+sleeps",
    ),
    (
        "every bird without this cold chair wakes up a big ball",
        "jeder/determiner~every+bird Vogel/noun~bird ohne/preposition~without diesen/determiner~without+this+chair"
        " kalten/adjective~this+cold+chair Stuhl/noun~chair weckt/verb~bird+wakes einen/determiner~wakes+a+ball"
        " großen/adjective~a+big+ball Ball/noun~ball auf/particle~wakes+up",
    ),
    (
        "now the club can think that it throws away every seal indoors",
        "jetzt/adverb~now kann/inverted~now+club+can der/homograph~the+club+indoors Verein/homograph~club+indoors"
        " denken/verb_final~can+think ,/comma~that dass/conjunction~think+that er/pronoun~club+it+indoors"
        " drinnen/adverb~indoors jedes/homograph~throws+away+every+seal+indoors Siegel/homograph~seal+indoors"
        " wegwirft/verb_final~that+it+throws+away",
    ),
    (
        "outdoors a cow says that it shows no wheel to some courts",
        "draußen/adverb~outdoors sagt/inverted~outdoors+cow+says eine/determiner~a+cow Kuh/noun~cow ,/comma~that"
        " dass/conjunction~says+that sie/pronoun~cow+it einigen/determiner~to+some+courts"
        " Höfen/homograph~outdoors+to+courts kein/determiner~shows+no+wheel Rad/noun~wheel"
        " zeigt/verb_final~that+it+shows",
    ),
]  # fmt: skip

VERBS = {
    "intransitive": lexicon.INTRANSITIVE,
    "transitive": lexicon.TRANSITIVE,
    "ditransitive": lexicon.DITRANSITIVE,
    "separable": lexicon.SEPARABLE,
    "clausal": lexicon.CLAUSAL,
}


def classes() -> dict[str, str]:
    """What English words can stand in for one another without another structure."""
    found: defaultdict[str, set[str]] = defaultdict(set)

    def add(kind: str, *words: str) -> None:
        for word in filter(None, words):
            found[word].add(kind)

    senses = [noun for homograph in lexicon.HOMOGRAPHS for noun in homograph]
    for noun in (*lexicon.ANIMATE, *lexicon.INANIMATE, *senses):
        add("noun", noun.english, noun.english_plural)
    for kind, verbs in VERBS.items():
        for verb in verbs:
            add(f"{kind} verb", verb.english, verb.english_singular)
            add(f"{kind} participle", verb.english_participle)
            add("particle", verb.english_particle)
    for determiner in lexicon.DETERMINERS:
        add("determiner", determiner.english, determiner.english_plural)
    add("determiner", "an")
    for kind, words in [
        ("adjective", lexicon.ADJECTIVES),
        ("adverb", lexicon.ADVERBS),
        ("preposition", lexicon.PREPOSITIONS),
        ("modal", lexicon.MODALS),
    ]:
        add(kind, *(word.english for word in words))  # type: ignore[attr-defined]
    add("cue", "indoors", "outdoors")
    add("perfect", "has", "have")
    add("pronoun", "it", "they", "them")
    for word in ("that", "because", "to"):
        add(word, word)
    return {word: " or ".join(sorted(kinds)) for word, kinds in found.items()}


CLASSES = classes()

# What words of each tag may hang on, by what the English words are; verbs of every kind are "verb" or "participle".
MAY_HANG_ON = {
    "determiner": "determiner noun verb participle particle preposition to",
    "adjective": "determiner adjective noun verb participle particle preposition to",
    "noun": "noun verb participle particle preposition to",
    "homograph": "determiner adjective noun verb participle particle preposition to cue",
    "pronoun": "pronoun noun verb participle cue",
    "relative": "that noun verb participle cue",
    "verb": "verb noun",
    "auxiliary": "modal perfect noun participle particle",
    "inverted": "verb noun modal perfect participle particle adverb cue",
    "attracted": "verb particle noun modal perfect participle adverb cue that because",
    "verb_final": "verb particle noun pronoun modal perfect participle that because",
    "particle": "particle verb",
    "adverb": "adverb cue",
    "preposition": "preposition",
    "conjunction": "that because verb participle",
    "comma": "that because",
}


def hanging(sentence: AnnotatedSentence) -> list[list[int]]:
    """For every German word, the places of the English words it hangs on."""
    width = sentence.source.count(" ") + 2
    rows: list[list[int]] = [[] for _ in sentence.reference.split()]
    for t, s in (divmod(dep, width) for dep in sentence.deps):
        rows[t].append(s)
    return rows


@pytest.fixture(scope="module")
def known() -> dict[str, AnnotatedSentence]:
    return {one.source: one for one in islice(generate_sentences(0, 12), 2_000)}


@pytest.mark.parametrize(("source", "by_hand"), BY_HAND)
def test_sentences_by_hand(known: dict[str, AnnotatedSentence], source: str, by_hand: str) -> None:
    words = source.split()
    found = [
        f"{german}/{NAMES[tag]}~{'+'.join(words[s] for s in row)}"
        for german, tag, row in zip(
            known[source].reference.split(), known[source].tags, hanging(known[source]), strict=True
        )
    ]
    assert found == by_hand.split()


def changed_pairs(style: SplitStyle, count: int) -> Iterator[tuple[AnnotatedSentence, AnnotatedSentence]]:
    """Sentences that stay the same in structure where one of the random words behind them is another."""
    length = 24
    originals = sentence_rngs(Key.of(11, "test"), 0, count, MAX_RANDOM_NUMBERS)
    chances = sentence_rngs(Key.of(12, "test"), 0, count, 8)
    for original, chance in zip(originals, chances, strict=True):
        words = [original.randbelow(1 << 32) for _ in range(MAX_RANDOM_NUMBERS)]
        rng = SentenceRng(words)
        one = derive(rng, style)
        if max(one.lengths) > length:
            continue
        for _ in range(4):
            place, value = chance.randbelow(rng.n_used), chance.randbelow(1 << 32)
            other = derive(SentenceRng([*words[:place], value, *words[place + 1 :]]), style)
            kinds = [[CLASSES[word] for word in sentence.source.split()] for sentence in (one, other)]
            if one.source != other.source and kinds[0] == kinds[1]:
                yield annotate(one), annotate(other)


# Which words have been seen to change words of a tag, where one English word alone was another.
EFFECTS = {
    ("determiner", "noun"),
    ("determiner", "preposition"),
    ("determiner", "transitive verb"),
    ("determiner", "transitive participle"),
    ("adjective", "determiner"),
    ("adjective", "noun"),
    ("noun", "preposition"),
    ("homograph", "cue"),
    ("pronoun", "noun"),
    ("relative", "noun"),
    ("auxiliary", "intransitive participle"),
    ("verb_final", "intransitive participle"),
    ("particle", "separable verb"),
}


def test_a_german_word_changes_only_with_an_english_word_that_it_hangs_on() -> None:
    compared, effects = 0, set()
    for style, count in [
        (PLAIN_STYLE, 1_500),
        (LONG_SPLITS["long-1"][1], 250),
        *((one, 60) for one in NOVELTY_STYLES.values()),
    ]:
        for pair in changed_pairs(style, count):
            words = [one.source.split() for one in pair]
            changed = {s for s, (a, b) in enumerate(zip(*words, strict=True)) if a != b}
            german = [one.reference.split() for one in pair]
            assert pair[0].links == pair[1].links
            for t, (here, there) in enumerate(zip(*german, strict=True)):
                if here != there:
                    for one in pair:
                        assert changed & set(hanging(one)[t]), (pair, here, there)
                    if len(changed) == 1:
                        effects.add((NAMES[pair[0].tags[t]], CLASSES[words[0][min(changed)]]))
            compared += 1
    assert compared > 1_200
    assert effects >= EFFECTS, EFFECTS - effects


def test_a_german_word_hangs_on_nothing_far_fetched() -> None:
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for one in islice(generate_sentences(2, 22), 3_000):
        words = one.source.split()
        for tag, row in zip(one.tags, hanging(one), strict=True):
            assert row == sorted(set(row)) and 1 <= len(row) <= 6
            for kinds in (CLASSES[words[s]].split(" or ") for s in row):
                seen[NAMES[tag]].add(kinds[-1].split()[-1])
                allowed = MAY_HANG_ON[NAMES[tag]].split()
                assert any(kind.split()[-1] in allowed for kind in kinds), (one, NAMES[tag], kinds)
    assert {tag: set(kinds.split()) for tag, kinds in MAY_HANG_ON.items()}.keys() == seen.keys()


def test_with_the_other_cue_just_those_words_change_that_hang_on_it() -> None:
    checked = 0
    for first, second in islice(zip(*[iter(find_minimal_pairs(600, 16))] * 2, strict=True), 0, None, 2):
        pair = annotate(first), annotate(second)
        german = [one.reference.split() for one in pair]
        cue = next(s for s, word in enumerate(pair[0].source.split()) if word in ("indoors", "outdoors"))
        places = {t for t, (a, b) in enumerate(zip(*german, strict=True)) if a != b}
        for one in pair:
            # A verb in front of its subject hangs on a cue for its place, not for its form.
            assert places == {
                t for t, row in enumerate(hanging(one)) if cue in row and NAMES[one.tags[t]] not in FINITE
            }
            assert {t for t, tag in enumerate(one.tags) if NAMES[tag] == "homograph"} <= places
            rest = {NAMES[one.tags[t]] for t in places} - {"homograph"}
            assert rest <= {"adverb", "pronoun", "relative"}
            checked += len(places)
    assert checked > 600


FINITE = ("inverted", "attracted")


def test_tags_say_where_words_stand() -> None:
    for one in islice(generate_sentences(6, 24), 3_000):
        german, tags = one.reference.split(), [*(NAMES[tag] for tag in one.tags), "end"]
        assert tags.count("end") == 1
        for t, (word, (tag, after)) in enumerate(zip(german, pairwise(tags), strict=True)):
            assert (tag == "comma") == (word == ",")
            assert (tag == "conjunction") == (word in ("dass", "weil"))
            if tag == "verb_final":
                assert after in ("verb_final", "attracted", "comma", "end")
            if tag == "particle":
                assert after in ("comma", "end")
            if tag == "relative":
                assert tags[t - 1] == "comma"
            if tag == "inverted":
                assert t == 1 and tags[0] == "adverb"
            if tag in ("verb", "auxiliary"):
                assert t > 1 and tags[0] != "adverb"
            if tag == "determiner":
                assert after in ("adjective", "noun", "homograph")


def test_a_verb_is_attracted_where_a_noun_of_the_other_number_stands_before_it() -> None:
    plural = {
        noun.english_plural
        for noun in (*lexicon.ANIMATE, *lexicon.INANIMATE, *(pair.indoors for pair in lexicon.HOMOGRAPHS))
    }
    seen = set()
    for one in islice(generate_sentences(7, 20), 3_000):
        english = one.source.split()
        width = len(english) + 1
        verb = {t: s for t, s in reversed([divmod(link, width) for link in one.links])}
        for t, (tag, row) in enumerate(zip(one.tags, hanging(one), strict=True)):
            name = NAMES[tag]
            heads = [s for s in row if s < verb.get(t, 0) and CLASSES[english[s]] == "noun"]
            if name in ("attracted", "verb", "auxiliary", "inverted") and heads:
                numbers = {word in plural for word in english[heads[0] : verb[t]] if CLASSES[word] == "noun"}
                assert (name == "attracted") == (len(numbers) == 2), one
                seen.add((name, len(numbers)))
    assert len(seen) == 4


def test_the_tags_of_the_corpus_are_the_documented_ones_and_all_occur() -> None:
    corpus = ToydeenCorpus.build(ToydeenCorpus.Options(pairs=100, valid=1, test=150))
    assert corpus.tags == ToydeenCorpus.tags(ToydeenCorpus.Options()) == tuple(TAGS)
    assert corpus.tags[0] == "end" and all(TAGS.values())
    tags = corpus.splits["test"].tags
    assert tags is not None and set(tags.values.tolist()) == set(range(len(TAGS)))
