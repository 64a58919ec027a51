"""The German inflection of `toydeen`: articles, adjectives, nouns and pronouns by case, gender and number."""

from __future__ import annotations

from typing import Final

from maskbench.data.corpora.toydeen.lexicon import Agreement, Case, Declension, Determiner, Noun

RELATIVE: Final[dict[Case, dict[Agreement, str]]] = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "denen"},
}
"""Forms of the relative pronoun; except in the dative plural they are also the definite article."""

PERSONAL: Final[dict[Case, dict[Agreement, str]]] = {
    "nom": {"m": "er", "f": "sie", "n": "es", "p": "sie"},
    "acc": {"m": "ihn", "f": "sie", "n": "es", "p": "sie"},
    "dat": {"m": "ihm", "f": "ihr", "n": "ihm", "p": "ihnen"},
}
"""Forms of the personal pronoun of the third person."""

_PRONOMINAL: Final[dict[Case, dict[Agreement, str]]] = {
    "nom": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
"""Endings that mark case and gender: of `dies-`, `jed-`, `einig-`, and of adjectives if no determiner marks
them."""


def agreement_of(noun: Noun, *, plural: bool) -> Agreement:
    """Return the agreement of a noun: its gender in the singular, "p" in the plural."""
    return "p" if plural else noun.gender


def determiner_form(determiner: Determiner, case: Case, agreement: Agreement) -> str:
    """Return the German form of a determiner."""
    if determiner.stem == "d":
        return "den" if (case, agreement) == ("dat", "p") else RELATIVE[case][agreement]
    # Ein-words have no ending exactly in the cases of der and das (nominative) and das (accusative).
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
    # After ein, kein, mein without an ending, the adjective marks the gender.
    return _PRONOMINAL[case][agreement] if declension == "mixed" else "e"


def noun_form(noun: Noun, case: Case, *, plural: bool) -> str:
    """Return the German form of a noun: the dative plural adds -n, but not after -n and -s."""
    if not plural:
        return noun.german
    ending = "n" if case == "dat" and noun.german_plural[-1] not in "ns" else ""
    return noun.german_plural + ending
