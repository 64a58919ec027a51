"""Runs of one table that were made by different code, packages or machines.

A pair is clean if its two runs were made alike, whatever the other pairs are. So the alarm is about mixed pairs: their
difference between arms may be one between machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maskbench.records.collect import CollectedRun, RecordedPlugin, RunProvenance, format_seeds
from maskbench.text import count_of

_SHORT = 8
_RESULTS = "results version"
_COMMIT = "commit"
_THREADS = "threads"


@dataclass(frozen=True, slots=True)
class MixedOrigin:
    """A property that all runs should share and do not."""

    sentence: str
    is_grave: bool
    """Whether differences between the arms may come from it."""


def find_mixed_origins(done: Sequence[CollectedRun], baseline: str) -> list[MixedOrigin]:
    """Return the properties in which the finished runs of a panel differ; those that split the runs alike are joined.

    Args:
        done: the finished runs, each with its origin.
        baseline: name of the arm that the others are paired with.
    """
    facts = [_facts(cell.provenance) for cell in done if cell.provenance]
    keys = dict.fromkeys(key for fact in facts for key in fact)
    splits: dict[tuple[int, ...], list[str]] = {}
    for key in keys:
        values = [fact.get(key, "") for fact in facts]
        first = list(dict.fromkeys(values))
        if len(first) > 1:
            splits.setdefault(tuple(first.index(value) for value in values), []).append(key)
    mixtures = [_mixture(done, facts, kinds, keys, baseline) for kinds, keys in splits.items()]
    return [*mixtures, *_edited_plugins(done, baseline), *_dirty(done, baseline)]


def name_runs(cells: Sequence[CollectedRun]) -> str:
    """Return runs in words, arm by arm: `static, seeds 0-3; none, seed 7`."""
    seeds: dict[str, list[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.arm, []).append(cell.seed)
    return "; ".join(f"{arm}, {format_seeds(ran)}" for arm, ran in seeds.items())


def _facts(origin: RunProvenance) -> dict[str, str]:
    """Return what was recorded of how a run was made, by name."""
    commit = (origin.commit or "")[:_SHORT]
    own = {_RESULTS: str(origin.results_version), _COMMIT: commit}
    return {**own, **origin.versions, **origin.environment}


def _mixture(
    done: Sequence[CollectedRun],
    facts: Sequence[Mapping[str, str]],
    kinds: tuple[int, ...],
    keys: Sequence[str],
    baseline: str,
) -> MixedOrigin:
    usual = max(kinds, key=kinds.count)
    sample = {kind: facts[kinds.index(kind)] for kind in dict.fromkeys(kinds)}
    odd = [
        f"{_runs([c for c, own in zip(done, kinds, strict=True) if own == kind])} with"
        f" {' and '.join(_describe_property(key, fact.get(key, ''), sample[usual].get(key, '')) for key in keys)}"
        for kind, fact in sample.items()
        if kind != usual
    ]
    mixed, pairs = _count_mixed_pairs(done, kinds, baseline)
    effect, is_grave = _effect(mixed, pairs)
    if _RESULTS in keys:
        effect = (
            "the code between them changed results on purpose, so their numbers do not belong in one table"
        )
        is_grave = True
    return MixedOrigin(f"not all runs were made alike: {'; '.join(odd)}: {effect}; {_REMEDY}", is_grave)


def _edited_plugins(done: Sequence[CollectedRun], baseline: str) -> Iterator[MixedOrigin]:
    """Yield an alarm for every plug-in of which runs had different code.

    Only where some run.json does not say what its run took from the plug-in: those that do are refused.
    """
    used = [
        [p for p in cell.provenance.plugins if _may_change(p)] if cell.provenance else [] for cell in done
    ]
    for name in dict.fromkeys(p.name for one in used for p in one if p.used_for is None):
        code = [{p.sha256 for p in one if p.name == name} for one in used]
        known = [sha256 for one in code for sha256 in sorted(one)]
        usual = max(known, key=known.count)
        kinds = [int(bool(one) and usual not in one) for one in code]
        if not any(kinds):
            continue
        odd = [cell for cell, kind in zip(done, kinds, strict=True) if kind]
        others = sorted({sha256[:_SHORT] for one in code for sha256 in one} - {usual[:_SHORT]})
        mixed, pairs = _count_mixed_pairs(done, kinds, baseline)
        yield MixedOrigin(
            f"not all runs were made alike: {_runs(odd)} with other code of the plug-in {name} (SHA-256 "
            f"{' or '.join(others)} instead of {usual[:_SHORT]}): {_effect(mixed, pairs)[0]}, and the arm's mean is "
            f"over different code; {_REMEDY}",
            True,
        )


def _may_change(plugin: RecordedPlugin) -> bool:
    """Whether other code of a plug-in can change results; of a corpus, the hash of the data tells."""
    return plugin.used_for is None or any(not what.startswith("corpus ") for what in plugin.used_for)


_REMEDY = "to be sure, move the odd ones away and give the same `maskbench run` again"


def _runs(cells: Sequence[CollectedRun]) -> str:
    return f"{count_of(len(cells), 'run')} ({name_runs(cells)})"


def _describe_property(key: str, value: str, usual: str) -> str:
    """Return a property of a run and its usual value."""
    if key == _THREADS:
        return f"{value} {'thread' if value == '1' else 'threads'} instead of {usual}"
    if key == _COMMIT:
        return f"commit {value or 'unknown'} instead of {usual or 'an unknown one'}"
    return f"{key} {value or 'absent'} instead of {usual or 'absent'}"


def _count_mixed_pairs(done: Sequence[CollectedRun], kinds: Sequence[int], baseline: str) -> tuple[int, int]:
    """Return the number of pairs whose runs differ in kind, and the number of all pairs."""
    kind_of = {(cell.arm, cell.seed): kind for cell, kind in zip(done, kinds, strict=True)}
    pairs = list(_pairs(kind_of, baseline))
    return sum(a != b for a, b in pairs), len(pairs)


def _pairs(kind_of: Mapping[tuple[str, int], int], baseline: str) -> Iterator[tuple[int, int]]:
    for (arm, seed), kind in kind_of.items():
        if arm != baseline and (baseline, seed) in kind_of:
            yield kind, kind_of[baseline, seed]


def _effect(mixed: int, pairs: int) -> tuple[str, bool]:
    if mixed:
        what = "the difference" if mixed == 1 else "the differences"
        return f"{what} in {mixed} of {pairs} pairs may come from that and not from a mask", True
    return "within each pair the two runs were made alike, so no difference comes from it", False


def _dirty(done: Sequence[CollectedRun], baseline: str) -> list[MixedOrigin]:
    dirty = [cell for cell in done if cell.provenance and cell.provenance.dirty]
    if not dirty:
        return []
    kinds = [int(cell.provenance is not None and cell.provenance.dirty) for cell in done]
    mixed, pairs = _count_mixed_pairs(done, kinds, baseline)
    come = "comes" if len(dirty) == 1 else "come"
    sentence = (
        f"{_runs(dirty)} {come} from a checkout with uncommitted changes: nobody can get that code back, not"
        " even who ran it"
    )
    if mixed:
        sentence += f"; {_effect(mixed, pairs)[0]}"
    return [MixedOrigin(f"{sentence}; commit first, then run", bool(mixed))]
