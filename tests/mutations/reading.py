"""How text is read from files, and what is told of a run's settings."""

from __future__ import annotations

from mutations.mutant import family

TEXT, TABLE, JSON = "data/text/text_files.py", "data/text/table_rows.py", "data/text/json_lines.py"
FILES = "data/corpora/test_data_files.py"

READING = family(
    "reading",
    (
        "line ends",
        TEXT,
        "if inside > self._feeds:",
        "if inside > 1_000_000:",
        "data/text/test_data_text_files.py",
    ),
    (
        "line ends",
        TEXT,
        'yield text.rstrip("\\r")',
        'yield text.removesuffix("\\r")',
        "data/text/test_data_text_files.py",
    ),
    (
        "columns",
        "data/text/pair_files.py",
        "if self.header is not False:",
        "if False:",
        "data/text/test_data_pair_files.py",
    ),
    (
        "bomb",
        TEXT,
        "min(MAX_FILE_BYTES, max(_SMALL, _MOST_RATIO * own_size))",
        "MAX_FILE_BYTES",
        "data/text/test_data_text_files.py",
    ),
    (
        "bomb",
        TEXT,
        "max(_SMALL, _MOST_RATIO * own_size)",
        "_MOST_RATIO * own_size",
        "data/text/test_data_text_files.py",
    ),
    (
        "quotes",
        TABLE,
        """match[1].replace('""', '"')""",
        "match[1]",
        "data/text/test_data_table_rows.py",
    ),
    (
        "quotes",
        TABLE,
        "    if special:",
        "    if special and not malformed:",
        "data/text/test_data_table_rows.py",
    ),
    (
        "doubled key",
        JSON,
        "if key in found:",
        "if key in found and found[key] != value:",
        "data/text/test_data_json_lines.py",
    ),
    (
        "invisible",
        "data/text/text_corpus.py",
        "return not any(map(is_invisible, pair))",
        "return not _has_empty_side(pair)",
        f"{FILES}",
    ),
    (
        "round trip",
        "data/export.py",
        "if find_quoting(lines).is_csv:",
        "if False:",
        "data/test_data_export.py",
    ),
    (
        "absent",
        "tensorboard/columns.py",
        "or holders[key] < n_runs",
        "",
        "tensorboard/test_over_seeds.py",
    ),
)
