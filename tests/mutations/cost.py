"""What a step costs, and what is counted once for many models."""

from __future__ import annotations

from mutations.mutant import family

COST = family(
    "cost",
    (
        "precision",
        "experiment/cost_probe.py",
        "all(found.half_width is not None and found.half_width <= PRECISION for found in ratios)",
        "any(found.half_width is not None and found.half_width <= PRECISION for found in ratios)",
        "experiment/test_cost_probe.py",
    ),
    (
        "batches",
        "statistics/effect.py",
        "count = min(n, max(3, min(BATCHES, n // STEPS_PER_BATCH)))",
        "count = min(n, BATCHES)",
        "statistics/test_costs.py",
    ),
    (
        "shared",
        "masks/corpus_statistics.py",
        "return copy.deepcopy(found)",
        "return found",
        "masks/test_corpus_statistics.py",
    ),
)
