"""Alarms about plans that were changed after results were there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from maskbench.config.schema.experiment import Experiment
from maskbench.records.collect import CollectedPanel, format_seeds
from maskbench.records.plans import Plan, Question, SeedChange, find_seed_changes, plans_since_results
from maskbench.statistics.sequential import Rule


def plan_change_alarms(collected: CollectedPanel) -> tuple[str, ...]:
    """Return a sentence for every change of a panel's plan after its first results."""
    plans, experiment, place = collected.plans, collected.found.experiment, collected.found.panel.name or ""
    if not plans:
        return ()
    return (
        *(_seeds_changed(change, plans[-1].rule) for change in find_seed_changes(plans)),
        *_question_changed(plans, place, {arm.name for arm in experiment.retired}),
        *_edited(plans[-1], experiment, place),
    )


def _seeds_changed(change: SeedChange, rule: Rule) -> str:
    """Return which seeds were added or dropped after results, what that invalidates, and what to do."""
    seeds, runs = format_seeds(list(change.seeds)), _had_results(change.results)
    verb = "were" if len(change.seeds) > 1 else "was"
    if change.kind == "added":
        return (
            f"extended after seeing results: {seeds} {verb} added when {runs}; p-values and intervals count as if all "
            "had been planned before the first, so they promise too much; `maskbench run FILE --until-decided` adds "
            "seeds by a rule that allows for looking"
        )
    dropped = f"shortened after seeing results: {seeds} {verb} dropped when {runs}"
    if rule == "sequential":
        return (
            f"{dropped}, before seeds were added until it was decided; that rule allows for looking, not for choosing "
            "which seeds count, so verdicts promise too much; begin anew in another runs folder"
        )
    return (
        f"{dropped}; p-values and intervals count as if nobody had looked before stopping, so they promise too much; "
        "put them back and run the file again"
    )


def _question_changed(plans: Sequence[Plan], panel: str, retired: Collection[str]) -> Iterator[str]:
    """Yield sentences on how the question differs from that at the first results, as far as plans record it.

    An arm that the file retires still counts, so it is not one that was taken out.
    """
    since = [
        (plan.results, plan.question)
        for plan in plans_since_results(plans)
        if plan.question is not None and panel in plan.question.baseline
    ]
    if not since:
        return
    changed = _differences(since[0][1], since[-1][1], panel)
    if changed:
        results = next(n for n, asked in since if _differences(since[0][1], asked, panel))
        yield (
            f"the question was changed after seeing results: {', '.join(changed)}; {_had_results(results)} by then; "
            "verdicts count as if it had been asked before, so they promise too much; put it back, or ask it of new "
            "seeds in another runs folder"
        )
    ever = dict.fromkeys(arm for _, asked in since for arm in asked.arms.get(panel, ()))
    gone = [arm for arm in ever if arm not in (*since[-1][1].arms.get(panel, ()), *retired)]
    if gone:
        results = next(
            n
            for (_, before), (n, after) in pairwise(since)
            if (set(before.arms.get(panel, ())) - set(after.arms.get(panel, ()))) & set(gone)
        )
        yield (
            f"arms were taken out after seeing results: {', '.join(gone)}; {_had_results(results)} by then; the correction "
            "counts fewer arms than there were, so p-values promise too much; put them back, or say why they are no longer "
            "trained, with `retired: {arm: reason}`, and run the file again"
        )


def _differences(before: Question, after: Question, panel: str) -> list[str]:
    """Return `alpha 0.2 instead of 0.05` for whatever differs; arms aside."""
    asked = (
        ("metric", before.metric, after.metric),
        ("baseline", before.baseline.get(panel), after.baseline.get(panel)),
        ("alpha", before.alpha, after.alpha),
        ("min_effect", before.min_effect, after.min_effect),
    )
    return [f"{name} {_shown(new)} instead of {_shown(old)}" for name, old, new in asked if old != new]


def _edited(last: Plan, experiment: Experiment, panel: str) -> Iterator[str]:
    """Yield a sentence if experiment.yaml was edited after `maskbench run` wrote it."""
    changed = []
    if set(experiment.seeds) != set(last.seeds):
        changed.append(f"{format_seeds(list(experiment.seeds))} instead of {format_seeds(list(last.seeds))}")
    elif experiment.seeds != last.seeds:
        changed.append("its seeds in another order")
    if last.question is not None:
        now = Question.of(experiment)
        changed += _differences(last.question, now, panel)
        present = {*now.arms.get(panel, ()), *(arm.name for arm in experiment.retired)}
        gone = [arm for arm in last.question.arms.get(panel, ()) if arm not in present]
        changed += [f"no arm {arm}" for arm in gone]
    if changed:
        yield (
            f"experiment.yaml is not what was planned: {', '.join(changed)}; it was edited after `maskbench run` wrote it, "
            "so nobody knows what was chosen after seeing results; run the experiment's own file again, which writes it anew"
        )


def _had_results(runs: int) -> str:
    return f"{runs} run{' had a result' if runs == 1 else 's had results'}"


def _shown(value: str | float | None) -> str:
    return "none" if value is None else value if isinstance(value, str) else f"{value:g}"
