"""The synchronous grammar of `toydeen`: one derivation yields an English sentence and its German translation.

A derivation is a tree of `Node`s. Each node lists its parts in English order and again in German order; a part is
another node, which then stands in both lists, or a word of the node's own. So the tree itself says which words
correspond: reordering, split verbs and words that only one side has are all places in these two lists.

Every English sentence the grammar can derive has exactly one translation. What looks ambiguous is settled by rule:
an adverb at the end belongs to the last clause, a relative clause and a prepositional phrase to the noun before them,
and one cue decides the sense of all homographs of its sentence.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, Union

from maskbench.data import toydeen_inflection as inflection
from maskbench.data import toydeen_lexicon as lexicon
from maskbench.data.draws import Draws
from maskbench.data.toydeen_lexicon import Agreement, Case, Declension, Homograph, Noun, Verb, Word

MOST_DRAWS = 112
"""No derivation reads more random words than this."""

Part: TypeAlias = Union["Node", str]
Role: TypeAlias = Literal["subject", "object", "recipient", "place"]
"""What a noun phrase is for; decides which nouns are likely."""


class Node(NamedTuple):
    """A constituent in both languages; its own words, if it has any, translate each other."""

    english: tuple[Part, ...]
    german: tuple[Part, ...]


class NounPhrase(NamedTuple):
    """A noun phrase and what agrees with its head."""

    node: Node
    agreement: Agreement


class Predicate(NamedTuple):
    """A verb with its auxiliaries; English has `finite` and `rest` side by side, German pulls them apart."""

    finite: Node
    rest: tuple[Node, ...]
    """A separated particle, an infinitive or a participle, or nothing."""


class Clause(NamedTuple):
    """The constituents of a clause before they are put in order."""

    subject: Node
    predicate: Predicate
    english_objects: tuple[Node, ...]
    german_objects: tuple[Node, ...]
    adverb: tuple[Node, ...]
    """An adverb that English has at the end; at most one."""
    embedded: tuple[Node, ...]
    """A clause that both languages have at the end; at most one."""


def derive(draws: Draws) -> Node:
    """Return one derivation; equal draws give equal derivations."""
    cue = draws.choice((None, None, None, lexicon.INDOORS, lexicon.OUTDOORS))
    return _Derivation(draws, cue).sentence()


Side: TypeAlias = tuple[list[str], list[int]]
"""Words, and for each the identity of the node that has it; equal nodes may stand in one tree."""


def english(node: Node) -> list[str]:
    """Return the English words of a derivation."""
    return _english(node)[0]


def german(node: Node) -> list[str]:
    """Return the German words of a derivation; of two commas in a row one is written, and none at the end."""
    return _german(node)[0]


def aligned(node: Node) -> tuple[list[str], list[str], list[int]]:
    """Return the English words, the German words, and which of them correspond.

    A word of a node's own corresponds to each of that node's words on the other side, if there are any. The pair of
    German word t and English word s is written as `t * (English words + 1) + s`, ascending: with the end mark, that is
    how a `Split` has it.
    """
    (here, owners), (there, wanted) = _english(node), _german(node)
    places: dict[int, list[int]] = {}
    for place, owner in enumerate(owners):
        places.setdefault(owner, []).append(place)
    width = len(here) + 1
    return here, there, [t * width + s for t, owner in enumerate(wanted) for s in places.get(owner, ())]


def _english(node: Node) -> Side:
    side: Side = ([], [])
    _collect(node, 0, *side)
    return side


def _german(node: Node) -> Side:
    side: Side = ([], [])
    words, owners = side
    _collect(node, 1, words, owners)
    commas = [place for place, word in enumerate(words) if word == ","]
    for place in reversed(commas):
        if words[place + 1 : place + 2] in ([","], []):
            del words[place], owners[place]
    return side


def _collect(node: Node, side: Literal[0, 1], words: list[str], owners: list[int]) -> None:
    for part in node[side]:
        if isinstance(part, str):
            words.append(part)
            owners.append(id(node))
        else:
            _collect(part, side, words, owners)


def _leaf(english_words: str, german_words: str) -> Node:
    return Node(tuple(english_words.split()), tuple(german_words.split()))


class _Derivation:
    """The choices of one sentence."""

    def __init__(self, draws: Draws, cue: Word | None) -> None:
        self._draws = draws
        self._cue = cue

    def sentence(self) -> Node:
        """A main clause, alone or with a clause that `dass` or `weil` introduces."""
        draws = self._draws
        front, last = self._adverbs()
        kind = draws.choice(("alone", "alone", "alone", "alone", "dass", "weil"))
        if kind == "alone":
            return _main(front, self._clause(last, busy=False, main=True))
        inner = self._clause(last, busy=True, main=False)
        if kind == "dass":
            embedded = _subordinate(_leaf("that", ", dass"), inner)
            outer = self._reporting(embedded)
        else:
            embedded = _subordinate(_leaf("because", ", weil"), inner)
            outer = self._clause((), busy=True, main=True)._replace(embedded=(embedded,))
        return _main(front, outer)

    def _adverbs(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Return what stands in front of the sentence and at its end: the cue at one, an adverb at the other."""
        draws = self._draws
        front: tuple[Node, ...] = ()
        last: tuple[Node, ...] = ()
        adverb = (_leaf(*draws.choice(lexicon.ADVERBS)),) if draws.chance(0.4) else ()
        if draws.chance(0.5):
            front, last = adverb, last if self._cue is None else (_leaf(*self._cue),)
        else:
            front, last = front if self._cue is None else (_leaf(*self._cue),), adverb
        return front, last

    def _reporting(self, embedded: Node) -> Clause:
        subject = self._noun_phrase("nom", "subject", busy=True)
        predicate = self._predicate(self._draws.choice(lexicon.CLAUSAL), subject.agreement, main=True)
        return Clause(subject.node, predicate, (), (), (), (embedded,))

    def _clause(self, adverb: tuple[Node, ...], *, busy: bool, main: bool) -> Clause:
        """Return a clause; in a `busy` sentence, which has two, modifiers of nouns are rarer."""
        draws = self._draws
        frame = draws.below(20)
        subject = self._noun_phrase("nom", "subject", busy=busy)
        objects: tuple[Node, ...] = ()
        recipient: tuple[Node, ...] = ()
        if frame < 5:
            verb = draws.choice(lexicon.INTRANSITIVE)
        elif frame < 17:
            verb = draws.choice(lexicon.TRANSITIVE if frame < 13 else lexicon.SEPARABLE)
            objects = (self._noun_phrase(verb.object_case, "object", busy=busy).node,)
        else:
            verb = draws.choice(lexicon.DITRANSITIVE)
            objects = (self._simple(verb.object_case, "object").node,)
            recipient = (self._noun_phrase("dat", "recipient", busy=busy).node,)
        predicate = self._predicate(verb, subject.agreement, main=main)
        to = tuple(Node(("to", node), (node,)) for node in recipient)
        return Clause(subject.node, predicate, objects + to, to + objects, adverb, ())

    def _predicate(self, verb: Verb, subject: Agreement, *, main: bool) -> Predicate:
        """Return the verb alone, with a modal, or in the perfect; in a main clause particles are separated."""
        draws = self._draws
        form = draws.choice(("simple", "simple", "modal", "perfect"))
        plural = subject == "p"
        if form == "modal":
            modal = draws.choice(lexicon.MODALS)
            finite = _leaf(modal.english, modal.german_plural if plural else modal.german_singular)
            infinitive = verb.german_particle + verb.german_plural
            return Predicate(finite, (_leaf(f"{verb.english} {verb.english_particle}", infinitive),))
        if form == "perfect":
            finite = _leaf("have" if plural else "has", lexicon.AUXILIARIES[verb.auxiliary][plural])
            participle = verb.german_particle + verb.german_participle
            return Predicate(
                finite, (_leaf(f"{verb.english_participle} {verb.english_particle}", participle),)
            )
        here = verb.english if plural else verb.english_singular
        there = verb.german_plural if plural else verb.german_singular
        if not verb.german_particle:
            return Predicate(_leaf(here, there), ())
        if main:
            return Predicate(_leaf(here, there), (_leaf(verb.english_particle, verb.german_particle),))
        return Predicate(_leaf(f"{here} {verb.english_particle}", verb.german_particle + there), ())

    def _noun_phrase(self, case: Case, role: Role, *, busy: bool) -> NounPhrase:
        """Return a noun phrase that may have a prepositional phrase or a relative clause behind it."""
        head = self._simple(case, role)
        modifier = self._draws.below(40 if busy else 20)
        if modifier < 4:
            preposition = self._draws.choice(lexicon.PREPOSITIONS)
            place = self._simple(preposition.case, "place").node
            word = _leaf(preposition.english, preposition.german)
            node = Node((head.node, word, place), (head.node, word, place))
        elif modifier < 7:
            clause = self._relative(head.agreement)
            node = Node((head.node, clause), (head.node, clause))
        else:
            return head
        return NounPhrase(node, head.agreement)

    def _relative(self, head: Agreement) -> Node:
        """Return a relative clause whose pronoun is its subject or its object; German has the verb at the end."""
        draws = self._draws
        of_subject = draws.chance(0.5)
        if of_subject and draws.chance(0.3):
            predicate = self._predicate(draws.choice(lexicon.INTRANSITIVE), head, main=False)
            pronoun = _leaf("that", f", {inflection.RELATIVE['nom'][head]}")
            return Node(
                (pronoun, predicate.finite, *predicate.rest),
                (pronoun, *predicate.rest, predicate.finite, ","),
            )
        verb = draws.choice(lexicon.TRANSITIVE)
        other = self._simple(verb.object_case if of_subject else "nom", "object" if of_subject else "subject")
        predicate = self._predicate(verb, head if of_subject else other.agreement, main=False)
        pronoun = _leaf("that", f", {inflection.RELATIVE['nom' if of_subject else verb.object_case][head]}")
        verbs = (predicate.finite, *predicate.rest)
        return Node(
            (pronoun, *verbs, other.node) if of_subject else (pronoun, other.node, *verbs),
            (pronoun, other.node, *predicate.rest, predicate.finite, ","),
        )

    def _simple(self, case: Case, role: Role) -> NounPhrase:
        """Return determiner, perhaps an adjective, and noun, agreeing in gender, case and number."""
        draws = self._draws
        plural = draws.chance(0.35)
        noun = self._noun(role)
        agreement: Agreement = "p" if plural else noun.gender
        determiner = draws.choice(_PLURAL_DETERMINERS if plural else _SINGULAR_DETERMINERS)
        adjective = draws.choice(lexicon.ADJECTIVES) if draws.chance(0.3) else None
        here = noun.english_plural if plural else noun.english
        article = determiner.english_plural if plural else determiner.english
        if article == "a" and (adjective.english if adjective else here)[0] in "aeiou":
            article = "an"
        parts = [_leaf(article, inflection.determiner_form(determiner, case, agreement))]
        if adjective:
            parts.append(_adjective(adjective, determiner.declension, case, agreement))
        parts.append(_leaf(here, inflection.noun_form(noun, case, plural=plural)))
        return NounPhrase(Node(tuple(parts), tuple(parts)), agreement)

    def _noun(self, role: Role) -> Noun:
        draws = self._draws
        # Without a cue a homograph would have two right translations, so there is none.
        if self._cue is not None and draws.chance(0.3):
            homograph: Homograph = draws.choice(lexicon.HOMOGRAPHS)
            return homograph.indoors if self._cue is lexicon.INDOORS else homograph.outdoors
        likely_animate = {"subject": 0.8, "object": 0.4, "recipient": 0.9, "place": 0.3}[role]
        return draws.choice(lexicon.ANIMATE if draws.chance(likely_animate) else lexicon.INANIMATE)


_SINGULAR_DETERMINERS = tuple(determiner for determiner in lexicon.DETERMINERS if determiner.english)
_PLURAL_DETERMINERS = tuple(determiner for determiner in lexicon.DETERMINERS if determiner.english_plural)


def _adjective(adjective: Word, declension: Declension, case: Case, agreement: Agreement) -> Node:
    return _leaf(
        adjective.english, adjective.german + inflection.adjective_ending(declension, case, agreement)
    )


def _main(front: tuple[Node, ...], clause: Clause) -> Node:
    """Order a main clause: German has the finite verb second, so something in front moves the subject behind it."""
    finite, rest = clause.predicate
    opening = (*front, finite, clause.subject) if front else (clause.subject, finite)
    return Node(
        (*front, clause.subject, finite, *rest, *clause.english_objects, *clause.adverb, *clause.embedded),
        (*opening, *clause.adverb, *clause.german_objects, *rest, *clause.embedded),
    )


def _subordinate(conjunction: Node, clause: Clause) -> Node:
    """Order a subordinate clause: German has all its verbs at the end, the finite one last."""
    finite, rest = clause.predicate
    return Node(
        (conjunction, clause.subject, finite, *rest, *clause.english_objects, *clause.adverb),
        (conjunction, clause.subject, *clause.adverb, *clause.german_objects, *rest, finite),
    )
