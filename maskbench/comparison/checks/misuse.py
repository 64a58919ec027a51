"""The misuse guard: finds comparisons whose numbers do not support what the table seems to say.

Each finding is a sentence that says what is wrong, in which runs, why it matters and what to do. Alarms name possible
causes of the differences and stand above the table, to be read before the numbers; warnings stand below it. Runs that
cannot be compared at all are refused in `provenance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from maskbench.comparison.checks.mixtures import find_mixed_origins, name_runs
from maskbench.comparison.checks.shared_sentences import find_shared_sentences
from maskbench.config.schema.experiment import ArmConfig, PanelConfig
from maskbench.errors import ConfigError
from maskbench.records.collect import CollectedRun, RunResult, format_seeds, recorded_overlaps

_DECODING = "decode."
_BUDGET = ("train.steps", "train.epochs", "train.batch_tokens", "init_from")
"""Settings that change the training budget of an arm."""


@dataclass(frozen=True, slots=True)
class MisuseFindings:
    """The sentences about a panel."""

    alarms: tuple[str, ...]
    """To be read before the table."""
    warnings: tuple[str, ...]
    """To be read after it."""


def check_misuse(
    panel: PanelConfig, cells: Iterable[CollectedRun], metric: str, baseline: str
) -> MisuseFindings:
    """Return a sentence for every misuse found in a panel.

    Args:
        panel: the arms as the experiment declares them.
        cells: every planned run.
        metric: the one that is compared.
        baseline: name of the arm that the others are compared with.

    Raises:
        ConfigError: the arms are decoded differently and do not say so.
    """
    cells = list(cells)
    done = [cell for cell in cells if cell.state == "done"]
    _refuse_undeclared_decoding(panel)
    mixed = find_mixed_origins(done, baseline)
    shared = find_shared_sentences(panel.arms, recorded_overlaps(done), metric)
    alarms = (
        *shared.alarms,
        *_budget(panel),
        *_decoding(panel),
        *_duplicates(done),
        *_unpaired(panel.arms, cells, baseline),
        *(mixture.sentence for mixture in mixed if mixture.is_grave),
    )
    mild = (mixture.sentence for mixture in mixed if not mixture.is_grave)
    return MisuseFindings(alarms, (*shared.warnings, *mild, *_unrecorded(done)))


def _budget(panel: PanelConfig) -> Iterator[str]:
    """Yield a sentence for every arm with another training budget than the baseline."""
    for arm, keys in _differing(panel, lambda key: key in _BUDGET):
        yield (
            f"unequal budgets: {arm.title} has another {_values(panel, arm, keys)}: what it gains or loses may be"
            " the training and not the mask; give both the same, or read the row as a comparison of budgets"
        )


def _decoding(panel: PanelConfig) -> Iterator[str]:
    """Yield a sentence for every arm that declares another decoding than the baseline."""
    for arm, keys in _differing(panel, lambda key: key.startswith(_DECODING)):
        yield (
            f"unequal decoding: {arm.title} has another {_values(panel, arm, keys)}: metrics of its translations"
            " may differ by the search alone; compare token_accuracy or nll, which need none, or decode alike"
        )


def _differing(panel: PanelConfig, wanted: Callable[[str], bool]) -> Iterator[tuple[ArmConfig, list[str]]]:
    for arm in panel.arms:
        keys = [key for key in arm.also_different if wanted(key)]
        if keys:
            yield arm, keys


def _values(panel: PanelConfig, arm: ArmConfig, keys: Sequence[str]) -> str:
    """Return `train.steps (400 instead of 200)` for each key."""
    base = next(other for other in panel.arms if other.name == panel.baseline)
    return " and ".join(f"{key} ({_value(arm, key)} instead of {_value(base, key)})" for key in keys)


def _value(arm: ArmConfig, key: str) -> str:
    section, _, name = key.rpartition(".")
    holder = getattr(arm.config, section) if section else arm.config
    value = getattr(holder, name)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _refuse_undeclared_decoding(panel: PanelConfig) -> None:
    base = next(arm for arm in panel.arms if arm.name == panel.baseline)
    for arm in panel.arms:
        own, others = arm.config.decode.model_dump(), base.config.decode.model_dump()
        silent = [key for key in own if own[key] != others[key] and _DECODING + key not in arm.also_different]
        if silent:
            keys = [_DECODING + key for key in silent]
            raise ConfigError(
                f"these runs cannot be compared: {arm.title} was decoded with another {_values(panel, arm, keys)},"
                f" and does not declare it; write it into the arm, as `set: {{{keys[0]}: {_value(arm, keys[0])}}}`"
            )


def _duplicates(done: Sequence[CollectedRun]) -> Iterator[str]:
    """Yield a sentence for all runs of an arm that are copies of one run under several seeds."""
    found: dict[tuple[str, tuple[int, ...]], str] = {}
    for sign, what in (
        (_losses, "logged the same training losses to the last digit"),
        # This finds copies whose record of the losses is lost or altered.
        (_results, "wrote the same translations and have all metrics equal to the last digit"),
    ):
        groups: dict[tuple[str, object], list[int]] = {}
        for cell in done:
            if cell.result is not None and (mark := sign(cell.result)) is not None:
                groups.setdefault((cell.arm, mark), []).append(cell.seed)
        for (arm, _), seeds in groups.items():
            if len(seeds) > 1:
                found.setdefault((arm, tuple(seeds)), what)
    for (arm, twins), what in found.items():
        yield (
            f"duplicate seeds: {arm}, {format_seeds(list(twins))} {what}, which different seeds never do: they are one"
            f" run counted {len(twins)} times, and p and interval are too good; move all but one away and run them"
            " again"
        )


def _losses(outcome: RunResult) -> object:
    return outcome.train_nll_sha256


def _results(outcome: RunResult) -> object:
    """Return outputs and metrics, which two runs never share by chance; None without a likelihood, as counts may agree."""
    if outcome.outputs_sha256 is None or not any(name.endswith("/nll") for name in outcome.metrics):
        return None
    return outcome.outputs_sha256, tuple(sorted(outcome.metrics.items()))


def _unrecorded(done: Sequence[CollectedRun]) -> Iterator[str]:
    """Yield a sentence if no run records how it was made."""
    origins = [cell.provenance for cell in done if cell.provenance]
    if origins and not any(origin.versions or origin.environment or origin.commit for origin in origins):
        yield (
            "no run says by what it was made: neither commit nor packages nor machine stand in any run.json, so"
            " nobody can tell whether all were made alike"
        )


def _unpaired(arms: Sequence[ArmConfig], cells: Sequence[CollectedRun], baseline: str) -> Iterator[str]:
    """Yield a sentence for every arm with pairs that do not count because a run failed; unfinished runs are not reported."""
    base = {cell.seed: cell for cell in cells if cell.arm == baseline}
    for arm in arms:
        own = [cell for cell in cells if cell.arm == arm.name != baseline]
        halves = [(cell, base[cell.seed]) for cell in own if cell.seed in base]
        lost = [run for pair in halves for run in pair if run.state == "failed"]
        if lost:
            pairs = len({run.seed for run in lost})
            yield (
                f"unpaired: {pairs} of {len(halves)} pairs of {arm.title} and {baseline} do not count, because"
                f" these runs have no result to use: {name_runs(lost)}; `maskbench run` with the same file repeats what"
                " failed; of a damaged one, move the folder away first"
            )
