"""What a run starts from and what of it is trained, as an arm of the file says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import arms_file, complaint, load, load_path

from maskbench.config.load import dump_resolved, load_resolved
from maskbench.config.schema.experiment import ArmConfig


def arms(folder: Path, arm: str) -> list[ArmConfig]:
    return list(load(folder, arms_file(f"  a: {arm}\n")).panels[0].arms)


def test_an_arm_may_start_from_a_run_and_train_a_part(tmp_path: Path) -> None:
    none, tuned = arms(tmp_path, '{init_from: runs/other/none, train_only: [decoder.*, "masks.*"]}')
    assert (none.config.init_from, none.config.train_only) == (None, None)
    assert tuned.config.init_from == "runs/other/none"
    assert tuned.config.train_only == ("decoder.*", "masks.*")
    assert tuned.also_different == ("init_from", "train_only")


def test_a_grid_may_run_over_where_to_start_and_what_to_train(tmp_path: Path) -> None:
    arm = (
        "{grid: {from: [~, runs/x/none], part: [[decoder.*], [encoder.*, decoder.*]], side: [words.*]}, "
        "init_from: $from, train_only: $part, masks: [{site: memory, mask: gate}], set: {train.lr: 1}, streams: b}"
    )
    with pytest.raises(Exception, match="grid key 'side' is not used"):
        arms(tmp_path, arm)
    _, *found = arms(tmp_path, arm.replace(", side: [words.*]", ""))
    assert [(one.config.init_from, one.config.train_only) for one in found] == [
        (None, ("decoder.*",)),
        (None, ("encoder.*", "decoder.*")),
        ("runs/x/none", ("decoder.*",)),
        ("runs/x/none", ("encoder.*", "decoder.*")),
    ]
    assert found[2].title == "a(from=runs/x/none, part=[decoder.*])"


def test_where_the_weights_lie_is_no_part_of_a_runs_identity_what_is_trained_is(tmp_path: Path) -> None:
    cold, warm = arms(tmp_path, "{init_from: runs/other/none}")
    assert warm.config.identity() == cold.config.identity()
    _, part = arms(tmp_path, "{train_only: [decoder.*]}")
    assert part.config.identity() == cold.config.identity() | {"train_only": ["decoder.*"]}


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("{init_from: 5}", "18: error: arms.a.init_from must be text, got 5; put it in quotes"),
        ("{init_from: ''}", "18: error: arms.a.init_from must have at least 1 character(s), got ''"),
        ('{init_from: "a\\nb"}', "18: error: arms.a.init_from must be a path on one line"),
        ("{init_from: [x]}", "18: error: arms.a.init_from must be text, got a list of 1"),
        ("{train_only: decoder.*}", "19: error: arms.a.train_only must be a list, got 'decoder.*'"),
        (
            "{train_only: []}",
            "19: error: arms.a.train_only must have at least 1 element(s), got an empty list",
        ),
        ("{train_only: [a, 5]}", "23: error: arms.a.train_only[1] must be text, got 5; put it in quotes"),
        ("{train_only: [a, a]}", "19: error: arms.a.train_only names 'a' twice"),
        ("{train_only: ['']}", "19: error: arms.a.train_only must hold patterns"),
        (
            "{masks: [], init_form: x}",
            "18: error: unknown key 'init_form' in arm 'a'; did you mean 'init_from'?",
        ),
        ("{init_from: $w}", "18: error: $w stands for a grid value, but arm 'a' has no grid"),
        (
            "{init_from: $w, grid: {v: [x]}, streams: $v}",
            "18: error: $w is no key of arms.a.grid",
        ),
        ("{init_from: $w, grid: {w: [x, 5]}}", "36: error: arms.a.init_from must be text, got 5"),
    ],
)
def test_mistakes_have_their_place(arm: str, message: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, arms_file(f"  a: {arm}\n")).startswith(f"exp.yaml:5:{message}")


def test_a_resolved_file_keeps_both(tmp_path: Path) -> None:
    text = arms_file(
        "  a: {init_from: '010', train_only: ['*', '~']}\n  b: {train_only: [x]}\n  c: {init_from: no}\n",
        "panels: {one: {}, two: {train.lr: 0.5}}\n",
    )
    experiment = load(tmp_path, text)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_resolved(experiment), encoding="utf-8")
    assert load_path(resolved) == load_resolved(resolved) == experiment
    assert experiment.panels[1].arms[1].config.init_from == "010"


def test_calling_a_placement_unsafe_changes_no_run(tmp_path: Path) -> None:
    placement = "site: encoder_self, mask: window, radius: 2"
    named, plain, leaky = (
        arms(tmp_path, f"[{{{placement}{extra}}}]")[1].config
        for extra in (", unsafe: true", "", ", unsafe: true, apply: raw")
    )
    assert named.identity() == plain.identity() != leaky.identity()
