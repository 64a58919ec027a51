"""Running an experiment: plan, prepare, train, measure cost; seeds added until every arm is decided."""

PRELOAD = ("maskbench.experiment.preload",)
"""Modules that an executor's processes may import before they know their task: all that a run needs."""
