"""Plug-ins: their contracts, the guards around their methods, and their code as a part of what a run is."""

from __future__ import annotations

from mutations.mutant import family

CONTRACTS, GUARDS, FAULTS, USES = (f"plugins/{name}.py" for name in ("contracts", "guards", "faults", "uses"))
IN_CONTRACTS, IN_GUARDS = "plugins/test_contracts.py", "plugins/test_guards.py"
IN_EDITED, IN_PICTURES = "plugins/test_edited_code.py", "pictures/test_moving_masks.py"

PLUGINS = family(
    "plugins",
    (
        "edited code",
        "runs/identity.py",
        '**({"plugins": dict(self.plugins)} if self.plugins else {}),',
        "",
        IN_EDITED,
    ),
    ("edited code", USES, "if kind != CORPORA.kind", "if kind == CORPORA.kind", IN_EDITED),
    (
        "mixed table",
        "comparison/checks/provenance.py",
        'if len(versions) > 1 and not what.startswith("metric "):',
        "if False:",
        IN_EDITED,
    ),
    ("exit", FAULTS, "raise ExitCall(status)", "raise SystemExit(status)", IN_GUARDS),
    ("recipe", "report/origin.py", '["maskbench", "run", *plugins,', '["maskbench", "run",', IN_EDITED),
    ("one at a time", CONTRACTS, "found += [", "found = found or [", IN_CONTRACTS),
    ("sites", CONTRACTS, "        sites = _members(sites)\n", "        return\n", IN_CONTRACTS),
    (
        "dtype",
        "plugins/answers.py",
        "and _has_dtype(value, dtype)",
        "",
        IN_GUARDS,
    ),
    ("shape", "plugins/answers.py", "and value.ndim == len(axes)", "", IN_GUARDS),
    ("clock", GUARDS, "and owner.sliceable:", "and False:", IN_GUARDS),
    (
        "draws",
        "masks/placement.py",
        "self._draws_clock or self.effective_clock(clock)",
        "self.effective_clock(clock)",
        IN_PICTURES,
    ),
    (
        "drawn once",
        "pictures/draw.py",
        "moving = [] if self._is_scheduled else self._moving_points(grids_at)",
        "moving: list[TrainingStage] = []",
        IN_PICTURES,
    ),
    (
        "from 0",
        "masks/strategies/attention/windows.py",
        'self.may_empty_rows = site == "cross" and least_value(options.sinks) == 0',
        "self.may_empty_rows = False",
        "masks/test_options_from_zero.py",
    ),
)
