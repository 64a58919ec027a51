"""What a table says about soft masks that were off while a model was evaluated under others' masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import arm_config, experiment, scored, write

import maskbench.masks  # noqa: F401  registers the strategies
from maskbench.comparison.checks.borrowed_masks import RECORDED_BEFORE
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.config.resolve.kept_masks import is_soft
from maskbench.config.schema.experiment import ArmConfig, EvaluateConfig, PlacementConfig
from maskbench.registry import MASKS

METRIC = "test@window/token_accuracy"
WINDOW = PlacementConfig(site="encoder_self", mask="window", options={"radius": 1})
T5 = PlacementConfig(site="encoder_self", mask="t5_bias")
ALIBI = PlacementConfig(site="decoder_self", mask="alibi")
TRAINED = PlacementConfig(site="encoder_self", mask="alibi", phases=("train",))


def borrower(name: str, *masks: PlacementConfig, keep: tuple[str, ...] = ()) -> ArmConfig:
    config = arm_config(name, 0).config
    evaluate = EvaluateConfig(masks=("own", "window"), keep=keep)
    update = {"masks": masks, "under": {"window": (WINDOW,)}, "evaluate": evaluate}
    return ArmConfig(name=name, title=name, config=config.model_copy(update=update))


def tabulated(
    root: Path, metric: str, keep: tuple[str, ...] = (), recorded: dict[str, list[str]] | None = None
) -> Comparison:
    wanted = experiment(["none", "rel"], 2, metric=metric)
    arms = (
        borrower("none", TRAINED, keep=keep),
        borrower("rel", WINDOW, T5, ALIBI, keep=keep),
        borrower("window", WINDOW, keep=keep),
    )
    panel = wanted.panels[0].model_copy(update={"arms": arms})
    wanted = wanted.model_copy(update={"panels": (panel,)})
    run = scored(0.5, metric=metric).with_(metrics={METRIC: 0.5, "test/bleu": 20.0})
    found = write(root, wanted, {arm.name: [run.with_(losses=arm.name)] for arm in arms})
    if recorded is not None:
        path = found / "rel" / "seed-0" / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "masks_off": recorded}))
    (comparison,) = compare([found], ComparisonOptions())
    return comparison


def said(sentences: tuple[str, ...]) -> list[str]:
    return [sentence for sentence in sentences if sentence.startswith("masks switched off")]


OLD = f"masks switched off: {METRIC} leaves out soft masks with which these arms were trained: rel ("


def test_results_from_before_say_above_the_table_which_masks_were_off(tmp_path: Path) -> None:
    found = tabulated(tmp_path, METRIC)
    (alarm,) = said(found.alarms)
    assert alarm.startswith(OLD + "t5_bias at encoder_self, alibi at decoder_self);")
    assert "`evaluate.keep: soft`" in alarm
    assert not said(found.warnings)


def test_what_a_run_recorded_counts_more_than_what_the_names_tell(tmp_path: Path) -> None:
    found = tabulated(tmp_path, METRIC, ("t5_bias",), {"window": ["a_plugin at cross"]})
    assert said(found.alarms)[0].startswith(OLD + "a_plugin at cross);")


def test_masks_that_are_kept_are_not_said_to_be_off(tmp_path: Path) -> None:
    assert said(tabulated(tmp_path / "a", METRIC, ("t5_bias",)).alarms)[0].startswith(
        OLD + "alibi at decoder_self);"
    )
    everything = tabulated(tmp_path / "b", METRIC, ("alibi", "t5_bias"))
    assert not said(everything.alarms) and not said(everything.warnings)


def test_where_another_metric_is_compared_it_is_said_below_the_table(tmp_path: Path) -> None:
    found = tabulated(tmp_path, "test/bleu")
    assert not said(found.alarms)
    assert "split@window/" in said(found.warnings)[0]


@pytest.mark.parametrize("keep", [(), ("window",)])
def test_masks_that_are_not_lent_are_said(keep: tuple[str, ...], tmp_path: Path) -> None:
    sentences = [s for s in tabulated(tmp_path, METRIC, keep).warnings if s.startswith("not lent")]
    expected = "not lent: of the masks of window, window at encoder_self does not act in none: evaluate.keep does not exchange it"
    assert sentences == ([expected] if keep else [])


def test_the_names_from_before_are_those_of_every_soft_strategy() -> None:
    own = {name for name in MASKS if MASKS[name].__module__.startswith("maskbench.")}
    assert {name for name in own if is_soft(MASKS[name])} == RECORDED_BEFORE
