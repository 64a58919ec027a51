"""Scores that mean nothing, and the sentences that say so."""

from __future__ import annotations

from mutations.mutant import family

BASE, TEXTS, FORCED = (
    "metrics/base.py",
    "metrics/translation_scores.py",
    "metrics/teacher_forcing.py",
)
T, UNDEFINED = "metrics/test_degenerate_texts.py", "metrics/test_undefined_metrics.py"

SCORES = family(
    "scores",
    ("unknown", FORCED, "return self.gold_first & ~self.is_unknown", "return self.gold_first", UNDEFINED),
    ("unknown", "metrics/forced_gap.py", "tokens.gold_first", "tokens.correct", UNDEFINED),
    (
        "nothing",
        BASE,
        "    if any(reference.strip() for reference in references):",
        "    if True:",
        f"{T} {UNDEFINED}",
    ),
    (
        "nothing",
        BASE,
        "if reason is None else Undefined(reason)",
        "if True else Undefined(reason)",
        UNDEFINED,
    ),
    ("nothing", "metrics/alignment.py", "if not has_gold_links(data):", "if False:", UNDEFINED),
    (
        "off by one",
        "metrics/alignment.py",
        "(t < data.tgt.lengths[sentence] - 1)",
        "(t < data.tgt.lengths[sentence])",
        UNDEFINED,
    ),
    ("tokeniser", TEXTS, "force=True, tokenize=self.tokenizer)", "force=True)", T),
    ("tokeniser", "metrics/bleu_tokenizers.py", 'if tokenizer == "zh":', "if False:", T),
    ("off by one", TEXTS, ">= BLEU_ORDER for text in texts", "> BLEU_ORDER for text in texts", T),
    (
        "identity",
        "config/schema/experiment.py",
        'del identity["evaluate"]["bleu_tokenize"]',
        "pass",
        T,
    ),
    (
        "off by one",
        "metrics/translation.py",
        "_Found(tokens, len(tokens) < limit)",
        "_Found(tokens, len(tokens) <= limit)",
        "metrics/test_metrics.py -k cut",
    ),
    (
        "off by one",
        "metrics/translation.py",
        "hypotheses[0].ended, hypotheses)",
        "True, hypotheses)",
        "metrics/test_metrics.py -k cut",
    ),
    (
        "counts",
        "comparison/checks/unmeasured.py",
        "fmean([*cut, *[0] * (n_runs[arm] - len(cut))])",
        "fmean(cut)",
        "comparison/checks/test_unmeasured.py",
    ),
    (
        "share",
        "data/text/cut_marks.py",
        "len(pieces) >= LEAST_SHARE * len(full)",
        "len(pieces) >= LEAST_SHARE",
        "data/text/test_cut_marks.py",
    ),
)
