"""What a word is: in text, in tokens, in noise, and what the proof says of sentences."""

from __future__ import annotations

from mutations.mutant import family

WORDS_, EDGES, NOISE = "data/words.py", "data/token_edges.py", "data/generation/noise.py"
UNITS, AUDIT = "masks/strategies/inputs/token_units.py", "masks/mask_audit.py"
T, IN_TOKENS = "data/test_words.py", "data/test_token_edges.py"
IN_NOISE = "data/generation/test_noise_in_scripts.py"

WORDS = family(
    "words",
    ("marks", WORDS_, "(kind is CharacterKind.MARK or held or", "(held or", T),
    ("stacks", WORDS_, "held = stacks_next(character)", "held = False", T),
    ("polarity", WORDS_, "divides=gaps < _GAP_SHARE * places", "divides=gaps >= _GAP_SHARE * places", T),
    ("blanks", WORDS_, "if alone[i - 1] and alone[i]:", "if True:", T),
    ("blanks", WORDS_, "2 * spaces < places", "2 * spaces <= places", "masks/test_corpus_statistics.py"),
    ("blanks", UNITS, " & ~_shifted(holds)", "", IN_TOKENS),
    ("inside", UNITS, "(_shifted(ends) & ~continues)", "_shifted(ends)", IN_TOKENS),
    ("inside", UNITS, "torch.where(bare, 0, columns).cummax(1).values", "columns.expand_as(ids)", IN_TOKENS),
    ("inside", EDGES, "2 * alone > len(kinds)", "False", IN_TOKENS),
    ("blanks", NOISE, 'line.blanks[here + 1 : there + 1]), "")', '[" "]), "")', IN_NOISE),
    ("joins", NOISE, '            text += " "\n', '            text += ""\n', IN_NOISE),
    ("count", NOISE, "len(rule.split(line)) < 2", "len(rule.split(line)) < 1", IN_NOISE),
    ("polarity", AUDIT, "by_share[0.0] / visits", "by_share[1.0] / visits", "masks/test_mask_audit.py"),
    (
        "whole",
        AUDIT,
        "for part, whole in each if whole)",
        "for part, whole in each if part)",
        "masks/test_mask_audit.py",
    ),
)
