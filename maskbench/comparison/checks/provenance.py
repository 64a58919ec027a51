"""Refuses to compare runs with different data or differently computed metrics; lists unfinished runs.

What makes a difference doubtful, but not meaningless, is reported in `misuse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from maskbench.comparison.checks.mixtures import name_runs
from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.errors import ConfigError
from maskbench.records.collect import CollectedRun, format_seeds

_SHORT = 8


def refuse_incomparable(cells: Iterable[CollectedRun], metric: str) -> None:
    """Check that the finished runs saw the same data and computed the metric the same way.

    Raises:
        ConfigError: they did not; the message names the runs of each kind.
    """
    done = _done(cells)
    data = _groups(done, lambda cell: cell.provenance.data_sha256[:_SHORT] if cell.provenance else "")
    if len(data) > 1:
        raise ConfigError(
            f"these runs cannot be compared: they were trained on different data\n{_listed(data)}\n"
            "move the runs of one kind away and run the experiment again"
        )
    for what in dict.fromkeys(key for cell in done if cell.provenance for key in cell.provenance.code):
        users = [cell for cell in done if cell.provenance and what in cell.provenance.code]
        versions = _groups(users, lambda cell, what=what: _code(cell, what))  # type: ignore[misc]
        if len(versions) > 1 and not what.startswith("metric "):
            raise ConfigError(
                f"these runs cannot be compared: the {what} comes from a plug-in whose code was edited between them "
                f"(SHA-256 of the code)\n{_listed(versions)}\n"
                "move the runs of one kind away and run the experiment again"
            )
    kinds = _groups(done, lambda cell: _signature(cell, metric))
    if len(kinds) > 1:
        raise ConfigError(
            f"these runs cannot be compared on {metric}: it was computed in different ways\n{_listed(kinds)}\n"
            "move the runs of one kind away and run the experiment again, or choose another --metric"
        )


def mark_incomparable(
    runs: Mapping[tuple[str, int], CollectedRun], beside: Iterable[CollectedRun], metric: str
) -> dict[tuple[str, int], CollectedRun]:
    """Return runs of retired arms; those that cannot stand beside the others become failed ones, with the reason.

    Args:
        beside: the runs of the table, comparable with each other.
    """
    done = _done(beside)
    data = {cell.provenance.data_sha256 for cell in done if cell.provenance}
    kinds = {_signature(cell, metric) for cell in done}

    def checked(cell: CollectedRun) -> CollectedRun:
        if cell.state != "done" or not done:
            return cell
        if cell.provenance is None or cell.provenance.data_sha256 not in data:
            return cell.failing("it was trained on other data than the runs of the table")
        if _signature(cell, metric) not in kinds:
            return cell.failing(f"{metric} was computed in another way than for the runs of the table")
        return cell

    return {key: checked(cell) for key, cell in runs.items()}


def comparable_metrics(cells: Iterable[CollectedRun]) -> list[str]:
    """Return every metric that was computed the same way wherever it was, in the order of the results."""
    done = _done(cells)
    names = dict.fromkeys(name for cell in done if cell.result for name in cell.result.metrics)
    return [name for name in names if len(_signatures(done, name)) < 2]


def metric_signature(cells: Iterable[CollectedRun], metric: str) -> str | None:
    """Return how the metric was computed, or None if runs record no signature."""
    found = _signatures(_done(cells), metric)
    return next(iter(found)) or None if found else None


def left_out_metrics(cells: Iterable[CollectedRun], metric: str) -> list[str]:
    """Return a sentence that names the metrics, but for the compared one, that runs computed in different ways."""
    done = _done(cells)
    names = dict.fromkeys(name for cell in done if cell.result for name in cell.result.metrics)
    mixed = [name for name in names if name != metric and len(_signatures(done, name)) > 1]
    return [f"left out, because runs computed them in different ways: {', '.join(mixed)}"] if mixed else []


def unfinished_runs(arms: Sequence[ArmConfig], cells: Iterable[CollectedRun]) -> list[str]:
    """Return a sentence for every group of runs that are not done, in the order of the arms."""
    titles = {arm.name: arm.title for arm in arms}
    groups: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        if cell.state != "done":
            groups.setdefault((cell.arm, cell.reason), []).append(cell.seed)
    return [f"{titles[arm]}, {format_seeds(seeds)}: {reason}" for (arm, reason), seeds in groups.items()]


def _done(cells: Iterable[CollectedRun]) -> list[CollectedRun]:
    return [cell for cell in cells if cell.state == "done"]


def _signature(cell: CollectedRun, metric: str) -> str:
    """Return the metric's signature in a run; results name them by metric, with or without split and slice.

    The signature of a plug-in's metric ends with the hash of its code.
    """
    signatures = cell.result.signatures if cell.result else {}
    name = metric_name(metric)
    signature = signatures.get(metric, signatures.get(name.metric, "") if name else "")
    code = _code(cell, f"metric {name.metric}") if name else ""
    return "|".join(part for part in (signature, f"code:{code}" if code else "") if part)


def _code(cell: CollectedRun, what: str) -> str:
    """Return the start of the hash of the plug-in code from which a run takes a strategy or metric; empty: of none."""
    return cell.provenance.code.get(what, "")[:_SHORT] if cell.provenance else ""


def _signatures(done: Iterable[CollectedRun], metric: str) -> set[str]:
    return {_signature(cell, metric) for cell in done if cell.result and metric in cell.result.metrics}


def _groups(
    cells: Iterable[CollectedRun], kind: Callable[[CollectedRun], str]
) -> dict[str, list[CollectedRun]]:
    groups: dict[str, list[CollectedRun]] = {}
    for cell in cells:
        groups.setdefault(kind(cell), []).append(cell)
    return groups


def _listed(groups: dict[str, list[CollectedRun]]) -> str:
    return "\n".join(f"  {kind or 'none recorded'}: {name_runs(cells)}" for kind, cells in groups.items())
