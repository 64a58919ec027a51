"""Finds comparisons on sentences that the runs were trained on, or on which their checkpoints were picked.

What counts is the content of the splits, as the runs recorded it (`maskbench.statistics.split_overlap`), not their
names: a copy of the validation file under another name is found, and so is a noisy copy of it. Runs that recorded
nothing, which older versions made, are judged by names alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from maskbench.comparison.text.sentences import join_names
from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.statistics.split_overlap import Overlap, SplitOverlaps

LARGEST_SHARE: Final = 0.02
"""The largest share of the compared sentences that may be in train, or among those that picked the checkpoints, without
an alarm. Real corpora repeat a few sentences, which changes no verdict; a warning says how many."""


class SharedSentences(NamedTuple):
    """The sentences about one comparison."""

    alarms: tuple[str, ...]
    warnings: tuple[str, ...]
    """At most one."""


def find_shared_sentences(arms: Sequence[ArmConfig], overlaps: SplitOverlaps, metric: str) -> SharedSentences:
    """Return what the compared split has in common with train and with the splits that selected checkpoints.

    Args:
        arms: the arms of the panel, in their order.
        overlaps: what any two splits have in common; empty if the runs did not record it.
        metric: the one that is compared.
    """
    compared = metric_name(metric)
    if compared is None:
        return SharedSentences((), ())
    split = overlaps.clean(compared.split)
    known = overlaps.splits.get(split)
    pairs = 0 if known is None else known.pairs
    alarms, few = [], []
    in_train = overlaps.between(split, "train")
    if in_train.sources > LARGEST_SHARE * pairs:
        alarms.append(
            f"trained on what is compared: {metric} is measured on {_which(compared.split, split)}, and"
            f" {_counted(in_train, pairs, 'it')} ({in_train.pairs} with the same target), so it tells in part"
            " what was remembered and not what was learned; take them out of one of the two, or compare another split"
        )
    elif in_train.sources:
        few.append(f"{in_train.sources} are also in train ({in_train.pairs} with the same target)")
    for select, whose in _selections(arms):
        picks = metric_name(select)
        if picks is None:
            continue
        chosen_on = overlaps.clean(picks.split)
        shared = overlaps.between(split, chosen_on)
        if split == chosen_on or _are_one_file(arms, split, chosen_on):
            alarms.append(_tuned(metric, select, whose))
        elif shared.sources > LARGEST_SHARE * pairs:
            of = _which(compared.split, split) + ("," if compared.split != split else "")
            alarms.append(_tuned(metric, select, whose, f" ({_counted(shared, pairs, of)})"))
        elif shared.sources:
            few.append(f"{shared.sources} are also in {chosen_on}, on which {select} picked {whose}")
    warning = f"shared sentences: of {pairs} sources of {_which(compared.split, split)}, {' and '.join(few)}"
    return SharedSentences(tuple(alarms), (warning,) if few else ())


def _tuned(metric: str, select: str, whose: str, found: str = "") -> str:
    compared, picks = metric_name(metric), metric_name(select)
    elsewhere = "give valid sentences of its own, or compare another split"
    if compared is not None and picks is not None and compared.split == picks.split:
        elsewhere = (
            f"compare a metric of sentences that nothing was chosen by, such as test/{compared.metric}"
        )
    return (
        f"tuned on what is compared: {metric} is measured on the sentences on which {select} picked {whose}{found}, so it"
        f" flatters all arms, and the one that varies most of all; {elsewhere}"
    )


def _selections(arms: Sequence[ArmConfig]) -> Iterator[tuple[str, str]]:
    """Yield each metric that selected checkpoints, with words for whose they are."""
    titles: dict[str, list[str]] = {}
    for arm in arms:
        titles.setdefault(arm.config.train.select, []).append(arm.title)
    for select, of in titles.items():
        yield (
            select,
            "every run's checkpoint" if len(of) == len(arms) else f"the checkpoints of {join_names(of)}",
        )


def _are_one_file(arms: Sequence[ArmConfig], split: str, chosen_on: str) -> bool:
    """Return whether `corpus.valid` names the file of the compared split; for runs that did not record overlaps."""
    return chosen_on == "valid" and arms[0].config.corpus.options.get("valid") == split


def _which(compared: str, split: str) -> str:
    return split if compared == split else f"{split}, of which {compared} is an altered copy"


def _counted(shared: Overlap, pairs: int, of: str) -> str:
    """Return how many of the sources of a split are in the other one, and how many only the model reads alike."""
    unknown = shared.unknown_sources
    alike = f", {unknown} of them only as the model reads them" if unknown else ""
    return f"{shared.sources} of {pairs} sources of {of} are also in {shared.other}{alike}"
