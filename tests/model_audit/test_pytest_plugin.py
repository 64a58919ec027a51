"""The fixture that pytest finds by itself."""

from __future__ import annotations

from controls import control


def test_the_fixture_returns_findings(model_audit):
    (finding,) = model_audit(control("causal mask forgotten"), ["causality"])
    assert finding.passed is False
    assert [f.passed for f in model_audit(control(), ["causality", "batch order"])] == [True, True]
