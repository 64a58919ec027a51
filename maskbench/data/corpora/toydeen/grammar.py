"""The synchronous grammar of `toydeen`: one derivation gives an English sentence and its German translation.

Every English sentence the grammar can derive has exactly one translation. Rules settle what looks ambiguous:

- an adverb at the end belongs to the last clause that is no relative clause;
- a relative clause and a prepositional phrase belong to the noun before them;
- one cue decides the sense of all homographs of its sentence;
- a pronoun refers to the noun of the main clause with the same function: the subject or the direct object,
  whichever noun is nearer. It never refers to a person, who would be he or she in English.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.lexicon import Case, Verb
from maskbench.data.corpora.toydeen.noun_phrases import Head, NounPhrase, NounPhrases, Role
from maskbench.data.corpora.toydeen.split_styles import PLAIN_STYLE, SplitStyle
from maskbench.data.corpora.toydeen.tree import (
    DerivedSentence,
    Leaf,
    Node,
    Phrase,
    in_orders,
    leaf,
    same_order,
    spell,
)
from maskbench.data.generation.sentence_rng import SentenceRng

MAX_RANDOM_NUMBERS: Final = 132
"""Maximum number of random numbers that a derivation reads."""

_PEOPLE: Final = frozenset(noun.english for noun in lexicon.PEOPLE)


class Predicate(NamedTuple):
    """A verb with its auxiliaries; `finite` and `rest` are adjacent in English and separated in German."""

    finite: Leaf
    rest: tuple[Leaf, ...] = ()
    """A separated particle, an infinitive or a participle, or nothing."""

    @property
    def verb(self) -> Leaf:
        """The leaf of the main verb."""
        return self.rest[0] if self.rest and self.rest[0].tag != "particle" else self.finite


class Opening(NamedTuple):
    """The start of a clause, which decides the position of its verbs."""

    words: tuple[Leaf, ...]
    """The fronted words of a main clause, a conjunction, a relative pronoun, or nothing."""
    verb_final: bool
    """Whether the German clause ends in its verbs."""


class Clause(NamedTuple):
    """The constituents of a clause before they are ordered."""

    subject: NounPhrase
    predicate: Predicate
    object: NounPhrase | None = None
    english_rest: tuple[Node, ...] = ()
    """After the verbs: objects, then an adverb."""
    german_rest: tuple[Node, ...] = ()
    """Between subject or finite verb and the other verbs: a pronoun, an adverb, then objects."""


def derive(rng: SentenceRng, style: SplitStyle = PLAIN_STYLE) -> DerivedSentence:
    """Derive a sentence and its translation from the random numbers of `rng`."""
    return spell(Derivation(rng, style).sentence())


class Derivation:
    """The derivation of one sentence; equal random numbers give equal derivations."""

    def __init__(
        self,
        rng: SentenceRng,
        style: SplitStyle = PLAIN_STYLE,
        *,
        flip: int | None = None,
        other_cue: bool = False,
    ) -> None:
        """Draw the cue of the sentence.

        Args:
            rng: the source of all decisions.
            style: the probabilities of the parts of the sentence.
            flip, other_cue: change one thing that `rng` decides: the number of a noun phrase (see
                `NounPhrases`), or the cue, if there is one.
        """
        cues = (lexicon.OUTDOORS, lexicon.INDOORS) if other_cue else (lexicon.INDOORS, lexicon.OUTDOORS)
        self._rng = rng
        self._style = style
        self._nouns = NounPhrases(rng, style, rng.choice((None, None, None, *cues)), flip)

    @property
    def n_flippable(self) -> int:
        """Number of noun phrases that could have the other number; complete after `sentence`."""
        return self._nouns.n_flippable

    def sentence(self) -> Phrase:
        """Return a main clause, alone or followed by a clause that `dass` or `weil` introduces."""
        rng = self._rng
        # The cue, if any, is at one end of the sentence, an optional adverb at the other.
        adverb = (leaf(*rng.choice(lexicon.ADVERBS), "adverb"),) if rng.chance(0.4) else ()
        front, last = (
            (adverb, self._nouns.cue_leaves) if rng.chance(0.5) else (self._nouns.cue_leaves, adverb)
        )
        opening = Opening(front, verb_final=False)
        if not rng.chance(self._style.clauses):
            return _order_main_clause(front, self._clause(opening, last, two_clauses=False))

        if rng.chance(0.5):
            subject = self._noun_phrase("nom", "subject", two_clauses=True)
            verb = rng.choice(lexicon.CLAUSAL)
            outer = Clause(subject, self._predicate(verb, subject.head, opening))
            conjunction = leaf("that", ", dass", "conjunction", outer.predicate.verb)
        else:
            outer = self._clause(opening, (), two_clauses=True)
            conjunction = leaf("because", ", weil", "conjunction")
        inner = self._clause(Opening((conjunction,), verb_final=True), last, two_clauses=True, before=outer)
        finite, rest = inner.predicate
        # In German, all verbs of a subordinate clause are at its end, the finite one last.
        subordinate = in_orders(
            (conjunction, inner.subject.node, finite, *rest, *inner.english_rest),
            (conjunction, inner.subject.node, *inner.german_rest, *rest, finite),
        )
        return same_order(_order_main_clause(front, outer), subordinate)

    def _clause(
        self, opening: Opening, adverb: tuple[Leaf, ...], *, two_clauses: bool, before: Clause | None = None
    ) -> Clause:
        """Return a clause without, with one, or with two objects.

        Args:
            opening: the start of the clause.
            adverb: the adverb at its end, or ().
            two_clauses: whether the sentence has two clauses.
            before: the preceding clause, to whose nouns pronouns may refer.
        """
        rng = self._rng
        kind = rng.randbelow(20)
        subject = self._personal_pronoun(before.subject if before else None, "nom")
        if subject is None:
            subject = self._noun_phrase("nom", "subject", two_clauses=two_clauses)
        if kind < 5:
            predicate = self._predicate(rng.choice(lexicon.INTRANSITIVE), subject.head, opening)
            return Clause(subject, predicate, None, adverb, adverb)

        verbs = lexicon.TRANSITIVE if kind < 13 else lexicon.SEPARABLE if kind < 17 else lexicon.DITRANSITIVE
        verb = rng.choice(verbs)
        predicate = self._predicate(verb, subject.head, opening)
        # English puts a pronoun between a verb and its particle, so such verbs get no pronoun as object.
        meant = before.object if before and not verb.english_particle else None
        pronoun = self._personal_pronoun(meant, verb.object_case, predicate.verb)
        recipient: tuple[Node, ...] = ()
        if verbs is lexicon.DITRANSITIVE:
            thing = pronoun or self._nouns.draw(verb.object_case, "object", predicate.verb)
            to = leaf("to", "")
            whom = self._noun_phrase("dat", "recipient", to, two_clauses=two_clauses)
            recipient = (same_order(to, whom.node),)
        else:
            thing = pronoun or self._noun_phrase(
                verb.object_case, "object", predicate.verb, two_clauses=two_clauses
            )
        # In German a pronoun comes before everything else.
        german = (thing.node, *adverb, *recipient) if pronoun else (*adverb, *recipient, thing.node)
        return Clause(subject, predicate, thing, (thing.node, *recipient, *adverb), german)

    def _predicate(self, verb: Verb, subject: Head, opening: Opening) -> Predicate:
        """Draw the form of a verb (simple, with a modal, or perfect) and return its leaves."""
        form = self._rng.choice(("simple", "simple", "modal", "perfect"))
        plural = subject.plural
        decides = (subject.leaf, *opening.words)
        if subject.attracted:
            tag = "attracted"
        elif opening.verb_final:
            tag = "verb_final"
        elif opening.words:
            tag = "inverted"
        else:
            tag = "verb" if form == "simple" else "auxiliary"

        if form == "simple":
            english = verb.english if plural else verb.english_singular
            german = verb.german_plural if plural else verb.german_singular
            if opening.verb_final:
                # At the end of a clause, particle and verb are one word.
                english, german = f"{english} {verb.english_particle}", verb.german_particle + german
                return Predicate(leaf(english, german, tag, *decides))
            finite = leaf(english, german, tag, *decides)
            if not verb.german_particle:
                return Predicate(finite)
            return Predicate(finite, (leaf(verb.english_particle, verb.german_particle, "particle", finite),))

        if form == "modal":
            modal = self._rng.choice(lexicon.MODALS)
            finite = leaf(
                modal.english, modal.german_plural if plural else modal.german_singular, tag, *decides
            )
            english, german = verb.english, verb.german_plural
        else:
            auxiliary = lexicon.AUXILIARIES[verb.auxiliary][plural]
            finite = leaf("have" if plural else "has", auxiliary, tag, *decides)
            english, german = verb.english_participle, verb.german_participle
        rest = leaf(
            f"{english} {verb.english_particle}",
            verb.german_particle + german,
            "verb_final",
            finite,
            *(opening.words if opening.verb_final else ()),
        )
        if form == "perfect":
            # The participle decides between haben and sein.
            finite.depends_on.append(rest)
        return Predicate(finite, (rest,))

    def _noun_phrase(
        self, case: Case, role: Role, governor: Leaf | None = None, *, two_clauses: bool
    ) -> NounPhrase:
        """Return a noun phrase that may have a prepositional phrase or a relative clause after it.

        They are rarer in a sentence of two clauses. A relative clause can only follow a subject, unless the
        style's novelty is that it follows a direct object.
        """
        rng, style = self._rng, self._style
        phrase = self._nouns.draw(case, role, governor)
        factor = style.two_clause_factor if two_clauses else 1.0
        if rng.chance(style.prepositional * factor):
            preposition = rng.choice(lexicon.PREPOSITIONS)
            word = leaf(preposition.english, preposition.german, "preposition")
            other = self._nouns.draw(preposition.case, "place", word)
            return NounPhrase(same_order(phrase.node, word, other.node), _followed_by(phrase.head, other))
        with_clause: Role = "object" if style.novelty == "relative" else "subject"
        if role == with_clause and rng.chance(style.relative * factor):
            return self._with_relative_clause(phrase, nested=style.novelty == "deeper")
        return phrase

    def _with_relative_clause(self, phrase: NounPhrase, *, nested: bool) -> NounPhrase:
        """Return the phrase with a relative clause whose pronoun is its subject or its object.

        With `nested`, the pronoun is the object, and the subject has its own relative clause.
        """
        rng = self._rng
        is_subject = rng.chance(0.5) and not nested
        is_alone = is_subject and rng.chance(0.3)
        verb = rng.choice(lexicon.INTRANSITIVE if is_alone else lexicon.TRANSITIVE)
        pronoun = self._nouns.relative_pronoun(phrase.head, "nom" if is_subject else verb.object_case)
        opening = Opening((pronoun,), verb_final=True)
        others: tuple[NounPhrase, ...] = ()
        if is_subject:
            predicate = self._predicate(verb, phrase.head, opening)
            if not is_alone:
                others = (self._nouns.draw(verb.object_case, "object", predicate.verb),)
        else:
            subject = self._nouns.draw("nom", "subject")
            if nested:
                subject = self._with_relative_clause(subject, nested=False)
            others = (subject,)
            predicate = self._predicate(verb, subject.head, opening)
            pronoun.depends_on.append(predicate.verb)

        nodes = tuple(one.node for one in others)
        verbs = (predicate.finite, *predicate.rest)
        closing = leaf("", ",", "comma", pronoun)
        clause = in_orders(
            (pronoun, *verbs, *nodes, closing) if is_subject else (pronoun, *nodes, *verbs, closing),
            (pronoun, *nodes, *predicate.rest, predicate.finite, closing),
        )
        return NounPhrase(same_order(phrase.node, clause), _followed_by(phrase.head, *others))

    def _personal_pronoun(
        self, meant: NounPhrase | None, case: Case, governor: Leaf | None = None
    ) -> NounPhrase | None:
        """Return a pronoun for `meant`; None without such a phrase, for a person, or by chance (one half)."""
        if meant is None or meant.head.noun.english in _PEOPLE or not self._rng.chance(0.5):
            return None
        return self._nouns.personal_pronoun(meant.head, case, governor)


def _order_main_clause(front: tuple[Leaf, ...], clause: Clause) -> Phrase:
    """Return a main clause in order: the German finite verb is second, before the subject after `front`."""
    finite, rest = clause.predicate
    subject = clause.subject.node
    start = (*front, finite, subject) if front else (subject, finite)
    return in_orders(
        (*front, subject, finite, *rest, *clause.english_rest), (*start, *clause.german_rest, *rest)
    )


def _followed_by(head: Head, *others: NounPhrase) -> Head:
    """Return the head of a phrase with other noun phrases after it: sets `attracted`."""
    return head._replace(attracted=any(other.head.plural != head.plural for other in others))
