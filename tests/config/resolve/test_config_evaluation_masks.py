"""What `evaluate.masks` names: arms, grids, no masks, and masks of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import complaint, load, load_path

from maskbench.config.load import dump_resolved, load_resolved
from maskbench.config.schema.experiment import PlacementConfig, RunConfig

TEXT = """\
name: lend
corpus: {name: pairs}
model: {n_heads: 4, encoder_layers: 2}
baseline: plain
evaluate: {masks: [own, MASKS]}
arms:
  plain: []
  leaky: [{site: encoder_self, mask: window, radius: 3, apply: raw, unsafe: true}]
  window:
    grid: {radius: [1, 2]}
    masks: [{site: encoder_self, mask: window, radius: $radius, layers: [1]}]
quick: {arms: [plain]}
"""


def text(masks: str, further: str = "") -> str:
    return TEXT.replace("MASKS", masks) + further


def radii(config: RunConfig) -> dict[str, list[int]]:
    return {name: [p.options["radius"] for p in masks] for name, masks in config.under.items()}


def test_every_arm_borrows_the_same_masks_and_a_grid_lends_those_of_all_its_arms(tmp_path: Path) -> None:
    found = load(tmp_path, text("none, window, leaky")).panels[0].arms
    assert [arm.name for arm in found] == ["plain", "leaky", "window-radius-1", "window-radius-2"]
    for arm in found:
        names = ("own", "none", "window-radius-1", "window-radius-2", "leaky")
        assert arm.config.evaluate.masks == names
        assert radii(arm.config) == {
            "none": [],
            "window-radius-1": [1],
            "window-radius-2": [2],
            "leaky": [3],
        }
        assert arm.also_different == ()
    assert found[0].config.under["leaky"] == found[1].config.masks
    assert load(tmp_path, TEXT.replace(", MASKS", "")).panels[0].arms[0].config.under == {}


def test_an_arm_of_a_grid_can_be_named_alone(tmp_path: Path) -> None:
    for name in ("window-radius-2", "window(radius=2)"):
        arm = load(tmp_path, text(f'"{name}"')).panels[0].arms[0]
        assert radii(arm.config) == {"window-radius-2": [2]}


def test_an_arm_called_none_is_that_arm_and_not_no_masks(tmp_path: Path) -> None:
    renamed = text("none").replace("leaky:", "none:")
    assert radii(load(tmp_path, renamed).panels[0].arms[0].config) == {"none": [3]}


def test_masks_that_no_arm_has_can_be_written_down(tmp_path: Path) -> None:
    arm = load(tmp_path, text("{closed: [{site: encoder_self, mask: window, radius: 0}]}")).panels[0].arms[0]
    assert arm.config.evaluate.masks == ("own", "closed")
    assert radii(arm.config) == {"closed": [0]}


@pytest.mark.parametrize("masks", ["none, window", "leaky", "{closed: [{site: memory, mask: gate}]}, plain"])
@pytest.mark.parametrize("quick", [False, True])
def test_a_resolved_file_says_what_was_lent_even_by_arms_that_are_left_out(
    tmp_path: Path, masks: str, quick: bool
) -> None:
    panels = "panels: {a: {}, b: {evaluate.masks: [own]}, c: {evaluate.masks: [own, leaky]}}\n"
    experiment = load(tmp_path, text(masks, panels), quick=quick)
    assert [arm.name for arm in experiment.panels[0].arms][1:] == ([] if quick else ["leaky", *WINDOWS])
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_resolved(experiment), encoding="utf-8")
    assert load_resolved(path) == experiment
    assert load_path(path) == experiment


WINDOWS = ["window-radius-1", "window-radius-2"]


def test_a_selection_of_arms_changes_no_run(tmp_path: Path) -> None:
    whole = load(tmp_path, text("none, window")).panels[0].arms
    part = load(tmp_path, text("none, window"), arms=["leaky"]).panels[0].arms
    assert part == whole[:2]


def test_masks_that_do_not_fit_the_borrowers_model_are_refused(tmp_path: Path) -> None:
    narrow = text("window").replace(
        "plain: []", "plain: []\n  small: {masks: [], set: {model.encoder_layers: 1}}"
    )
    expected = "evaluate.masks, in the model of 'small': arms.window[0]: there is no layer 1 at encoder_self"
    assert expected in complaint(tmp_path, narrow)


def test_a_metric_under_other_masks_can_be_compared(tmp_path: Path) -> None:
    compared = text("window", 'compare: {metric: "test@window-radius-2/nll"}\n')
    assert load(tmp_path, compared).compare.metric == "test@window-radius-2/nll"
    found = complaint(tmp_path, compared.replace("window-radius-2/", "window/"))
    assert "needs the masks of 'window' to be evaluated (evaluate.masks: own, window-radius-1," in found


def test_lent_masks_are_part_of_what_a_run_is_but_not_that_they_leak(tmp_path: Path) -> None:
    bare = load(tmp_path, TEXT.replace(", MASKS", "")).panels[0].arms[0].config
    config = load(tmp_path, text("leaky")).panels[0].arms[0].config
    assert "under" not in bare.identity()
    identity = config.identity()
    assert identity["under"]["leaky"][0]["options"]["radius"] == 3
    other = {"leaky": (config.under["leaky"][0].model_copy(update={"unsafe": False}),)}
    assert config.model_copy(update={"under": other}).identity() == identity
    wider = PlacementConfig(site="encoder_self", mask="window", options={"radius": 4})
    assert config.model_copy(update={"under": {"leaky": (wider,)}}).identity() != identity
