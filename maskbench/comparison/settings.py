"""The settings of a comparison: those of the experiment file, unless the command line gives others."""

from __future__ import annotations

from collections.abc import Sequence

from maskbench.comparison.checks.retired import describe_missing_arm
from maskbench.comparison.checks.unmeasured import why_undefined
from maskbench.comparison.results import ComparisonOptions, ComparisonSettings
from maskbench.config.schema.metrics import MetricInfo, is_metric, metric_name, metric_names
from maskbench.errors import ConfigError
from maskbench.records.collect import CollectedPanel
from maskbench.records.locate import FoundPanel
from maskbench.registry import did_you_mean


def resolve_settings(collected: CollectedPanel, choices: ComparisonOptions) -> ComparisonSettings:
    """Return what the experiment file declares and the command line changes.

    Raises:
        ConfigError: a choice names nothing there, or is out of its range.
    """
    declared = collected.found.experiment.compare
    metric = choices.metric or declared.metric
    alpha = declared.alpha if choices.alpha is None else choices.alpha
    # `min_effect` is in the unit of the declared metric.
    min_effect = declared.min_effect if metric == declared.metric else None
    min_effect = min_effect if choices.min_effect is None else choices.min_effect
    if not 0 < alpha < 1:
        raise ConfigError(f"--alpha must lie between 0 and 1, got {alpha:g}")
    if min_effect is not None and not 0 < min_effect < float("inf"):
        raise ConfigError(f"--min-effect must be above 0, got {min_effect:g}")
    return ComparisonSettings(
        metric,
        _metric_info(collected, metric),
        _baseline(collected.found, choices),
        alpha,
        min_effect,
        choices.simultaneous,
    )


def _metric_info(collected: CollectedPanel, metric: str) -> MetricInfo:
    """Return the metric, after a check that a run measured it."""
    name = metric_name(metric)
    done = [cell.result for cell in collected.runs.values() if cell.result is not None]
    measured = sorted({name for outcome in done for name in outcome.metrics})
    if name is None or not is_metric(name.metric) or (measured and metric not in measured):
        reason = why_undefined(collected.runs.values(), metric)
        if reason is not None:
            raise ConfigError(
                f"{metric} is undefined in every run: {reason}; compare another metric ({_listed(measured)})"
            )
        known = measured or [f"test/{name}" for name in metric_names()]
        hint = did_you_mean(metric, known)
        raise ConfigError(f"no run has measured the metric {metric!r}{hint} ({_listed(known)})")
    return name.info


def _listed(names: Sequence[str]) -> str:
    """Return the splits and metrics of which names are made; all names can be a thousand."""
    parts = [name for name in map(metric_name, names) if name]
    splits = dict.fromkeys(str(name.whole).partition("/")[0] for name in parts)
    return f"splits: {', '.join(splits)}; metrics: {', '.join(dict.fromkeys(name.metric for name in parts))}"


def _baseline(found: FoundPanel, choices: ComparisonOptions) -> str:
    wanted = choices.baseline
    if wanted is None:
        return found.panel.baseline
    arms = found.panel.arms
    name = next((arm.name for arm in arms if wanted in (arm.name, arm.title)), None)
    if name is None:
        names = [arm.name for arm in arms]
        raise ConfigError(describe_missing_arm(wanted, names, found.experiment.retired))
    return name


def changed_settings(collected: CollectedPanel, choices: ComparisonOptions) -> list[str]:
    """Return a warning for every setting of the file that the command line changes."""
    declared, panel = collected.found.experiment.compare, collected.found.panel
    pairs = (
        ("metric", declared.metric, choices.metric),
        ("baseline", panel.baseline, choices.baseline and _baseline(collected.found, choices)),
        ("alpha", declared.alpha, choices.alpha),
        ("min_effect", declared.min_effect, choices.min_effect),
    )
    return [
        f"{name} {chosen} was chosen on the command line; the experiment declares {before}"
        for name, before, chosen in pairs
        if chosen is not None and chosen != before
    ]
