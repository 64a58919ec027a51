"""A plan as JSON, with keys that stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from maskbench.config.schema.experiment import Experiment
from maskbench.experiment.plan import PlannedRun
from maskbench.forecast.expense import Expense
from maskbench.forecast.outlook import Outlook


def to_json(
    experiment: Experiment, runs: Sequence[PlannedRun], expected: Expense, prospects: Sequence[Outlook]
) -> str:
    """Return one document; times are seconds, sizes bytes, differences in the metric's unit."""
    document = {
        "experiment": experiment.name,
        "due": sum(run.is_due for run in runs),
        "seconds": expected.seconds,
        "workers": expected.workers,
        "memory_bytes": {"run": expected.memory, "all": expected.memory * expected.workers},
        "disk_bytes": expected.disk,
        "runs": [_run(run) for run in runs],
        "steps": [
            {"panel": panel, "arm": arm, **asdict(step), "run_seconds": expected.run_seconds[panel, arm]}
            for (panel, arm), step in expected.steps.items()
        ],
        "metric": experiment.compare.metric,
        "min_effect": experiment.compare.min_effect,
        "seeds": [_outlook(outlook, expected) for outlook in prospects],
    }
    # ASCII only: text from files can then neither break the encoding nor steer a terminal.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1)


def _run(run: PlannedRun) -> dict[str, Any]:
    return {
        "panel": run.panel,
        "arm": run.arm.name,
        "seed": run.seed,
        "state": run.state,
        "differences": list(run.differences),
    }


def _outlook(outlook: Outlook, expected: Expense) -> dict[str, Any]:
    missing = max(0, outlook.least_seeds - outlook.n_seeds)
    return {
        **asdict(outlook),
        "can_decide": outlook.can_decide,
        "difference": outlook.difference,
        "missing_seeds": missing,
        "missing_seconds": expected.more_seeds(missing),
    }
