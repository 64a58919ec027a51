"""Resolve `evaluate.keep`: which masks a run keeps of its own where it is evaluated under others' masks.

    evaluate: {masks: [own, window], keep: soft}

`learned`, the default: those with learned parameters, which are a part of the trained weights. `soft`: also those that
hide nothing, such as fixed biases and normalisers. `nothing`: none. A list names strategies. The names that result are
those of masks that are never exchanged: a run keeps its own, and is not lent another arm's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from maskbench import registry
from maskbench.config.parsing.nodes import Node, Override, set_by_path
from maskbench.config.parsing.problems import ProblemReport, shorten
from maskbench.config.parsing.validation import format_value
from maskbench.config.schema.experiment import PlacementConfig
from maskbench.registry import did_you_mean

KEEP_LEARNED, KEEP_SOFT, KEEP_NOTHING = KEEP_WORDS = ("learned", "soft", "nothing")
_KEY = "evaluate.keep"
_HIDING_KINDS = frozenset({"attention mask", "token mask", "logit mask", "loss mask", "weight mask"})


def is_learned(strategy: Any) -> bool:
    """Whether a strategy, given by its class, has learned parameters."""
    return "parameters" in getattr(strategy, "depends_on", ())


def is_soft(strategy: Any) -> bool:
    """Whether a strategy shapes what the model computes and hides nothing: learned, or a bias, gate or normaliser.

    A gate that is drawn at random hides what it drops.
    """
    hides = getattr(strategy, "kind", "") in _HIDING_KINDS or getattr(strategy, "stochastic", False)
    return is_learned(strategy) or not hides


def read_keep(tree: Node, report: ProblemReport) -> Node:
    """Return the file with a word in `evaluate.keep` taken out for `resolve_keep`, after a check that it is one."""
    node = find_keep(tree)
    if node is None or isinstance(node.value, tuple):
        return tree
    if node.value not in KEEP_WORDS:
        hint = did_you_mean(node.value, KEEP_WORDS) if isinstance(node.value, str) else ""
        expected = f"{', '.join(KEEP_WORDS)}, or a list of masks such as [alibi]"
        report.add(node.place, f"{_KEY} must be {expected}, got {format_value(node)}{hint}")
    return set_by_path(tree, Override(_KEY, node.place, Node(node.place, ())))


def find_keep(tree: Node) -> Node | None:
    """Return the value of `evaluate.keep`; None without one."""
    evaluate = tree.get("evaluate")
    return evaluate.get("keep") if evaluate is not None and isinstance(evaluate.value, dict) else None


def resolve_keep(
    node: Node | None, used: Iterable[PlacementConfig], report: ProblemReport
) -> tuple[str, ...]:
    """Return, sorted, the names of the strategies that are not exchanged.

    Args:
        node: the value of `evaluate.keep`; None: the default.
        used: every placement of the panel's arms and of the masks they are evaluated under.
    """
    names = sorted({placement.mask for placement in used})
    if node is not None and isinstance(node.value, tuple):
        for item in node.items:
            if item.value not in names:
                hint = did_you_mean(str(item.value), names)
                known = ", ".join(names) or "none"
                message = f"{_KEY}: no arm has the mask {shorten(str(item.value))!r}{hint} (masks: {known})"
                report.add(item.place, message)
        return tuple(sorted({str(item.value) for item in node.items}))
    word = KEEP_LEARNED if node is None else node.value
    holds = {KEEP_LEARNED: is_learned, KEEP_SOFT: is_soft}.get(str(word))
    return tuple(name for name in names if holds is not None and holds(registry.MASKS.lookup(name)))


def mix_placements(
    own: Iterable[PlacementConfig], lent: Iterable[PlacementConfig], keep: Collection[str]
) -> tuple[PlacementConfig, ...]:
    """Return the placements under which a run is evaluated: its own that it keeps, and those that are lent to it.

    In the order of both lists, so that a run that is lent its own arm's masks has exactly its own.
    """
    kept = [(i, 0, placement) for i, placement in enumerate(own) if placement.mask in keep]
    taken = [(i, 1, placement) for i, placement in enumerate(lent) if placement.mask not in keep]
    return tuple(placement for *_, placement in sorted([*kept, *taken], key=lambda entry: entry[:2]))


def describe_placements(placements: Iterable[PlacementConfig]) -> list[str]:
    """Return `alibi at encoder_self` for every placement, each once."""
    return list(dict.fromkeys(f"{p.mask} at {p.site}" for p in placements))


def placements_without(
    own: Iterable[PlacementConfig], under: Mapping[str, tuple[PlacementConfig, ...]], keep: Collection[str]
) -> dict[str, list[PlacementConfig]]:
    """Return, by the name of other masks, the run's own placements that do not act under them."""
    own = [placement.model_copy(update={"unsafe": False}) for placement in own]
    acting = {
        name: [p.model_copy(update={"unsafe": False}) for p in mix_placements(own, lent, keep)]
        for name, lent in under.items()
    }
    return {name: [placement for placement in own if placement not in acting[name]] for name in under}
