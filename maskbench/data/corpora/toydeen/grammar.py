"""The synchronous grammar of `toydeen`: one derivation yields an English sentence and its German translation.

Every English sentence the grammar can derive has exactly one translation. What looks ambiguous is settled by rule:

- an adverb at the end belongs to the last clause that is no relative clause;
- a relative clause and a prepositional phrase belong to the noun before them;
- one cue decides the sense of all homographs of its sentence;
- a pronoun stands for a noun of the main clause that has its own function: as subject for the subject, as object for
  the direct object, whichever noun is nearer. It never stands for a person, who would be he or she in English.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.lexicon import Case, Verb
from maskbench.data.corpora.toydeen.phrases import Head, NounPhrase, NounPhrases, Role
from maskbench.data.corpora.toydeen.split_styles import PLAIN_STYLE, SplitStyle
from maskbench.data.corpora.toydeen.tree import DerivedSentence, Leaf, Node, Phrase, leaf, same_order, spell
from maskbench.data.generation.sentence_rng import SentenceRng

MAX_RANDOM_NUMBERS: Final = 132
"""No derivation reads more random words than this."""

_PEOPLE: Final = frozenset(noun.english for noun in lexicon.PEOPLE)


class Predicate(NamedTuple):
    """A verb with its auxiliaries; English has `finite` and `rest` side by side, German pulls them apart."""

    finite: Leaf
    rest: tuple[Leaf, ...] = ()
    """A separated particle, an infinitive or a participle, or nothing."""

    @property
    def verb(self) -> Leaf:
        """The words that say which verb it is."""
        return self.rest[0] if self.rest and self.rest[0].tag != "particle" else self.finite


class Opening(NamedTuple):
    """What decides where the verbs of a clause stand."""

    words: tuple[Leaf, ...]
    """Something in front of a main clause, a conjunction, a relative pronoun, or nothing."""
    final: bool
    """Whether the clause ends in its verbs."""


class Clause(NamedTuple):
    """The constituents of a clause before they are put in order."""

    subject: NounPhrase
    predicate: Predicate
    object: NounPhrase | None = None
    english_rest: tuple[Node, ...] = ()
    """Behind the verbs: objects, then an adverb."""
    german_rest: tuple[Node, ...] = ()
    """Between subject or finite verb and the other verbs: a pronoun, an adverb, then objects."""


class Derivation:
    """One sentence; equal draws give equal derivations."""

    def __init__(
        self,
        draws: SentenceRng,
        style: SplitStyle = PLAIN_STYLE,
        *,
        flip: int | None = None,
        other_cue: bool = False,
    ) -> None:
        """Prepare.

        Args:
            draws: decide everything.
            style: what the sentence is likely to have in it.
            flip, other_cue: change one thing of what the draws say: the number of a noun phrase (`NounPhrases`), or the
                cue, if there is one.
        """
        cues = (lexicon.OUTDOORS, lexicon.INDOORS) if other_cue else (lexicon.INDOORS, lexicon.OUTDOORS)
        self._draws = draws
        self._style = style
        self._nouns = NounPhrases(draws, style, draws.choice((None, None, None, *cues)), flip)

    @property
    def flippable(self) -> int:
        """How many noun phrases of the sentence could have the other number; known when it is derived."""
        return self._nouns.flippable

    def sentence(self) -> Node:
        """Return a main clause, alone or with a clause behind it that `dass` or `weil` introduces."""
        draws = self._draws
        front, last = self._adverbs()
        opening = Opening(front, final=False)
        if not draws.chance(self._style.clauses):
            return _main(front, self._clause(opening, last, busy=False))
        if draws.chance(0.5):
            outer = self._reporting(opening)
            conjunction = leaf("that", ", dass", "conjunction", outer.predicate.verb)
        else:
            outer = self._clause(opening, (), busy=True)
            conjunction = leaf("because", ", weil", "conjunction")
        inner = self._clause(Opening((conjunction,), final=True), last, busy=True, before=outer)
        return same_order(_main(front, outer), _subordinate(conjunction, inner))

    def _adverbs(self) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
        """Return what stands in front of the sentence and at its end: the cue at one, an adverb at the other."""
        draws, cue = self._draws, self._nouns.cue
        adverb = (leaf(*draws.choice(lexicon.ADVERBS), "adverb"),) if draws.chance(0.4) else ()
        return (adverb, cue) if draws.chance(0.5) else (cue, adverb)

    def _reporting(self, opening: Opening) -> Clause:
        subject = self._phrase("nom", "subject", busy=True)
        verb = self._draws.choice(lexicon.CLAUSAL)
        return Clause(subject, self._predicate(verb, subject.head, opening))

    def _clause(
        self, opening: Opening, adverb: tuple[Leaf, ...], *, busy: bool, before: Clause | None = None
    ) -> Clause:
        """Return a clause; one that comes `before` has what its pronouns may stand for."""
        draws = self._draws
        frame = draws.below(20)
        subject = self._pronoun(before.subject if before else None, "nom")
        if subject is None:
            subject = self._phrase("nom", "subject", busy=busy)
        if frame < 5:
            predicate = self._predicate(draws.choice(lexicon.INTRANSITIVE), subject.head, opening)
            return Clause(subject, predicate, None, adverb, adverb)
        kind = lexicon.TRANSITIVE if frame < 13 else lexicon.SEPARABLE if frame < 17 else lexicon.DITRANSITIVE
        verb = draws.choice(kind)
        predicate = self._predicate(verb, subject.head, opening)
        # English puts a pronoun between a verb and its particle: such verbs have none.
        meant = before.object if before and not verb.english_particle else None
        pronoun = self._pronoun(meant, verb.object_case, predicate.verb)
        whom: tuple[Node, ...] = ()
        if kind is lexicon.DITRANSITIVE:
            thing = pronoun or self._nouns.simple(verb.object_case, "object", predicate.verb)
            to = leaf("to", "")
            whom = (same_order(to, self._phrase("dat", "recipient", to, busy=busy).node),)
        else:
            thing = pronoun or self._phrase(verb.object_case, "object", predicate.verb, busy=busy)
        there = (thing.node, *adverb, *whom) if pronoun else (*adverb, *whom, thing.node)
        return Clause(subject, predicate, thing, (thing.node, *whom, *adverb), there)

    def _pronoun(
        self, meant: NounPhrase | None, case: Case, governor: Leaf | None = None
    ) -> NounPhrase | None:
        """Return a pronoun for a noun phrase, if there is one, it is no person, and the draws want it."""
        if meant is None or meant.head.noun.english in _PEOPLE or not self._draws.chance(0.5):
            return None
        return self._nouns.pronoun(meant.head, case, governor)

    def _predicate(self, verb: Verb, subject: Head, opening: Opening) -> Predicate:
        """Return the verb alone, with a modal, or in the perfect; in a main clause particles are separated."""
        draws = self._draws
        form = draws.choice(("simple", "simple", "modal", "perfect"))
        plural = subject.plural
        of = (subject.leaf, *opening.words)
        if form == "simple":
            return _simple_predicate(verb, subject, opening)
        if form == "modal":
            modal = draws.choice(lexicon.MODALS)
            german = modal.german_plural if plural else modal.german_singular
            finite = leaf(modal.english, german, _finite_tag("auxiliary", subject, opening), *of)
            here, there = verb.english, verb.german_plural
        else:
            english, german = "have" if plural else "has", lexicon.AUXILIARIES[verb.auxiliary][plural]
            finite = leaf(english, german, _finite_tag("auxiliary", subject, opening), *of)
            here, there = verb.english_participle, verb.german_participle
        place = opening.words if opening.final else ()
        rest = leaf(
            f"{here} {verb.english_particle}", verb.german_particle + there, "verb_final", finite, *place
        )
        if form == "perfect":
            # Whether it is haben or sein is the participle's choice.
            finite.on.append(rest)
        return Predicate(finite, (rest,))

    def _phrase(self, case: Case, role: Role, governor: Leaf | None = None, *, busy: bool) -> NounPhrase:
        """Return a noun phrase that may have a prepositional phrase or a relative clause behind it.

        In a `busy` sentence, which has two clauses, they are rarer. A relative clause can only follow a subject,
        unless the style's novelty is that it follows a direct object.
        """
        draws, style = self._draws, self._style
        phrase = self._nouns.simple(case, role, governor)
        node, head = phrase
        scale = style.busy if busy else 1.0
        if draws.chance(style.prepositional * scale):
            preposition = draws.choice(lexicon.PREPOSITIONS)
            word = leaf(preposition.english, preposition.german, "preposition")
            other = self._nouns.simple(preposition.case, "place", word)
            return NounPhrase(same_order(node, word, other.node), _behind(head, other))
        with_clause: Role = "object" if style.novelty == "relative" else "subject"
        if role == with_clause and draws.chance(style.relative * scale):
            return self._with_relative(phrase, deeper=style.novelty == "deeper")
        return phrase

    def _with_relative(self, phrase: NounPhrase, *, deeper: bool) -> NounPhrase:
        """Return the phrase with a clause whose pronoun is its subject or its object; German has the verb at the end.

        With `deeper`, it is the object, and the subject has a relative clause itself.
        """
        draws = self._draws
        of_subject = draws.chance(0.5) and not deeper
        alone = of_subject and draws.chance(0.3)
        verb = draws.choice(lexicon.INTRANSITIVE if alone else lexicon.TRANSITIVE)
        pronoun = self._nouns.relative_pronoun(phrase.head, "nom" if of_subject else verb.object_case)
        opening = Opening((pronoun,), final=True)
        other: tuple[NounPhrase, ...] = ()
        if of_subject:
            predicate = self._predicate(verb, phrase.head, opening)
            if not alone:
                other = (self._nouns.simple(verb.object_case, "object", predicate.verb),)
        else:
            subject = self._nouns.simple("nom", "subject")
            if deeper:
                subject = self._with_relative(subject, deeper=False)
            other = (subject,)
            predicate = self._predicate(verb, subject.head, opening)
            pronoun.on.append(predicate.verb)
        nodes = tuple(one.node for one in other)
        verbs = (predicate.finite, *predicate.rest)
        closing = leaf("", ",", "comma", pronoun)
        clause = Phrase(
            (pronoun, *verbs, *nodes, closing) if of_subject else (pronoun, *nodes, *verbs, closing),
            (pronoun, *nodes, *predicate.rest, predicate.finite, closing),
        )
        return NounPhrase(same_order(phrase.node, clause), _behind(phrase.head, *other))


def derive(draws: SentenceRng, style: SplitStyle = PLAIN_STYLE) -> DerivedSentence:
    """Return the sentence that some draws lead to, with its translation."""
    return spell(Derivation(draws, style).sentence())


def _behind(head: Head, *others: NounPhrase) -> Head:
    """Return the head of a phrase that has other noun phrases behind it."""
    return head._replace(attracted=any(other.head.plural != head.plural for other in others))


def _simple_predicate(verb: Verb, subject: Head, opening: Opening) -> Predicate:
    """Return a verb without auxiliaries; particle and verb are one word at the end of a clause."""
    here = verb.english if subject.plural else verb.english_singular
    there = verb.german_plural if subject.plural else verb.german_singular
    tag, on = _finite_tag("verb", subject, opening), (subject.leaf, *opening.words)
    if opening.final:
        return Predicate(leaf(f"{here} {verb.english_particle}", verb.german_particle + there, tag, *on))
    finite = leaf(here, there, tag, *on)
    if not verb.german_particle:
        return Predicate(finite)
    return Predicate(finite, (leaf(verb.english_particle, verb.german_particle, "particle", finite),))


def _finite_tag(kind: str, subject: Head, opening: Opening) -> str:
    if subject.attracted:
        return "attracted"
    if opening.final:
        return "verb_final"
    return "inverted" if opening.words else kind


def _main(front: tuple[Leaf, ...], clause: Clause) -> Node:
    """Order a main clause: German has the finite verb second, so something in front moves the subject behind it."""
    finite, rest = clause.predicate
    subject = clause.subject.node
    opening = (*front, finite, subject) if front else (subject, finite)
    return Phrase(
        (*front, subject, finite, *rest, *clause.english_rest), (*opening, *clause.german_rest, *rest)
    )


def _subordinate(conjunction: Leaf, clause: Clause) -> Node:
    """Order a subordinate clause: German has all its verbs at the end, the finite one last."""
    finite, rest = clause.predicate
    subject = clause.subject.node
    return Phrase(
        (conjunction, subject, finite, *rest, *clause.english_rest),
        (conjunction, subject, *clause.german_rest, *rest, finite),
    )
