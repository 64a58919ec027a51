"""Draw noun phrases and pronouns of `toydeen`, with the words on which each German form depends."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

from maskbench.data.corpora.toydeen import inflection, lexicon
from maskbench.data.corpora.toydeen.inflection import agreement_of
from maskbench.data.corpora.toydeen.lexicon import Case, Declension, Determiner, Noun, WordPair
from maskbench.data.corpora.toydeen.split_styles import SplitStyle, allowed_adjectives, allowed_nouns
from maskbench.data.corpora.toydeen.tree import Leaf, Node, Phrase, leaf, split_words
from maskbench.data.generation.sentence_rng import SentenceRng

Role: TypeAlias = Literal["subject", "object", "recipient", "place"]
"""The function of a noun phrase; it decides which nouns are likely."""

_ANIMATE_CHANCES: Final[dict[Role, float]] = {"subject": 0.8, "object": 0.4, "recipient": 0.9, "place": 0.3}
_SINGULAR_DETERMINERS: Final = tuple(word for word in lexicon.DETERMINERS if word.english)
_PLURAL_DETERMINERS: Final = tuple(word for word in lexicon.DETERMINERS if word.english_plural)


class Head(NamedTuple):
    """The properties of a phrase's noun with which other words agree."""

    leaf: Leaf
    """The leaf of the noun, or of the pronoun in its place."""
    noun: Noun
    other_sense: Noun
    """The other sense of a homograph; otherwise `noun` itself."""
    plural: bool
    attracted: bool = False
    """Whether a later noun of the phrase has the other number."""


class NounPhrase(NamedTuple):
    """A noun phrase and its head."""

    node: Node
    head: Head


class NounPhrases:
    """Draws the noun phrases of one sentence."""

    def __init__(
        self, rng: SentenceRng, style: SplitStyle, cue: WordPair | None, flip: int | None = None
    ) -> None:
        """Start a sentence without noun phrases.

        Args:
            rng: the source of all decisions.
            style: the probabilities and the allowed words.
            cue: the cue, which decides the sense of all homographs; None: the sentence has no homograph.
            flip: the index of the noun phrase that gets the other number, among those that can have both;
                None: none.
        """
        self._rng = rng
        self._style = style
        self._cue = cue
        self._flip = flip
        self.cue_leaves = () if cue is None else (leaf(cue.english, cue.german, "adverb"),)
        """The cue as a leaf, or (); every word whose form depends on the sense depends on it."""
        self.n_flippable = 0
        """Number of noun phrases so far whose determiner fits both numbers."""

    def draw(self, case: Case, role: Role, governor: Leaf | None = None) -> NounPhrase:
        """Draw a determiner, an optional adjective and a noun, with gender, case and number in agreement.

        Args:
            case, role: case and function of the phrase.
            governor: the word that decides between accusative and dative.
        """
        rng, style = self._rng, self._style
        plural = rng.chance(0.35)
        # Draw no homograph without a cue: it would have two right translations.
        if self._cue is not None and rng.chance(0.3):
            noun, other_sense = rng.choice(lexicon.HOMOGRAPHS)
            if self._cue is not lexicon.INDOORS:
                noun, other_sense = other_sense, noun
        else:
            animate = rng.chance(_ANIMATE_CHANCES[role])
            noun = other_sense = rng.choice(allowed_nouns(style, role, animate=animate))
        determiner = rng.choice(_PLURAL_DETERMINERS if plural else _SINGULAR_DETERMINERS)
        adjective = rng.choice(allowed_adjectives(style, noun)) if rng.chance(style.adjectives) else None
        if determiner.english and determiner.english_plural:
            plural ^= self.n_flippable == self._flip
            self.n_flippable += 1

        english = noun.english_plural if plural else noun.english
        article = determiner.english_plural if plural else determiner.english
        following = adjective.english if adjective else english
        if article == "a" and following[0] in "aeiou":
            article = "an"

        place = _Place(case, governor, noun, other_sense)
        head = self._inflect(english, "noun", _noun_form(plural), place)
        first = self._inflect(article, "determiner", _determiner_form(determiner, plural), place, head)
        words: tuple[Leaf, ...] = (first, head)
        if adjective:
            form = _adjective_form(adjective, determiner.declension, plural)
            words = (first, self._inflect(adjective.english, "adjective", form, place, first, head), head)
        return NounPhrase(Phrase(words, words), Head(head, noun, other_sense, plural))

    def personal_pronoun(self, meant: Head, case: Case, governor: Leaf | None = None) -> NounPhrase:
        """Return `it`, `they` or `them` for the earlier noun `meant`; the German form has its gender."""
        plural = meant.plural
        pronoun = self._inflect(
            ("they" if case == "nom" else "them") if plural else "it",
            "pronoun",
            _personal_form(plural),
            _Place(case, governor, meant.noun, meant.other_sense),
            meant.leaf,
        )
        return NounPhrase(pronoun, meant._replace(leaf=pronoun, attracted=False))

    def relative_pronoun(self, head: Head, case: Case) -> Leaf:
        """Return the pronoun at the start of a relative clause, with the comma before it."""
        return self._inflect(
            "that",
            "relative",
            _relative_form(head.plural),
            # No governor yet: the verb that decides the case is drawn later.
            _Place(case, None, head.noun, head.other_sense),
            head.leaf,
        )

    def _inflect(self, english: str, tag: str, form: _Form, place: _Place, *depends_on: Leaf) -> Leaf:
        """Return a word in its form for `place`; it depends on governor and cue if they can change it."""
        german, case_shows, sense_shows = _forms(form, place.case, place.noun, place.other_sense)
        leaves = list(depends_on)
        if place.governor and case_shows:
            leaves.append(place.governor)
        if sense_shows:
            leaves += self.cue_leaves
            tag = tag if tag in ("pronoun", "relative") else "homograph"
        return Leaf(split_words(english), german, tag, leaves)


class _Place(NamedTuple):
    """The properties that decide the form of a word."""

    case: Case
    governor: Leaf | None
    noun: Noun
    other_sense: Noun


_Form: TypeAlias = Callable[[Case, Noun], str]
"""Returns the German form of a word that agrees with a noun. Equal words have one and the same function."""


@cache
def _forms(form: _Form, case: Case, noun: Noun, other_sense: Noun) -> tuple[tuple[str, ...], bool, bool]:
    """Return the words of a form, and whether accusative and dative, and whether the two senses, differ in it.

    The grammar has a few thousand of them, and a large corpus asks for each of them a thousand times.
    """
    german = form(case, noun)
    other_case: Case = "acc" if case == "dat" else "dat"
    return split_words(german), form(other_case, noun) != german, form(case, other_sense) != german


@cache
def _noun_form(plural: bool) -> _Form:
    return lambda case, noun: inflection.noun_form(noun, case, plural=plural)


@cache
def _determiner_form(determiner: Determiner, plural: bool) -> _Form:
    return lambda case, noun: inflection.determiner_form(determiner, case, agreement_of(noun, plural=plural))


@cache
def _adjective_form(adjective: WordPair, declension: Declension, plural: bool) -> _Form:
    return lambda case, noun: (
        adjective.german + inflection.adjective_ending(declension, case, agreement_of(noun, plural=plural))
    )


@cache
def _personal_form(plural: bool) -> _Form:
    return lambda case, noun: inflection.PERSONAL[case][agreement_of(noun, plural=plural)]


@cache
def _relative_form(plural: bool) -> _Form:
    return lambda case, noun: ", " + inflection.RELATIVE[case][agreement_of(noun, plural=plural)]
