"""`maskbench audit`: what it prints where, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maskbench.cli.main import app

FILE = """
name: trial
baseline: none
corpus: {{name: copy, pairs: 64, valid: 8, test: 8, symbols: 7, max_length: 5}}
model: {{d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}}
arms: {{none: [], other: [{arm}]}}
"""
PLUGIN = '''
"""A mask that looks ahead."""
from typing import Any
from torch import Tensor
from maskbench.masks.base import AttentionMask, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.registry import MASKS

class NoOptions(StrategyOptions):
    """None."""

@MASKS.register("looks_ahead")
class LooksAhead(AttentionMask):
    """Hides the first key from every query that is followed by an even word."""

    sites = frozenset({"decoder_self"})
    depends_on = frozenset({"input"})
    may_empty_rows = True
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def mask_mod(self, options: Any, ctx: AttentionContext) -> Any:
        raise AssertionError("it answers with a tensor")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        even = (r.tgt_ids.roll(-1, 1) % 2 == 0)[:, r.q_idx]
        return ~(even[:, None, :, None] & (r.kv_idx == 0))
'''


def invoke(*arguments: object) -> Result:
    environment = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], env=environment)


def written(tmp_path: Path, arm: str) -> Path:
    path = tmp_path / "trial.yaml"
    path.write_text(FILE.format(arm=arm), encoding="utf-8")
    return path


def test_a_safe_strategy_has_a_row_for_each_site_and_exits_with_0() -> None:
    result = invoke("alibi")
    assert result.exit_code == 0, result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("alibi")]
    assert [row[1] for row in rows] == ["dec", "enc"]
    assert "every promise is kept" in result.stdout
    assert "\x1b" not in result.stdout and all(line == line.rstrip() for line in result.stdout.splitlines())


def test_a_leaking_arm_exits_with_3_though_it_is_declared_and_the_leak_is_a_number(tmp_path: Path) -> None:
    file = written(tmp_path, "{site: decoder_self, mask: window, radius: 1, apply: raw, unsafe: true}")
    result = invoke(file, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 3, result.output
    line = next(
        line for line in result.stdout.splitlines() if line.startswith("other at decoder_self: causality")
    )
    assert float(line.split(": ")[2].split()[0]) > 1e-3
    assert "promises are broken" in result.stdout.splitlines()[-1]


def test_json_has_every_proof(tmp_path: Path) -> None:
    file = written(tmp_path, "{site: encoder_self, mask: window, radius: 1}")
    result = invoke(file, "--json", "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {entry["arm"] for entry in found} == {"none", "other"}
    keys = {"arm", "site", "proof", "dtype", "passed", "value", "limit", "detail"}
    assert all(set(entry) == keys for entry in found)
    causality = [e for e in found if e["proof"] == "causality" and e["arm"] == "other"]
    assert [(e["dtype"], e["value"], e["passed"]) for e in causality] == [
        ("float64", 0.0, True),
        ("float32", 0.0, True),
    ]


def test_an_unknown_name_is_told_with_the_nearest_one() -> None:
    result = invoke("windw")
    assert result.exit_code == 2
    assert (
        "no mask strategy, preset or experiment file named 'windw'; did you mean 'window'?" in result.stderr
    )


@pytest.mark.parametrize("arguments", [(), ("window", "--all")])
def test_nothing_or_too_much_to_audit_is_said(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2 and "--all" in result.stderr


def test_a_plug_in_is_audited_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskbench import plugins
    from maskbench.registry import MASKS

    # What this process has loaded is written into every run it makes, those of later tests too.
    monkeypatch.setattr(plugins, "_loaded", dict(plugins._loaded))
    monkeypatch.setattr(MASKS, "_entries", dict(MASKS))
    path = tmp_path / "looks.py"
    path.write_text(PLUGIN, encoding="utf-8")
    result = invoke("looks_ahead", "--plugin", path)
    assert result.exit_code == 3, result.output
    assert "looks_ahead at decoder_self: causality, float64" in result.stdout
