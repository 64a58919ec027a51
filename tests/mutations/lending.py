"""What a run keeps of its own masks, and what it is lent, where it is evaluated under others'."""

from __future__ import annotations

from mutations.mutant import family

KEPT, PLANS, PLAN = "config/resolve/kept_masks.py", "model/eval_plans.py", "masks/plan.py"
T = "model/test_eval_plans.py"

LENDING = family(
    "lending",
    ("lending", KEPT, "if placement.mask in keep]", "if False]", T),
    ("lending", KEPT, "if placement.mask not in keep]", "if True]", T),
    (
        "lending",
        PLAN,
        "self._use([theirs[p.label] if p.label in self.kept else p for p in self.placed])",
        "self._use(self.placed)",
        T,
    ),
    ("lending", PLANS, "    plan.take_kept(own)\n", "", T),
    ("lending", KEPT, '"parameters" in getattr', '"input" in getattr', f"{T} -k word"),
    (
        "reporting",
        "comparison/checks/borrowed_masks.py",
        "(alarms if is_compared else warnings).append(",
        "warnings.append(",
        "comparison/checks/test_borrowed_masks.py",
    ),
    (
        "pairing",
        "comparison/table.py",
        "(mean, _), (base, _) = (mean_and_sd([side[seed] for seed in shared]) for side in sides)",
        "(mean, _), (base, _) = (mean_and_sd(list(side.values())) for side in sides)",
        "comparison/text/test_unequal_seeds.py",
    ),
    (
        "correction",
        "comparison/table.py",
        "others += [arm.name for arm in counted]",
        "others += []",
        "comparison/test_retired.py",
    ),
    (
        "correction",
        "experiment/until_decided.py",
        "verdicts = [*(row.verdict for row in self.rows), *retired]",
        "verdicts = [row.verdict for row in self.rows]",
        "comparison/test_retired.py",
    ),
    (
        "range",
        "statistics/validation.py",
        "if not 0 <= value <= 1:",
        "if value < 0 or value > 1:",
        "statistics/test_validation.py",
    ),
)
