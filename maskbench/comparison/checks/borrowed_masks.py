"""Says where a model was evaluated under others' masks without soft masks that its weights were trained with.

A learned bias may be the only position signal of a model. Measured without it, the model is worse under any masks, and a
difference such as interference may be small only because nothing is left to lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maskbench.comparison.text.sentences import join_names
from maskbench.config.resolve.kept_masks import describe_placements, placements_without
from maskbench.config.schema.experiment import ArmConfig, PlacementConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.records.collect import CollectedRun

RECORDED_BEFORE = frozenset(
    (
        *("adaptive_entmax", "adaptive_span", "alibi", "concat_feature", "dman", "entmax", "forgetting_gate"),
        *("gaussian", "head_gate", "inverted", "learned_full", "learned_gate", "linear_attention", "local_p"),
        *("localness", "selective", "sigmoid_attention", "soft_diagonal", "t5_bias", "threshold", "topk"),
        "transform",
    )
)
"""The soft strategies of the version whose runs did not record which masks were off; comparing imports no strategy."""


def missing_masks(
    arms: Sequence[ArmConfig], cells: Iterable[CollectedRun], metric: str
) -> tuple[list[str], list[str]]:
    """Return sentences about the compared metric, for above the table, and about other metrics, for below it."""
    alarms: list[str] = []
    warnings: list[str] = []
    compared = metric_name(metric)
    cells = list(cells)
    for name in dict.fromkeys(name for arm in arms for name in arm.config.under):
        off = {arm.title: _off(arm, name, cells) for arm in arms}
        affected = [f"{title} ({', '.join(masks)})" for title, masks in off.items() if masks]
        if affected:
            is_compared = compared is not None and compared.masks == name
            what = metric if is_compared else f"what is measured under the masks of {name} (split@{name}/...)"
            (alarms if is_compared else warnings).append(
                f"masks switched off: {what} leaves out soft masks with which these arms were trained: "
                f"{join_names(affected)}; what is lost or gained may be theirs, not that of the masks of {name}; with "
                "`evaluate.keep: soft` arms keep them"
            )
        warnings += _not_lent(arms, name)
    return alarms, warnings


def _off(arm: ArmConfig, name: str, cells: Sequence[CollectedRun]) -> tuple[str, ...]:
    """Return the soft masks of an arm that were off in a finished run of it; as far as runs or settings tell."""
    results = [cell.result for cell in cells if cell.arm == arm.name and cell.result is not None]
    recorded = dict.fromkeys(masks for result in results for masks in result.masks_off.get(name, ()))
    if recorded or not results or name not in arm.config.under:
        return tuple(recorded)
    without = placements_without(arm.config.masks, arm.config.under, arm.config.evaluate.keep)[name]
    return tuple(describe_placements(p for p in without if p.mask in RECORDED_BEFORE and _acts(p)))


def _acts(placement: PlacementConfig) -> bool:
    return placement.phases is None or "eval" in placement.phases


def _not_lent(arms: Sequence[ArmConfig], name: str) -> list[str]:
    """Return a sentence if arms were not lent some of the masks, since `evaluate.keep` names them."""
    missing: dict[str, list[str]] = {}
    for arm in arms:
        own = {(p.mask, p.site) for p in arm.config.masks}
        lent = arm.config.under.get(name, ())
        kept = [p for p in lent if p.mask in arm.config.evaluate.keep and (p.mask, p.site) not in own]
        for masks in describe_placements(kept):
            missing.setdefault(masks, []).append(arm.title)
    return [
        f"not lent: of the masks of {name}, {masks} does not act in {join_names(titles)}: evaluate.keep does not "
        "exchange it"
        for masks, titles in missing.items()
    ]
