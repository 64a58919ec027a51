"""Nouns, noun phrases and pronouns of `toydeen`, and which words each of their forms hangs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen import phrases as inflection
from maskbench.data.corpora.toydeen.lexicon import Agreement, Case, Declension, Determiner, Noun, WordPair
from maskbench.data.corpora.toydeen.split_styles import SplitStyle, allowed_adjectives, allowed_nouns
from maskbench.data.corpora.toydeen.tree import Leaf, Node, leaf, same_order
from maskbench.data.generation.sentence_rng import SentenceRng

RELATIVE: Final[dict[Case, dict[Agreement, str]]] = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "denen"},
}
"""The relative pronoun; but for the dative plural it is also the definite article."""

PERSONAL: Final[dict[Case, dict[Agreement, str]]] = {
    "nom": {"m": "er", "f": "sie", "n": "es", "p": "sie"},
    "acc": {"m": "ihn", "f": "sie", "n": "es", "p": "sie"},
    "dat": {"m": "ihm", "f": "ihr", "n": "ihm", "p": "ihnen"},
}
"""The personal pronoun of the third person."""

_PRONOMINAL: Final[dict[Case, dict[Agreement, str]]] = {
    "nom": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
"""Endings that show case and gender: on `dies-`, `jed-`, `einig-`, and on adjectives where no determiner does."""


def determiner_form(determiner: Determiner, case: Case, agreement: Agreement) -> str:
    """Return the German form of a determiner."""
    if determiner.stem == "d":
        return "den" if (case, agreement) == ("dat", "p") else RELATIVE[case][agreement]
    # The ein-words have no ending exactly where der, das (nominative) and das (accusative) stand.
    bare = determiner.declension == "mixed" and (
        (case == "nom" and agreement in "mn") or (case, agreement) == ("acc", "n")
    )
    return determiner.stem + ("" if bare else _PRONOMINAL[case][agreement])


def adjective_ending(declension: Declension, case: Case, agreement: Agreement) -> str:
    """Return the ending of an adjective between a determiner of that declension and its noun."""
    if declension == "strong":
        return _PRONOMINAL[case][agreement]
    if case == "dat" or agreement == "p" or (case, agreement) == ("acc", "m"):
        return "en"
    # After ein, kein, mein without an ending the adjective shows the gender itself.
    return _PRONOMINAL[case][agreement] if declension == "mixed" else "e"


def noun_form(noun: Noun, case: Case, *, plural: bool) -> str:
    """Return the German form of a noun: the dative plural adds -n, but not after -n and -s."""
    if not plural:
        return noun.german
    ending = "n" if case == "dat" and noun.german_plural[-1] not in "ns" else ""
    return noun.german_plural + ending


Role: TypeAlias = Literal["subject", "object", "recipient", "place"]
"""What a noun phrase is for; decides which nouns are likely."""


class Head(NamedTuple):
    """What words elsewhere agree with."""

    leaf: Leaf
    """The noun, or the pronoun that stands for it."""
    noun: Noun
    rival: Noun
    """Its other sense; the noun itself where there is none."""
    plural: bool
    attracted: bool = False
    """Whether its phrase ends in a noun of the other number."""


class NounPhrase(NamedTuple):
    """A noun phrase with its head."""

    node: Node
    head: Head


class NounPhrases:
    """Draws the noun phrases of one sentence."""

    def __init__(
        self, draws: SentenceRng, style: SplitStyle, cue: WordPair | None, flip: int | None = None
    ) -> None:
        """Prepare.

        Args:
            draws: decide everything.
            style: what there is to choose from.
            cue: the sense of all homographs; None: the sentence has no homograph.
            flip: the noun phrase whose number is to be the other one, as its place among those that can have both.
        """
        self._draws = draws
        self._style = style
        self._sense = cue
        self._flip = flip
        self.cue = () if cue is None else (leaf(cue.english, cue.german, "adverb"),)
        """The cue, where there is one; everything that hangs on the sense names it."""
        self.flippable = 0
        """How many noun phrases so far have a determiner that fits both numbers."""

    def simple(self, case: Case, role: Role, governor: Leaf | None = None) -> NounPhrase:
        """Return determiner, perhaps an adjective, and noun, agreeing in gender, case and number.

        Args:
            case, role: of the phrase.
            governor: the word that decides between accusative and dative.
        """
        draws = self._draws
        plural = draws.chance(0.35)
        noun, rival = self._noun(role)
        determiner = draws.choice(_PLURAL_DETERMINERS if plural else _SINGULAR_DETERMINERS)
        adjective = (
            draws.choice(allowed_adjectives(self._style, noun))
            if draws.chance(self._style.adjectives)
            else None
        )
        if determiner.english and determiner.english_plural:
            plural ^= self.flippable == self._flip
            self.flippable += 1
        at = _Place(case, governor, noun, rival)
        here = noun.english_plural if plural else noun.english
        head = self._word(here, "noun", lambda c, sense: inflection.noun_form(sense, c, plural=plural), at)
        first = self._word(
            _article(determiner, adjective.english if adjective else here, plural=plural),
            "determiner",
            lambda c, sense: inflection.determiner_form(determiner, c, agreement(sense, plural=plural)),
            at,
            head,
        )
        middle: tuple[Leaf, ...] = ()
        if adjective:
            middle = (self._adjective(adjective, determiner.declension, first, head, at, plural=plural),)
        return NounPhrase(same_order(first, *middle, head), Head(head, noun, rival, plural))

    def pronoun(self, meant: Head, case: Case, governor: Leaf | None = None) -> NounPhrase:
        """Return `it` or `they` for a noun before; German has the gender of the noun that is meant."""
        english = "they" if case == "nom" else "them"
        word = self._word(
            english if meant.plural else "it",
            "pronoun",
            lambda c, sense: inflection.PERSONAL[c][agreement(sense, plural=meant.plural)],
            _Place(case, governor, meant.noun, meant.rival),
            meant.leaf,
        )
        return NounPhrase(word, meant._replace(leaf=word, attracted=False))

    def relative_pronoun(self, head: Head, case: Case) -> Leaf:
        """Return the pronoun that opens a relative clause, after its comma; in another case it is another word."""

        def form(c: Case, sense: Noun) -> str:
            return ", " + inflection.RELATIVE[c][agreement(sense, plural=head.plural)]

        return self._word("that", "relative", form, _Place(case, None, head.noun, head.rival), head.leaf)

    def _adjective(
        self, word: WordPair, declension: Declension, first: Leaf, head: Leaf, at: _Place, *, plural: bool
    ) -> Leaf:
        def form(c: Case, sense: Noun) -> str:
            return word.german + inflection.adjective_ending(declension, c, agreement(sense, plural=plural))

        return self._word(word.english, "adjective", form, at, first, head)

    def _word(self, english: str, tag: str, form: Callable[[Case, Noun], str], at: _Place, *on: Leaf) -> Leaf:
        """Return the form for a place; it hangs on the governor and on the cue just where they can change it."""
        german = form(at.case, at.noun)
        hangs = list(on)
        if at.governor and form("acc" if at.case == "dat" else "dat", at.noun) != german:
            hangs.append(at.governor)
        if at.rival is not at.noun and form(at.case, at.rival) != german:
            hangs += self.cue
            tag = tag if tag in ("pronoun", "relative") else "homograph"
        return leaf(english, german, tag, *hangs)

    def _noun(self, role: Role) -> tuple[Noun, Noun]:
        """Return a noun and its other sense, or the noun twice."""
        draws = self._draws
        # Without a cue a homograph would have two right translations, so there is none.
        if self._sense is not None and draws.chance(0.3):
            indoors, outdoors = draws.choice(lexicon.HOMOGRAPHS)
            return (indoors, outdoors) if self._sense is lexicon.INDOORS else (outdoors, indoors)
        likely_animate = {"subject": 0.8, "object": 0.4, "recipient": 0.9, "place": 0.3}[role]
        noun = draws.choice(allowed_nouns(self._style, role, animate=draws.chance(likely_animate)))
        return noun, noun


class _Place(NamedTuple):
    """Where a form stands."""

    case: Case
    governor: Leaf | None
    noun: Noun
    rival: Noun


def agreement(sense: Noun, *, plural: bool) -> Agreement:
    """Return what agrees with a noun: its gender, or the plural."""
    return "p" if plural else sense.gender


def _article(determiner: Determiner, following: str, *, plural: bool) -> str:
    article = determiner.english_plural if plural else determiner.english
    return "an" if article == "a" and following[0] in "aeiou" else article


_SINGULAR_DETERMINERS: Final = tuple(word for word in lexicon.DETERMINERS if word.english)
_PLURAL_DETERMINERS: Final = tuple(word for word in lexicon.DETERMINERS if word.english_plural)
