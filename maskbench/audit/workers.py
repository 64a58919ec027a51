"""Many strategies at a time: one process for each core."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from maskbench.audit.catalogue import subjects
from maskbench.audit.report import Finding, audit
from maskbench.plugins import load_plugins


def audit_names(wanted: Sequence[str], plugins: Sequence[Path]) -> Iterator[list[Finding]]:
    """Yield the findings of every named strategy and preset at every site, in the order of `subjects`.

    Args:
        wanted: names the catalogue knows.
        plugins: files that enter strategies; every process loads them.
    """
    files = [file.resolve() for file in plugins]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=_begin, initargs=(files,)) as pool:
        for found in pool.map(_audit, wanted):
            yield from found


def _begin(plugins: list[Path]) -> None:
    import maskbench.masks  # noqa: F401  registers the strategies

    load_plugins(plugins)


def _audit(name: str) -> list[list[Finding]]:
    # Models of a few thousand weights: a second thread would cost more than it does.
    torch.set_num_threads(1)
    return list(audit(subjects([name])))
