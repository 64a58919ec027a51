"""The corpus `toydeen`: English to a German-like language, from a grammar with known dependencies.

Masks may break these dependencies. Agreement within a noun phrase is local. A verb agrees in number with its
subject across a prepositional phrase or a relative clause. Subordinate clauses end in their verbs, and
particles are separated from theirs. After a fronted adverb, the subject follows the verb. Relative pronouns
depend on their head, personal pronouns on a noun of the clause before. The sense of a homograph depends on a
cue at either end of the sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from pydantic import Field

from maskbench.data.corpora.toydeen.checks import check_splits
from maskbench.data.corpora.toydeen.grammar import MAX_RANDOM_NUMBERS, derive
from maskbench.data.corpora.toydeen.minimal_pairs import find_minimal_pairs
from maskbench.data.corpora.toydeen.novel_combinations import find_novelties
from maskbench.data.corpora.toydeen.split_styles import (
    LONG_SPLITS,
    NOVELTY_MIN_LENGTHS,
    NOVELTY_STYLES,
    PLAIN_STYLE,
    Novelty,
    SplitStyle,
)
from maskbench.data.corpora.toydeen.tree import TAGS, AnnotatedSentence, DerivedSentence, annotate
from maskbench.data.corpora.toydeen.vocabulary import english_words, german_words, junk_words, openers
from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.distractors import DISTRACT_SPLITS, Distractor
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_splits
from maskbench.data.generation.sampling import (
    SPLITS,
    GeneratedOptions,
    SearchBudget,
    fill_splits,
    generate_candidates,
    too_few_message,
)
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA


class ToydeenOptions(GeneratedOptions):
    """Options of `toydeen`."""

    pairs: int = Field(default=20_000, ge=100, le=200_000, description="training pairs, all different")
    max_length: int = Field(default=16, ge=8, le=100, description="longest sentence in words, on either side")
    distractors: int = Field(
        default=0,
        ge=0,
        le=8,
        description="meaningless words inserted into every training, validation and test source, beyond max_length",
    )


@CORPORA.register("toydeen")
class ToydeenCorpus(CorpusBuilder):
    """A synchronous English-German grammar, with everything known of its words.

    Test splits beside `test`: `long-1` to `long-3` have 17 to 20, 21 to 24 and 25 to 32 English words; a bin
    that training could reach, because `max_length` plus `distractors` is as large, is left out. `novel`
    alternates the kinds of `split_styles.NOVELTY_STYLES`, one per sentence, in sentences as short as those of
    training; kinds that need longer sentences (`split_styles.NOVELTY_MIN_LENGTHS`) are left out. `minimal`
    has pairs of sentences in rows 2k and 2k + 1: for even k they differ in the cue, for odd k in the number
    of a noun. Noisy and distracted copies of `test` follow. All have `test` pairs, `minimal` one more if that
    is odd. All but the training split are the same for every `pairs`, and `minimal` also for every `seed`.
    """

    Options = ToydeenOptions
    version = 4

    @classmethod
    def split_names(cls, options: ToydeenOptions) -> list[str]:
        """Return the names of valid, test, the out-of-distribution splits, and the altered copies of test."""
        return ["valid", "test", *_long(options), "novel", "minimal", *NOISE_SPLITS, *DISTRACT_SPLITS]

    @classmethod
    def annotations(cls, options: ToydeenOptions) -> frozenset[str]:
        """Return all annotations."""
        return frozenset({"junk", "links", "deps", "tags"})

    @classmethod
    def tags(cls, options: ToydeenOptions) -> tuple[str, ...]:
        """Return the names of the tags of German words."""
        return tuple(TAGS)

    @classmethod
    def origins(cls, options: ToydeenOptions) -> dict[str, str]:
        """Return "test" as the origin of the noisy and the distracted splits.

        With `distractors`, the distracted splits have no origin: they are made from `test` before its own
        distraction.
        """
        return dict.fromkeys(
            NOISE_SPLITS if options.distractors else [*NOISE_SPLITS, *DISTRACT_SPLITS], "test"
        )

    @classmethod
    def build(cls, options: ToydeenOptions) -> Corpus:
        """Derive the sentences and return the corpus.

        The vocabulary is that of the grammar, so it is the same for every size and seed.

        Raises:
            CorpusError: there are not enough different sentences.
        """
        drawn = _drawn(options)
        notes = check_splits(drawn)
        vocabulary = WordVocabulary(list(dict.fromkeys([*english_words(), *german_words()])))
        splits = {
            name: _split(name, generate_sentences, vocabulary) for name, generate_sentences in drawn.items()
        }
        distractor = Distractor(junk_words(), openers(), vocabulary)
        # Make the distracted copies from the plain test split, so that they have no other inserted words.
        distracted = distractor.copies(splits["test"])
        if options.distractors:
            distracted = [_of_none(split) for split in distracted]
            for name in SPLITS:
                key = Key.of(options.seed, "distractors", name)
                splits[name] = _of_none(distractor.copy(splits[name], name, options.distractors, key))
        noisy = make_noisy_splits(splits["test"], vocabulary, english_words())
        return assemble_corpus("toydeen", vocabulary, [*splits.values(), *noisy, *distracted], notes, TAGS)


def _of_none(split: Split) -> Split:
    """Return an altered split without its origin."""
    return replace(split, origin=None, touched=None)


def _long(options: ToydeenOptions) -> list[str]:
    return [
        name
        for name, (bin_, _) in LONG_SPLITS.items()
        if bin_.start > options.max_length + options.distractors
    ]


def _drawn(options: ToydeenOptions) -> dict[str, list[AnnotatedSentence]]:
    """Return the sentences of every split that is not a copy of another."""
    minimal = find_minimal_pairs(-(-options.test // 2), options.max_length)
    kept_back = {sentence.source for sentence in minimal}
    plain = _plain_sentences(options.seed, options.max_length)
    filled = fill_splits((one for one in plain if one.source not in kept_back), options.sizes())
    drawn = {name: [annotate(one) for one in sentences] for name, sentences in filled.items()}
    drawn |= {name: _long_sentences(name, options) for name in _long(options)}
    drawn["novel"] = _novel(options)
    return {**drawn, "minimal": [annotate(one) for one in minimal]}


def generate_sentences(seed: int, max_length: int) -> Iterator[AnnotatedSentence]:
    """Yield plain sentences endlessly, with repetitions, at most `max_length` words on either side."""
    return map(annotate, _plain_sentences(seed, max_length))


def _plain_sentences(seed: int, max_length: int) -> Iterator[DerivedSentence]:
    stream = _stream(Key.of(seed, "toydeen"), PLAIN_STYLE)
    return (one for one in stream if max(one.lengths) <= max_length)


def _long_sentences(name: str, options: ToydeenOptions) -> list[AnnotatedSentence]:
    words, style = LONG_SPLITS[name]
    stream = _stream(Key.of(options.seed, "toydeen", name), style)
    return _first(options.test, stream, lambda one: one.lengths[0] in words, name)


def _novel(options: ToydeenOptions) -> list[AnnotatedSentence]:
    """Return the sentences of `novel`, each with one novelty; the kinds of novelty alternate."""
    kinds = [kind for kind in NOVELTY_STYLES if options.max_length >= NOVELTY_MIN_LENGTHS[kind]]
    each = -(-options.test // len(kinds))
    turns = [_new_in_one_way(kind, each, options) for kind in kinds]
    return [turns[row % len(kinds)][row // len(kinds)] for row in range(options.test)]


def _new_in_one_way(kind: Novelty, count: int, options: ToydeenOptions) -> list[AnnotatedSentence]:
    def fits(one: DerivedSentence) -> bool:
        return max(one.lengths) <= options.max_length and find_novelties(one.source) == {kind}

    stream = _stream(Key.of(options.seed, "toydeen", "novel", kind), NOVELTY_STYLES[kind])
    return _first(count, stream, fits, f"novel ({kind})")


def _stream(key: Key, style: SplitStyle) -> Iterator[DerivedSentence]:
    return generate_candidates(key, MAX_RANDOM_NUMBERS, lambda rng: derive(rng, style))


def _first(
    count: int, stream: Iterator[DerivedSentence], fits: Callable[[DerivedSentence], bool], name: str
) -> list[AnnotatedSentence]:
    """Return the first `count` different sentences that fit, for the split `name`.

    Raises:
        CorpusError: there are too few.
    """
    found: dict[str, DerivedSentence] = {}
    budget = SearchBudget(lambda: too_few_message(len(found), count, name))
    while len(found) < count:
        one = next(stream)
        is_new = one.source not in found and fits(one)
        budget.record(found=is_new)
        if is_new:
            found[one.source] = one
    return [annotate(one) for one in found.values()]


def _split(name: str, drawn: Sequence[AnnotatedSentence], vocabulary: WordVocabulary) -> Split:
    pairs = [(one.source, one.reference) for one in drawn]
    links, deps, tags = ([getattr(one, part) for one in drawn] for part in ("links", "deps", "tags"))
    return annotate_split(encode_split(name, pairs, vocabulary), links, deps=deps, tags=tags, junk=True)
