"""Keeping freed memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from maskbench.training.environment import keep_freed_memory
KEPT
for _ in range(12): torch.zeros(20_000_000)  # until the heap has settled: where it began is the system's choice
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): torch.zeros(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="speaks to glibc")
def test_memory_once_used_is_used_again_without_page_faults():
    code = SCRIPT.replace("KEPT", "assert keep_freed_memory()")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Five times 80 MB are 97,656 pages; a block may still be cut out of a new place once.
    assert int(run.stdout) < 40_000


def test_other_systems_are_left_as_they_are(monkeypatch):
    from maskbench.training.environment import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
