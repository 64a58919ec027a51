"""What a word of a German sentence of `toydeen` is an instance of: the slices its scores can be read by."""

from __future__ import annotations

from typing import Final

TAGS: Final[dict[str, str]] = {
    "end": "The end mark.",
    "determiner": "An article or what stands in its place: gender, case and number, decided close by.",
    "adjective": "An adjective, whose ending also hangs on the kind of determiner before it.",
    "noun": "A noun with one sense.",
    "homograph": "A noun with two senses, and each determiner and adjective that the other sense would change:"
    " decided by the cue at an end of the sentence.",
    "pronoun": "A personal pronoun: its gender is that of a German noun in the clause before.",
    "relative": "A relative pronoun: gender and number from the noun before it, case from its own clause.",
    "verb": "A finite verb of a main clause that stands second, right behind its subject.",
    "auxiliary": "Likewise, a modal verb or a form of haben or sein.",
    "inverted": "A finite verb, modal and auxiliary ones included, in front of its subject because something opens the"
    " sentence.",
    "attracted": "A finite verb, wherever it stands, whose English subject has a noun of the other number between its"
    " head and the verb.",
    "verb_final": "A verb at the end of its clause: infinitives and participles, and the finite verb of a subordinate"
    " or relative clause.",
    "particle": "The particle of a separable verb, far from it at the end of a main clause.",
    "adverb": "An adverb, or one of the two cues.",
    "preposition": "A preposition.",
    "conjunction": "One of dass and weil.",
    "comma": "A comma.",
}
"""The name of every tag with what it marks, in the order of `Corpus.tags`. A word has the first that fits of homograph,
attracted, inverted, verb_final; the others exclude one another."""

NUMBERS: Final = {tag: number for number, tag in enumerate(TAGS)}
"""The place of every tag in `Corpus.tags`."""
