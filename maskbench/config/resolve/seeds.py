"""Read the seeds of an experiment: a count or a list in the file, or `--seeds 4`, `0-7` or `1,3,5`."""

from __future__ import annotations

import re

from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import Place, ProblemReport
from maskbench.config.parsing.validation import format_value
from maskbench.config.schema.experiment import MAX_SEED

DEFAULT_SEEDS = 8
MAX_SEEDS = 1000

_PART = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")
_FORM = "must be a count such as 8, or a list such as [0, 1, 5]"


def read_seeds(node: Node | None, report: ProblemReport) -> tuple[int, ...]:
    """Return the seeds of the file's `seeds`; if it is no count or list, report that and return ()."""
    if node is None:
        return tuple(range(DEFAULT_SEEDS))
    if isinstance(node.value, tuple):
        return _read_list(node, report)
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        report.add(node.place, f"seeds {_FORM}, got {format_value(node)}")
        return ()
    if not 1 <= node.value <= MAX_SEEDS:
        report.add(node.place, f"seeds must count from 1 to {MAX_SEEDS}, got {node.value}")
        return ()
    return tuple(range(node.value))


def _read_list(node: Node, report: ProblemReport) -> tuple[int, ...]:
    seeds: list[int] = []
    for item in node.items:
        seed = item.value
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            report.add(
                item.place, f"a seed must be a whole number from 0 to {MAX_SEED}, got {format_value(item)}"
            )
        elif seed in seeds:
            report.add(item.place, f"seed {seed} is given twice")
        else:
            seeds.append(seed)
    if not 1 <= len(node.items) <= MAX_SEEDS:
        report.add(node.place, f"seeds must name 1 to {MAX_SEEDS} seeds, got {len(node.items)}")
    return tuple(seeds)


def parse_seeds(text: str, report: ProblemReport) -> tuple[int, ...]:
    """Return the seeds of `--seeds TEXT`; if it is malformed, report that and return ().

    A single number is a count, as in the file; `5,` is the one seed 5.
    """
    place = Place(f"--seeds {text}")
    stripped = text.replace(" ", "")
    if stripped.isdecimal() and len(stripped) <= 10:
        return read_seeds(Node(place, int(stripped)), report)
    items: list[Node] = []
    for part in stripped.removesuffix(",").split(","):
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last < first + MAX_SEEDS:
            message = f"must be a count such as 4, a range such as 0-7, or a list such as 1,3,5 (at most {MAX_SEEDS})"
            report.add(place, message)
            return ()
        items += [Node(place, seed) for seed in range(first, last + 1)]
    return _read_list(Node(place, tuple(items)), report)
