"""When two sentences are the same, and what is made of it."""

from __future__ import annotations

from mutations.mutant import family

SAME, OVERLAP = "data/sameness.py", "statistics/split_overlap.py"
SHARED = "comparison/checks/shared_sentences.py"
T, T_OVERLAP = "data/test_sameness.py", "statistics/test_split_overlap.py"
T_SHARED = "comparison/checks/test_shared_sentences.py"

SAMENESS = family(
    "sameness",
    ("raw text", SAME, 'return " ".join(text.split())', "return text", T),
    ("one blank", SAME, 'return " ".join(text.split())', 'return " ".join(text.strip().split(" "))', T),
    (
        "Unicode form",
        SAME,
        'unicodedata.normalize("NFC", text.translate(_WITHOUT_INVISIBLE))',
        "text.strip()",
        T,
    ),
    ("raw text", "data/text/text_corpus.py", "dealing_key(pair[0])", "pair[0].lower()", T),
    ("case", SAME, "sentence_key(sentence_key(text).lower())", "sentence_key(text)", T),
    (
        "words alone",
        SAME,
        "            source,\n            target,",
        "            [source.words],\n            [target.words],",
        T,
    ),
    ("side", SAME, "_joined(one, other) for one in source for other in target", "one for one in source", T),
    (
        "off by one",
        SAME,
        "is_later[np.unique(numbers, return_index=True)[1]] = False",
        "is_later[0] = False",
        T,
    ),
    ("axes", SAME, "int(table[a, b])", "int(table[b, a])", T),
    (
        "words alone",
        "data/corpora/denoise.py",
        "not next(is_repeated) and not is_invisible(line)",
        "not is_invisible(line)",
        T,
    ),
    ("name alone", SHARED, "elif shared.sources > LARGEST_SHARE * pairs:", "elif False:", T_SHARED),
    ("copy", SHARED, "split = overlaps.clean(compared.split)", "split = compared.split", T_SHARED),
    (
        "off by one",
        SHARED,
        "if in_train.sources > LARGEST_SHARE * pairs:",
        "if in_train.sources >= LARGEST_SHARE * pairs:",
        T_SHARED,
    ),
    ("copy", OVERLAP, "if known.origin is None and name not in parts", "if name not in parts", T_OVERLAP),
    ("unknown", OVERLAP, "if not unknown:", "if True:", T_OVERLAP),
)
