"""Notes on what will distort the scores of a text corpus: text cut into tokens before, and unknown words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maskbench.data.corpus import Split
from maskbench.data.text.cut_marks import find_cut_marks, find_spaced_full_stops
from maskbench.data.text.pair_files import SentencePairs
from maskbench.data.vocabulary import SPECIAL_NAMES, UNK
from maskbench.text import count_of


def describe_score_pitfalls(texts: Mapping[str, SentencePairs], splits: Iterable[Split]) -> list[str]:
    """Return notes on a corpus whose scores say less than they seem to.

    Args:
        texts: all pairs by split, as read.
        splits: the encoded splits.
    """
    return [*_cut_notes(texts), *_unknown_notes(splits), *_unknown_mark_notes(texts)]


def _cut_notes(texts: Mapping[str, SentencePairs]) -> list[str]:
    """Return a note for each side that was cut into subwords or tokens before it was written to its file."""
    notes = []
    for side, what in enumerate(("source", "reference")):
        lines = [pair[side] for text in texts.values() for pair in text.pairs]
        marks, spaced = find_cut_marks(lines), find_spaced_full_stops(lines)
        if marks is not None:
            found = marks.description
        elif spaced is not None:
            found = f"{spaced[0]} of {spaced[1]} full stops at the end of a line have a blank before them"
        else:
            continue
        effect = (
            "bleu and chrf are those of these pieces and are not comparable with published scores"
            if side
            else "the model reads these pieces"
        )
        notes.append(
            f"the {what} text looks tokenised already: {found}; {effect}: give the text as it was before"
        )
    return notes


def _unknown_notes(splits: Iterable[Split]) -> list[str]:
    """Return a note on the tokens that the vocabulary does not have, if there are any."""
    found = []
    for split in splits:
        for what, side in (("references", split.tgt), ("sources", split.src)):
            unknown = int((side.values == UNK).sum())
            # The end mark of each line is no token of the text.
            tokens = len(side.values) - len(split)
            if unknown:
                found.append(
                    f"{unknown} of {tokens} tokens of the {what} of {split.name} ({unknown / tokens:.1%})"
                )
    if not found:
        return []
    return [
        f"unknown to the vocabulary, which reads them as <unk>: {', '.join(found)}; token_accuracy, exact_match, bleu"
        " and chrf count an unknown word of a reference as wrong, and nll is that of <unk> in its place"
    ]


def _unknown_mark_notes(texts: Mapping[str, SentencePairs]) -> list[str]:
    """Return a note for each split whose references hold `<unk>` as a word, left there by another tool."""
    notes = []
    for name, text in texts.items():
        marked = sum(SPECIAL_NAMES[UNK] in pair[1].split() for pair in text.pairs)
        if marked:
            notes.append(
                f"{marked} of {count_of(len(text.pairs), 'reference')} of {name} hold <unk> as a word: a translation"
                " that says <unk> there counts as right, though nobody knows what stood there"
            )
    return notes
