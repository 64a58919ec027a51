"""A page that calls a broken promise kept, an oracle that does not look, an edit that hits other lines, and results that are old."""

from __future__ import annotations

from mutations.mutant import family

EDITS, MEASURE, ORACLE, PAGE, RESULTS, REPORTS, COMMAND = (
    f"../benchmarks/field/{name}.py"
    for name in ("edited_import", "measure", "oracle", "page", "results", "reports", "__main__")
)
T = "benchmarks/test_field.py"

FIELD = family(
    "field",
    ("digest", EDITS, "!= edit.was:", '== "":', T),
    ("edit order", EDITS, "key=lambda edit: edit.first, reverse=True", "key=lambda edit: edit.first", T),
    ("late edit", EDITS, "if edit.module in sys.modules:", "if False:", T),
    ("fails", MEASURE, '"fails" if answer.passed is False', '"holds" if answer.passed is False', T),
    ("repeats", MEASURE, "for seed in SEEDS[1:]]", "for seed in SEEDS[:0]]", T),
    ("control", MEASURE, "judgement.control[entry.name]", "entry.build", T),
    ("oracle future", ORACLE, "slice(t, None), vocabulary", "slice(n, None), vocabulary", T),
    ("oracle mates", ORACLE, "mates[0] = ids[0]", "mates = ids", T),
    (
        "unexplained",
        PAGE,
        'return judgement.verdict if judgement else "not explained"',
        'return judgement.verdict if judgement else "holds"',
        T,
    ),
    ("failing control", PAGE, '.get("state") == "fails"]', '.get("state") == ""]', T),
    ("disagreement", PAGE, "if asked.agrees is False:", "if asked.agrees is None:", T),
    ("old engine", RESULTS, '"engine": engine()}', '"engine": ""}', T),
    ("other writer", RESULTS, "{**self._read(), name: entry}", "{**self._found, name: entry}", T),
    ("old edit", RESULTS, 'judgement.mend if what == "mend" else ()', "()", T),
    ("report", REPORTS, "said.split() == report.seen.split()", "bool(said) == bool(report.seen)", T),
    ("edits apart", COMMAND, 'task["what"] == "mend"), []', "False), []", T),
)
