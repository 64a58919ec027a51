"""The mutants are up to date, and (in the slow tier) every one of them is noticed by a test."""

from __future__ import annotations

import ast

import pytest
from mutants import MUTANTS, ROOT, run_all, stands_once


@pytest.mark.parametrize("mutant", MUTANTS, ids=[f"{m.family}-{m.kind}-{i}" for i, m in enumerate(MUTANTS)])
def test_a_mutant_still_applies(mutant) -> None:
    assert stands_once(mutant), f"{mutant.file} no longer has {mutant.old!r} once; mend the mutant"
    text = (ROOT / "maskbench" / mutant.file).read_text(encoding="utf-8")
    ast.parse(text.replace(mutant.old, mutant.new))
    files = mutant.tests.partition(" -k ")[0].split()
    assert all((ROOT / "tests" / file).exists() for file in files)


@pytest.mark.slow
def test_every_mutant_is_caught() -> None:
    missed = [o for o in run_all(MUTANTS) if not o.test]
    assert not missed, "\n".join(f"{o.mutant.file}: {o.mutant.old!r}: {o.said}" for o in missed)
