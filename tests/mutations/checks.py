"""What is said of runs before and after them: verdicts, leaks, and settings without an effect."""

from __future__ import annotations

from mutations.mutant import family

VERDICT, RULES = "statistics/verdict.py", "config/resolve/placement_rules.py"
EFFECTS, IN_EFFECTS = "audit/effects.py", "audit/test_effects.py"
IN_VERDICT, IN_RULES = (
    "statistics/test_verdict.py",
    "config/resolve/test_config_placements.py",
)

CHECKS = family(
    "checks",
    (
        "seeds first",
        VERDICT,
        "if pairs.waiting or pairs.informative < self._least():",
        "if pairs.waiting or (p_holm is not None and pairs.informative < self._least()):",
        IN_VERDICT,
    ),
    (
        "seeds first",
        VERDICT,
        "if _is_alike(pairs) and pairs.n >= self._least():",
        "if _is_alike(pairs):",
        IN_VERDICT,
    ),
    (
        "no effect",
        RULES,
        'elif key == "fill" and placement.apply != "small_fill":',
        'elif key == "fill" and placement.apply == "hard":',
        IN_RULES,
    ),
    (
        "unchecked",
        "config/resolve/experiment.py",
        "check_replaced_by_panels(tree, own, arms, validator)",
        "pass",
        "config/resolve/test_unused_settings.py",
    ),
    (
        "of several",
        "config/parsing/validation.py",
        'e.path[0] in only and e.details["type"] not in _OF_SEVERAL]',
        "e.path[0] in only]",
        "config/resolve/test_unused_settings.py",
    ),
    ("idle", EFFECTS, "if placement.mask in CONTROLS:", "if not placement.options:", IN_EFFECTS),
    ("idle", EFFECTS, 'Clock("train", step, total,', 'Clock("train", 0, total,', IN_EFFECTS),
    ("idle", EFFECTS, "for batch in looks.evaluated\n", "for batch in looks.evaluated[:1]\n", IN_EFFECTS),
    ("idle", EFFECTS, "order[:LONGEST], spread", "order[-LONGEST:], order[-1:]", IN_EFFECTS),
    (
        "idle",
        "data/untrained_positions.py",
        "np.maximum(split.src.lengths, split.tgt.lengths) > trained",
        "split.src.lengths > trained",
        "data/test_untrained_positions.py",
    ),
    (
        "idle",
        "comparison/checks/idle_masks.py",
        'entry.get("density") == 1',
        'entry.get("density") == 0',
        "comparison/checks/test_idle_masks.py",
    ),
    (
        "changed settings",
        "runs/identity.py",
        "if canonical_json(there) == canonical_json(here):",
        "if there.keys() == here.keys():",
        "runs/test_run_directory.py experiment/test_planning.py",
    ),
)
