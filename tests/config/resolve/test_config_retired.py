"""The key `retired`: arms that are not trained any more, each with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import complaint, load, load_path

from maskbench.config.load import dump_resolved, load_resolved

TEXT = """\
name: tiny
corpus: {name: pairs}
arms:
  none: []
  odd: {masks: [], title: "Odd one"}
  window: {grid: {radius: [1, 3]}, masks: [{site: encoder_self, mask: window, radius: $radius}]}
panels: {small: {corpus.pairs: 20}, large: {}}
retired: RETIRED
"""


def text(retired: str) -> str:
    return TEXT.replace("RETIRED", retired)


@pytest.mark.parametrize("name", ["window-radius-2", '"window(radius=2)"'])
def test_an_arm_is_retired_by_its_folder_or_its_title(name: str, tmp_path: Path) -> None:
    experiment = load(tmp_path, text(f"{{{name}: '  too\n    narrow ', old: x}}"))
    assert [(arm.name, arm.reason) for arm in experiment.retired] == [
        ("window-radius-2", "too narrow"),
        ("old", "x"),
    ]
    assert experiment.retired[0].title == name.strip('"')
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_resolved(experiment), encoding="utf-8")
    assert load_resolved(resolved) == load_path(resolved) == experiment


def test_it_changes_no_run(tmp_path: Path) -> None:
    assert load(tmp_path, text("{old: x}")).panels == load(tmp_path, text("{}")).panels
    assert "retired" not in dump_resolved(load(tmp_path, text("{}")))


@pytest.mark.parametrize(
    ("retired", "message"),
    [
        ("{odd: slow}", "retired: 'odd' is both in arms and in retired; take it out of one of them"),
        ("{Odd one: slow}", "retired: 'Odd one' is both in arms and in retired"),
        ("{window-radius-3: slow}", "'window-radius-3' is both in arms and in retired"),
        ("{'window(radius=3)': slow}", "'window(radius=3)' is both in arms and in retired"),
        (
            "{window: slow}",
            "'window' names the arms of a grid in arms; name the arm that is retired, such as window-radius-1",
        ),
        ("{old: ''}", "retired.old must say why it was retired, in 1 to 300 characters, got ''"),
        ("{old: ' '}", "retired.old must say why it was retired"),
        ("{old: null}", "retired.old must say why it was retired"),
        ("{old: 3}", "retired.old must say why it was retired, in 1 to 300 characters, got 3"),
        (f"{{old: {'x' * 301}}}", "retired.old must say why it was retired"),
        ("{'a(b=1)': x, a-b-1: y}", "'a(b=1)' and 'a-b-1' are one arm"),
        ("[old]", "retired must be a mapping"),
        ("{'': x}", "retired arm ''"),
    ],
)
def test_what_says_nothing_or_two_things_is_refused(retired: str, message: str, tmp_path: Path) -> None:
    found = complaint(tmp_path, text(retired))
    assert message in found and ":8:" in found


def test_a_retired_arm_is_not_chosen(tmp_path: Path) -> None:
    expected = "arm 'old' is retired (too slow): it is not trained any more"
    assert expected in complaint(tmp_path, text("{old: too slow}"), arms=["old"])
    assert expected in complaint(tmp_path, text("{old: too slow}") + "quick: {arms: [none, old]}\n")
