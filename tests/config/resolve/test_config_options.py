from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import FULL, MINIMAL, complaint, complaints, load

from maskbench.config.schema.experiment import ArmConfig, Experiment


def arms(experiment: Experiment, panel: int = 0) -> dict[str, ArmConfig]:
    return {arm.name: arm for arm in experiment.panels[panel].arms}


def test_a_file_with_only_what_is_required_gets_every_default(tmp_path: Path) -> None:
    experiment = load(tmp_path, MINIMAL)
    (panel,) = experiment.panels
    config = panel.arms[0].config
    assert (experiment.name, experiment.seeds, experiment.question) == ("tiny", tuple(range(8)), "")
    assert (panel.name, panel.baseline, [arm.title for arm in panel.arms]) == (None, "none", ["none"])
    assert experiment.compare.metric == "test/exact_match" and experiment.compare.min_effect is None
    assert config.corpus.options == {"pairs": 100, "noise": [20]}
    assert (config.model.d_model, config.train.steps, config.train.lr) == (128, 2000, 0.001)
    assert config.evaluate.splits == ("test",) and config.masks == () and config.streams == "a"


def test_the_opening_comment_is_the_question(tmp_path: Path) -> None:
    assert load(tmp_path, FULL).question == "Does a window help?\n\nAnd is a narrow one better?"


def test_placements_are_flat_and_normalised(tmp_path: Path) -> None:
    static = arms(load(tmp_path, FULL))["static"].config.masks[0]
    both = arms(load(tmp_path, FULL))["both"].config.masks
    assert static.options == {"ratio": 0.15, "replace": "mask"}
    assert static.refresh is not None and (static.refresh.per, static.refresh.variants) == ("example", 1)
    assert both[0].layers == (0, 2) and both[0].options == {"radius": 2, "left": None}
    assert both[0].refresh is None and both[1].phases == ("eval",)


def test_a_random_strategy_without_refresh_gets_its_own(tmp_path: Path) -> None:
    moving = arms(load(tmp_path, FULL))["moving"].config.masks[0]
    assert moving.refresh is not None and moving.refresh.variants == "unlimited"
    assert moving.options["ratio"] == {"linear": [0.3, 0.0]}


def test_a_grid_makes_one_arm_per_combination(tmp_path: Path) -> None:
    grid = [arm for arm in load(tmp_path, FULL).panels[0].arms if arm.name.startswith("window-")]
    assert [arm.title for arm in grid] == [f"window(radius={r}, head={h})" for r in (1, 2) for h in (0, 2)]
    assert [arm.name for arm in grid] == [f"window-radius-{r}-head-{h}" for r in (1, 2) for h in (0, 2)]
    assert [arm.config.masks[0].options["radius"] for arm in grid] == [1, 1, 2, 2]
    assert [arm.config.masks[0].heads for arm in grid] == [(0,), (2,), (0,), (2,)]


def test_a_grid_may_run_over_settings_schedules_and_streams(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "{none: []}",
        "{none: [], g: {grid: {lr: [1e-3, 2e-3], s: [b]}, set: {train.lr: $lr}, streams: $s}, "
        "h: {grid: {ratio: [{linear: [0.5, 0.25]}]}, masks: [{site: encoder_input, mask: tokens, ratio: $ratio}]}}",
    )
    _, first, second, schedule = load(tmp_path, text).panels[0].arms
    assert (first.name, first.title, first.config.train.lr) == ("g-lr-0-001-s-b", "g(lr=0.001, s=b)", 0.001)
    assert (second.config.train.lr, second.config.streams) == (0.002, "b")
    assert schedule.title == "h(ratio={linear: [0.5, 0.25]})"


def test_a_long_grid_name_is_cut_and_stays_distinct(tmp_path: Path) -> None:
    arm = (
        "{grid: {attention_radius: [1, 2], another_long_option: [3]}, set: {train.steps: $attention_radius, "
        "train.threads: $another_long_option}}"
    )
    experiment = load(tmp_path, MINIMAL.replace("{none: []}", f"{{none: [], window: {arm}}}"))
    _, first, second = (arm.name for arm in experiment.panels[0].arms)
    assert len(first) <= 32 and first.startswith("window-attention-radius") and first != second


def test_a_grid_of_millions_is_refused_before_it_is_built(tmp_path: Path) -> None:
    keys = ", ".join(f"k{i}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for i in range(9))
    uses = ", ".join(f"$k{i}" for i in range(9))
    arm = f"{{grid: {{{keys}}}, set: {{model.x: [{uses}]}}}}"
    message = complaint(tmp_path, MINIMAL.replace("{none: []}", f"{{none: [], w: {arm}}}"))
    assert "arms.w.grid makes 1000000000 arms; at most 256 are allowed" in message


def test_panels_change_settings_and_keep_arms_and_baseline(tmp_path: Path) -> None:
    experiment = load(tmp_path, FULL)
    small, large = experiment.panels
    assert (small.name, large.name, small.baseline, large.baseline) == ("small", "large", "none", "none")
    assert [arm.name for arm in small.arms] == [arm.name for arm in large.arms]
    assert (small.arms[0].config.corpus.options["pairs"], large.arms[0].config.corpus.options["pairs"]) == (
        20,
        50,
    )
    assert (small.arms[0].config.train.epochs, large.arms[0].config.train.epochs) == (3, None)


def test_what_an_arm_sets_beside_masks_is_also_different(tmp_path: Path) -> None:
    experiment = load(tmp_path, FULL)
    assert arms(experiment)["both"].also_different == ("model.positions", "train.lr", "streams")
    assert all(arm.also_different == () for arm in experiment.panels[0].arms if arm.name != "both")
    both = arms(experiment)["both"].config
    assert (both.model.positions, both.model.d_model, both.train.lr, both.streams) == ("none", 12, 0.002, "b")


def test_an_arm_that_sets_what_the_baseline_has_is_not_different(tmp_path: Path) -> None:
    text = MINIMAL.replace("{none: []}", "{none: {set: {train.lr: 2}}, a: {set: {train.lr: 2}}, b: []}")
    assert [arm.also_different for arm in load(tmp_path, text).panels[0].arms] == [(), (), ("train.lr",)]


def test_quick_lays_its_settings_over_the_file_and_marks_the_name(tmp_path: Path) -> None:
    quick, plain = load(tmp_path, FULL, quick=True), load(tmp_path, FULL)
    assert (quick.name, quick.seeds) == ("windows-quick", (0,))
    assert [arm.name for arm in quick.panels[1].arms] == [
        *("none", "static", "window-radius-1-head-0", "window-radius-1-head-2"),
        *("window-radius-2-head-0", "window-radius-2-head-2"),
    ]
    assert quick.panels[1].arms[0].config.train.batch_tokens == 100
    assert plain.panels[1].arms[0].config.train.batch_tokens == 2048


def test_without_a_quick_block_only_the_name_changes(tmp_path: Path) -> None:
    plain = load(tmp_path, MINIMAL)
    assert load(tmp_path, MINIMAL, quick=True) == plain.model_copy(update={"name": "tiny-quick"})


def test_a_name_with_no_room_for_quick_is_refused_only_then(tmp_path: Path) -> None:
    text = MINIMAL.replace("tiny", "x" * 30)
    assert load(tmp_path, text).name == "x" * 30
    assert "is too long for --quick, which appends '-quick'" in complaint(tmp_path, text, quick=True)


PANELS = "\npanels: {a: {corpus.pairs: 50}, b: {corpus.pairs: 60}, c: {corpus.pairs: 70}}\n"


def test_quick_keeps_the_panels_it_names_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = MINIMAL + PANELS + "quick: {panels: [c, a], panels.c.corpus.pairs: 7}\n"
    quick = load(tmp_path, text, quick=True)
    assert [(p.name, p.arms[0].config.corpus.options["pairs"]) for p in quick.panels] == [("a", 50), ("c", 7)]
    assert [p.name for p in load(tmp_path, text).panels] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[d]", "quick.panels: there is no panel 'd' (panels: a, b, c)"),
        ("[{a: 1}]", "quick.panels: there is no panel"),
        ("a", "quick.panels must be a list, got 'a'"),
        ("[]", "quick.panels must name at least one panel"),
    ],
)
def test_quick_names_panels_that_exist(tmp_path: Path, value: str, message: str) -> None:
    assert message in complaint(tmp_path, MINIMAL + PANELS + f"quick: {{panels: {value}}}\n")


def test_quick_may_reach_into_a_panel(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "panels: {a: {corpus.pairs: 50}, b: {corpus.pairs: 60}}\nquick: {panels.a.corpus.pairs: 5}\n"
    )
    assert [p.arms[0].config.corpus.options["pairs"] for p in load(tmp_path, text, quick=True).panels] == [
        5,
        60,
    ]


def test_quick_settings_that_every_panel_overrules_are_an_error(tmp_path: Path) -> None:
    text = MINIMAL + "panels: {a: {corpus.pairs: 50}}\nquick: {corpus.pairs: 5}\n"
    assert (
        complaint(tmp_path, text)
        == "exp.yaml:5:9: error: corpus.pairs has no effect here: every panel sets it itself"
    )


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.lr=1e-4", "train.lr", 1e-4),
        ("train.steps=7", "train.steps", 7),
        ("model.tied=false", "model.tied", False),
        ("model.positions=none", "model.positions", "none"),
        ("evaluate.splits=[test, valid]", "evaluate.splits", ("test", "valid")),
        ("decode={length_penalty: 0.5}", "decode.length_penalty", 0.5),
    ],
)
def test_set_changes_one_key_and_its_value_is_yaml(
    override: str, key: str, value: object, tmp_path: Path
) -> None:
    config = load(tmp_path, MINIMAL, overrides=[override]).panels[0].arms[0].config
    section, _, name = key.partition(".")
    assert getattr(getattr(config, section), name) == value


def test_set_reaches_names_seeds_panels_and_placements(tmp_path: Path) -> None:
    overrides = ["name=other", "seeds=[5]", "panels.small.corpus.pairs=7", "arms.both.masks.0.radius=9"]
    experiment = load(
        tmp_path, FULL, overrides=[*overrides, "arms.both.set.train.lr=3", "arms.static.0.ratio=0.5"]
    )
    assert (experiment.name, experiment.seeds) == ("other", (5,))
    assert experiment.panels[0].arms[0].config.corpus.options["pairs"] == 7
    assert arms(experiment)["both"].config.masks[0].options["radius"] == 9
    assert arms(experiment)["both"].config.train.lr == 3.0
    assert arms(experiment)["static"].config.masks[0].options["ratio"] == 0.5


def test_a_later_set_wins_and_goes_before_quick(tmp_path: Path) -> None:
    overrides = ["train.batch_tokens=5", "train.batch_tokens=6"]
    experiment = load(tmp_path, FULL, overrides=overrides, quick=True)
    assert experiment.panels[0].arms[0].config.train.batch_tokens == 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "train.stepz=5",
            "--set train.stepz=5: error: unknown key 'stepz' in train; did you mean 'steps'? (allowed",
        ),
        ("train.steps=x", "--set train.steps=x: error: train.steps must be a whole number, got 'x'"),
        ("train.steps=", "--set train.steps=: error: train.steps must be a whole number, got nothing"),
        (
            "trian.steps=5",
            "--set trian.steps=5: error: unknown key 'trian' in the experiment; did you mean 'train'?",
        ),
        ("train", "--set train: error: must have the form KEY=VALUE, such as train.steps=100"),
        ("=5", "--set =5: error: must have the form KEY=VALUE"),
        ("train..lr=5", "--set train..lr=5: error: must have the form KEY=VALUE"),
        ("train.lr=[1", "--set train.lr=[1: error: not valid YAML: "),
        ("train.lr={a: 1, a: 2}", "--set train.lr={a: 1, a: 2}: error: key 'a' is given twice"),
        ("train.lr=!!float 1", "--set train.lr=!!float 1: error: tag '!!float' is not allowed"),
        ("train.lr=.nan", "--set train.lr=.nan: error: must be a finite number, got .nan"),
        ("name.x=5", "--set name.x=5: error: cannot set 'name.x': there is no 'x' in what is not a mapping"),
        (
            "arms.static.3.ratio=1",
            "--set arms.static.3.ratio=1: error: cannot set 'arms.static.3.ratio': '3' is no elem",
        ),
        ("train.lr=\x1b[31m", "--set train.lr=\N{REPLACEMENT CHARACTER}[31m: error: "),
    ],
)
def test_a_mistake_in_set_names_the_option(override: str, message: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, FULL, overrides=[override]).startswith(message)


def test_problems_of_several_options_and_of_the_file_are_reported_together(tmp_path: Path) -> None:
    text = MINIMAL + "lr: 1\n"
    found = complaints(tmp_path, text, overrides=["x=1", "y", "z=["], seeds="-", arms=["q"])
    places = [line.partition(": error")[0] for line in found]
    assert places == ["exp.yaml:4:1", "--arm q", "--seeds -", "--set x=1", "--set y", "--set z=["]


def test_steps_replace_epochs_and_epochs_replace_steps(tmp_path: Path) -> None:
    text = MINIMAL + "train: {steps: 5}\n"
    train = load(tmp_path, text, overrides=["train.epochs=2"]).panels[0].arms[0].config.train
    assert train.epochs == 2
    message = complaint(tmp_path, text, overrides=["train.epochs=2", "train.steps=9"])
    assert message.startswith("--set train.epochs=2: error: train: steps and epochs are both given")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        *[("4", (0, 1, 2, 3)), ("0-7", tuple(range(8))), ("1,3,5", (1, 3, 5)), ("5,", (5,)), ("3-3", (3,))],
        ("0-2, 9", (0, 1, 2, 9)),
    ],
)
def test_seeds_of_the_command_line_are_a_count_a_range_or_a_list(
    text: str, seeds: tuple[int, ...], tmp_path: Path
) -> None:
    assert load(tmp_path, FULL, seeds=text).seeds == seeds


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "7-0", "0-99999999", "1,,2", "1,1", "0-3,2", "1.5", "0", "²", "9" * 400]
)
def test_seeds_of_the_command_line_that_make_no_sense_are_refused(text: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, FULL, seeds=text).startswith("--seeds ")


def test_selected_arms_are_kept_with_the_baseline_in_file_order(tmp_path: Path) -> None:
    def names(*selected: str, quick: bool = False) -> list[str]:
        return [arm.name for arm in load(tmp_path, FULL, arms=selected, quick=quick).panels[1].arms]

    assert names("both", "static") == ["none", "static", "both"]
    assert names("window + gate") == ["none", "both"]
    assert names("window") == ["none", *(f"window-radius-{r}-head-{h}" for r in (1, 2) for h in (0, 2))]
    assert names("window(radius=1, head=2)") == ["none", "window-radius-1-head-2"]
    assert names("moving", quick=True) == ["none", "moving"]


def test_an_unknown_selected_arm_gets_the_nearest_name(tmp_path: Path) -> None:
    message = complaint(tmp_path, FULL, arms=["statik"])
    assert message.startswith(
        "--arm statik: error: no arm 'statik' in arms; did you mean 'static'? (allowed: none, "
    )


def test_arms_that_are_not_selected_are_checked_all_the_same(tmp_path: Path) -> None:
    assert "radius" in complaint(tmp_path, FULL.replace("radius: 2,", "radius: -2,"), arms=["static"])
