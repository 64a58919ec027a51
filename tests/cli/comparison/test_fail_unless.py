"""What a comparison is required to say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_comparisons import comparison, difference, every_verdict, row

from maskbench.cli.comparison.fail_unless import VERDICTS, alarm_lines, unmet_demands
from maskbench.errors import ConfigError

FOUND = every_verdict()
MET = [
    "dynamic better",
    "dynamic not worse",
    "dynamic better|equivalent",
    "window-1 worse | better",
    "none equivalent",
    "twin identical",
    "noise not better",
    "noise inconclusive",
    "late not testable",
    "late not_testable",
    "broken unusable",
    "  dynamic   better  ",
]
NOT_MET = [
    "dynamic worse",
    "dynamic not better",
    "dynamic not worse|better",
    "window-1 not worse",
    "noise better",
    "late better",
    # A gate must not open because the runs broke.
    "late not worse",
    "broken not worse",
    "late not not testable",
]


@pytest.mark.parametrize("demand", MET)
def test_a_demand_that_is_met_is_silent(demand):
    assert unmet_demands([demand], [FOUND]) == []


@pytest.mark.parametrize("demand", NOT_MET)
def test_a_demand_that_is_not_met_says_what_is(demand):
    (sentence,) = unmet_demands([demand], [FOUND])
    arm, verdict = demand.split()[0], next(r.verdict for r in FOUND.rows if r.arm == demand.split()[0])
    assert sentence.startswith(f"not met: {demand!r} in made / small: {arm} is {verdict} ")


@pytest.mark.parametrize(("verdict", "demand"), [(v, v) for v in VERDICTS])
def test_every_verdict_can_be_asked_for(verdict, demand):
    found = comparison(row("base"), row("x", difference(0.1, 0.0, 0.2), verdict))
    assert unmet_demands([f"x {demand}"], [found]) == []


def test_alarms_are_told_of_whatever_is_demanded():
    assert alarm_lines([FOUND]) == ["alarm: made / small: leak alarm: window-1 sees what it should not"]
    assert alarm_lines([replace(FOUND, alarms=())]) == []


def test_all_shortfalls_are_told_at_once():
    assert len(unmet_demands(["dynamic worse", "none better", "twin identical"], [FOUND])) == 2


def test_every_panel_that_has_the_arm_must_meet_it():
    other = replace(FOUND, panel="large", rows=(FOUND.rows[0], replace(FOUND.rows[1], verdict="worse")))
    assert unmet_demands(["none equivalent"], [FOUND, other]) == []
    (sentence,) = unmet_demands(["dynamic better"], [FOUND, other])
    assert "made / large" in sentence


def test_titles_with_spaces_and_verdicts_in_them_are_names_too():
    arms = [
        row("a", difference(0.1), "worse", title="top"),
        row("b", difference(0.1), "better", title="top better"),
    ]
    found = comparison(row("base"), *arms)
    assert unmet_demands(["top better better", "top worse", "b better"], [found]) == []
    assert len(unmet_demands(["top better worse"], [found])) == 1


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (
            "dynamik better",
            "no arm named 'dynamik'; did you mean 'dynamic'? (arms with a verdict: dynamic, window-1,",
        ),
        ("static better", "static is the baseline, which gets no verdict"),
        ("dynamic", "lacks a verdict, such as 'dynamic better'"),
        ("dynamic beter", "no verdict is called 'beter'; did you mean 'better'?"),
        ("dynamic not", "no verdict is called 'not'"),
        ("dynamic better|", "no verdict is called ''"),
        ("", "no arm named ''"),
    ],
)
def test_what_names_nothing_is_a_mistake(demand, message):
    with pytest.raises(ConfigError) as error:
        unmet_demands(["twin better", demand], [FOUND])
    assert message in str(error.value)
