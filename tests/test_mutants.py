"""The mutants are up to date, and (in the slow tier) every one of them is noticed by a test."""

from __future__ import annotations

import ast

import pytest
from mutants import MUTANTS, ROOT, run_all, stands_once


def test_every_mutant_still_applies() -> None:
    lost = [f"{m.family}: {m.file} no longer has {m.old!r} once" for m in MUTANTS if not stands_once(m)]
    assert not lost, "mend the mutants: " + "\n".join(lost)
    for mutant in MUTANTS:
        text = (ROOT / "maskbench" / mutant.file).read_text(encoding="utf-8")
        ast.parse(text.replace(mutant.old, mutant.new), f"{mutant.file}, with {mutant.new!r}")
        files = mutant.tests.partition(" -k ")[0].split()
        assert all((ROOT / "tests" / file).exists() for file in files), mutant


@pytest.mark.slow
def test_every_mutant_is_caught() -> None:
    missed = [o for o in run_all(MUTANTS) if not o.test]
    assert not missed, "\n".join(f"{o.mutant.file}: {o.mutant.old!r}: {o.said}" for o in missed)
