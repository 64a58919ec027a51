"""Generate minimal pairs of `toydeen`: two sentences that differ in the cue or in the number of one noun.

Both sentences are derived from the same random numbers, the second one with the cue or the number of one noun
changed. The grammar reads the same count of random numbers either way, so everything else stays equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.grammar import MAX_RANDOM_NUMBERS, Derivation
from maskbench.data.corpora.toydeen.tree import DerivedSentence, spell
from maskbench.data.generation.sampling import SearchBudget, too_few_message
from maskbench.data.generation.sentence_rng import sentence_rngs
from maskbench.randomness import Key

_BLOCK: Final = 512
_AMBIGUOUS: Final = tuple(senses.indoors for senses in lexicon.HOMOGRAPHS)
_NOUNS: Final = (*lexicon.ANIMATE, *lexicon.INANIMATE, *_AMBIGUOUS)
_VERBS: Final = (
    *lexicon.INTRANSITIVE,
    *lexicon.TRANSITIVE,
    *lexicon.DITRANSITIVE,
    *lexicon.SEPARABLE,
    *lexicon.CLAUSAL,
)
_NOUN_FORMS: Final = {frozenset((noun.english, noun.english_plural)) for noun in _NOUNS}
_AGREEING: Final = {
    *(frozenset((verb.english, verb.english_singular)) for verb in _VERBS),
    *(frozenset(forms) for forms in (("has", "have"), ("this", "these"), ("it", "they"), ("it", "them"))),
}
_HOMOGRAPHS: Final = frozenset(form for noun in _AMBIGUOUS for form in (noun.english, noun.english_plural))
_CUES: Final = frozenset((lexicon.INDOORS.english, lexicon.OUTDOORS.english))


def find_minimal_pairs(pairs: int, max_length: int) -> list[DerivedSentence]:
    """Return `pairs` pairs as a flat list, both sentences of a pair adjacent, no sentence twice.

    Pairs 0, 2, 4, ... differ in the cue and have a homograph; pairs 1, 3, 5, ... differ in the number of a
    noun.

    Args:
        pairs: the number of pairs.
        max_length: maximum sentence length in words, on either side.

    Raises:
        CorpusError: there are too few sentences of that length.
    """
    found: tuple[list[DerivedSentence], list[DerivedSentence]] = ([], [])
    wanted = (pairs + pairs % 2, pairs - pairs % 2)
    seen: set[str] = set()
    stream = _generate_pairs()
    budget = SearchBudget(lambda: too_few_message(sum(map(len, found)), sum(wanted), "minimal"))
    while len(found[0]) < wanted[0] or len(found[1]) < wanted[1]:
        kind, pair = next(stream)
        sources = {sentence.source for sentence in pair}
        short = all(max(one.lengths) <= max_length for one in pair)
        is_wanted = len(found[kind]) < wanted[kind] and short and not sources & seen
        budget.record(found=is_wanted)
        if is_wanted:
            found[kind].extend(pair)
            seen |= sources
    return [found[k % 2][2 * (k // 2) + half] for k in range(pairs) for half in (0, 1)]


def _generate_pairs() -> Iterator[tuple[int, tuple[DerivedSentence, DerivedSentence]]]:
    """Yield pairs endlessly: 0 and a pair that differs in the cue, or 1 and one that differs in a number."""
    # The key has no seed: these sentences are excluded from training under every seed.
    key, first = Key.of(0, "toydeen", "minimal"), 0
    while True:
        originals = sentence_rngs(key, first, _BLOCK, MAX_RANDOM_NUMBERS)
        twins = sentence_rngs(key, first, _BLOCK, MAX_RANDOM_NUMBERS)
        for rng, same_rng in zip(originals, twins, strict=True):
            derivation = Derivation(rng)
            sentence = spell(derivation.sentence())
            if not _HOMOGRAPHS.isdisjoint(sentence.source.split()):
                yield 0, (sentence, spell(Derivation(same_rng, other_cue=True).sentence()))
            elif derivation.n_flippable:
                flip = rng.randbelow(derivation.n_flippable)
                yield 1, (sentence, spell(Derivation(same_rng, flip=flip).sentence()))
        first += _BLOCK


def is_minimal(one: str, other: str) -> bool:
    """Return whether two sentences differ only in the cue, or only in the number of one noun phrase."""
    here, there = one.split(), other.split()
    if len(here) != len(there):
        return False
    changes = [frozenset(words) for words in zip(here, there, strict=True) if words[0] != words[1]]
    if changes == [_CUES]:
        return True
    return sum(change in _NOUN_FORMS for change in changes) == 1 and all(
        change in _NOUN_FORMS or change in _AGREEING for change in changes
    )
