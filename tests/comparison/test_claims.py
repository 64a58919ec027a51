"""What runs say of claims: the file they stand in, and the rules by which a claim is supported, refuted or open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, scored, write, write_costs

from maskbench.comparison.claims import Judgement, judge_claims
from maskbench.config.schema.claims import Claim, Limit, load_claims
from maskbench.errors import ConfigError

# No two alike, because runs of different seeds never are.
BASE = (0.50, 0.5100001, 0.4900002, 0.5200003, 0.5000004, 0.4800005, 0.5300006)
LINE = 'says: "It is better.", source: article 9, experiment: fake, arm: up'


def claim(**changes: object) -> Claim:
    settings: dict[str, object] = {
        "says": "Up is better.",
        "source": "article 9",
        "experiment": "fake",
        "arm": "up",
        "metric": "test/exact_match",
        "expects": "higher",
        "min_effect": 0.01,
    }
    return Claim.model_validate({**settings, **changes})


def limit(**changes: object) -> Claim:
    return claim(**{"min_effect": None, **changes})


def runs(root: Path, gains: list[float | None], metric: str = "test/exact_match") -> Path:
    """An arm `up` that differs from the baseline `none` by the gains, and an arm `same`; None: no such run."""
    up = [
        None if gain is None else scored(base + gain, metric=metric)
        for base, gain in zip(BASE, gains, strict=False)
    ]
    rows: dict[str, list[FakeRun | None]] = {
        "none": [scored(base, metric=metric) for base in BASE[: len(gains)]],
        "up": up,
        "same": [scored(base, metric=metric) for base in BASE[: len(gains)]],
    }
    write(root, experiment(["none", "up", "same"], len(gains), metric=metric), rows)
    return root


def judged(root: Path, one: Claim) -> Judgement:
    (judgement,) = judge_claims({"one": one}, root)
    return judgement


UP = [0.05, 0.06, 0.04, 0.05, 0.07, 0.05, 0.06]
TINY = [0.002, 0.003, 0.001, 0.002, 0.003, 0.002, 0.001]
NOISE = [0.05, -0.06, 0.04, -0.05, 0.07, -0.05, 0.01]


@pytest.mark.parametrize(
    ("gains", "higher", "lower", "no_difference"),
    [
        (UP, "supported", "refuted", "refuted"),
        ([-gain for gain in UP], "refuted", "supported", "refuted"),
        # Real, as all seven say, but a fifth of what matters: the claim was of more.
        (TINY, "refuted", "refuted", "supported"),
        ([0.001, -0.002, 0.003, -0.001, 0.002, -0.003, 0.001], "refuted", "refuted", "supported"),
        (NOISE, "undecided", "undecided", "undecided"),
        (UP[:6], "undecided", "undecided", "undecided"),
        ([*UP[:6], None], "undecided", "undecided", "undecided"),
    ],
    ids=["up", "down", "too small", "equivalent", "noise", "too few seeds", "one run missing"],
)
def test_a_claim_follows_the_verdict(
    tmp_path: Path, gains: list[float | None], higher: str, lower: str, no_difference: str
) -> None:
    runs(tmp_path, gains)
    for expects, status in (("higher", higher), ("lower", lower), ("no difference", no_difference)):
        assert judged(tmp_path, claim(expects=expects)).status == status, expects


@pytest.mark.parametrize(("expects", "status"), [("higher", "supported"), ("lower", "refuted")])
def test_a_direction_is_that_of_the_metric_and_not_of_what_is_better(
    tmp_path: Path, expects: str, status: str
) -> None:
    runs(tmp_path, UP, "test/nll")
    judgement = judged(tmp_path, claim(metric="test/nll", expects=expects))
    assert (judgement.status, judgement.row and judgement.row.verdict) == (status, "worse")


def test_an_arm_that_does_what_the_other_does_makes_no_difference(tmp_path: Path) -> None:
    runs(tmp_path, UP)
    found = {
        expects: judged(tmp_path, claim(arm="same", expects=expects))
        for expects in ("higher", "no difference")
    }
    assert {expects: (one.status, one.reason) for expects, one in found.items()} == {
        "higher": ("refuted", "identical: it does exactly what the other does"),
        "no difference": ("supported", "identical: it does exactly what the other does"),
    }


def planned(root: Path, *plans: tuple[list[int], int]) -> None:
    """Write what was planned: seeds, and the results there were by then."""
    lines = [
        {"seeds": seeds, "rule": "fixed", "limit": None, "closed": {}, "results": results}
        for seeds, results in plans
    ]
    (root / "fake/plans.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    "expects", ["higher", "lower", "no difference", Limit.model_validate({"above": 0.5})]
)
def test_chosen_seeds_leave_a_claim_open(tmp_path: Path, expects: object) -> None:
    runs(tmp_path, UP)
    now = list(range(7))
    planned(tmp_path, (now, 0))
    one = limit(expects=expects) if isinstance(expects, Limit) else claim(expects=expects)
    assert judged(tmp_path, one).status != "undecided"
    planned(tmp_path, ([*now, 7], 0), (now, 16))
    found = judged(tmp_path, one)
    assert found.status == "undecided" and "shortened after seeing results: seed 7" in found.reason


def test_only_an_alarm_about_the_arms_of_a_claim_leaves_it_open(tmp_path: Path) -> None:
    up = [scored(base + gain) for base, gain in zip(BASE, UP, strict=True)]
    rows: dict[str, list[FakeRun | None]] = {
        "none": [scored(base) for base in BASE],
        "up": list(up),
        "twice": [scored(0.58) for _ in BASE],
    }
    write(tmp_path, experiment(["none", "up", "twice"], 7), rows)
    found = judged(tmp_path, claim())
    assert found.comparison is not None and found.comparison.alarms
    assert found.status == "supported"
    other = judged(tmp_path, claim(arm="twice"))
    assert (
        other.reason.startswith("higher, as claimed; duplicate seeds: twice") and other.status == "undecided"
    )


def test_one_identical_pair_is_no_proof_of_sameness(tmp_path: Path) -> None:
    runs(tmp_path, UP[:1])
    assert judged(tmp_path, claim(arm="same", expects="no difference")).status == "undecided"


def test_equal_scores_of_different_outputs_stay_open(tmp_path: Path) -> None:
    rows = {name: [scored(1.0, outputs=f"{name} {i}") for i, _ in enumerate(BASE)] for name in ("none", "up")}
    write(tmp_path, experiment(["none", "up"], 7), rows)
    assert judged(tmp_path, claim(expects="no difference")).status == "undecided"
    assert judged(tmp_path, claim()).reason.startswith("tied")


def test_the_difference_is_held_against_the_named_arm(tmp_path: Path) -> None:
    runs(tmp_path, UP)
    judgement = judged(tmp_path, claim(arm="none", against="up", expects="lower"))
    assert judgement.status == "supported"
    assert judgement.document()["evidence"]["difference"] == pytest.approx(-sum(UP) / 7)


def test_p_is_corrected_for_all_arms_of_the_experiment(tmp_path: Path) -> None:
    runs(tmp_path, UP)
    # All seven signs agree: 2 of 128 sign vectors are as extreme, times two arms (`same` is one of them).
    assert judged(tmp_path, claim()).document()["evidence"]["p_holm"] == pytest.approx(2 * 2 / 128)


def test_what_matters_is_the_claim_s_and_not_the_experiment_s(tmp_path: Path) -> None:
    runs(tmp_path, TINY)
    assert judged(tmp_path, claim(min_effect=0.0005)).status == "supported"
    assert judged(tmp_path, claim(min_effect=0.01)).status == "refuted"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (claim(experiment="other"), "not run yet: there is no "),
        (claim(panel="small"), "has no panel small"),
        (claim(arm="down"), "without the arm down"),
        (claim(arm="none"), "none is the baseline"),
        (claim(against="down"), "no arm named 'down'"),
        (claim(metric="test/chrf"), "no run has measured the metric 'test/chrf'"),
        (claim(metric="long/exact_match"), "no run has measured the metric"),
    ],
)
def test_what_is_not_there_leaves_a_claim_open_and_says_so(tmp_path: Path, one: Claim, reason: str) -> None:
    judgement = judged(runs(tmp_path, UP), one)
    assert judgement.status == "undecided" and reason in judgement.reason
    assert judgement.document()["evidence"] is None


def test_a_damaged_experiment_leaves_a_claim_open(tmp_path: Path) -> None:
    runs(tmp_path, UP)
    (tmp_path / "fake" / "experiment.yaml").write_text("name: [", encoding="utf-8")
    judgement = judged(tmp_path, claim())
    assert judgement.status == "undecided" and "not valid YAML" in judgement.reason


@pytest.mark.parametrize(
    ("gains", "expects", "status"),
    [
        ([0.30, 0.31, 0.29], {"above": 0.77}, "supported"),
        ([0.30, 0.31, 0.29], {"above": 0.79}, "undecided"),
        ([0.30, 0.31, 0.29], {"above": 0.9}, "refuted"),
        ([0.30, 0.31, 0.29], {"below": 0.9}, "supported"),
        ([0.30, 0.31, 0.29], {"below": 0.77}, "refuted"),
        ([0.30, 0.31, None], {"above": 0.1}, "undecided"),
        ([0.30, 0.31, None], {"above": 0.9}, "undecided"),
    ],
)
def test_a_limit_must_hold_with_every_seed(
    tmp_path: Path, gains: list[float | None], expects: dict[str, float], status: str
) -> None:
    # The values are 0.80, 0.82 and 0.78.
    assert judged(runs(tmp_path, gains), limit(expects=expects)).status == status


def test_a_value_at_the_limit_lies_on_neither_side() -> None:
    assert not Limit(above=0.5).holds(0.5) and not Limit(below=0.5).holds(0.5)


def test_a_limit_may_be_claimed_of_the_baseline(tmp_path: Path) -> None:
    assert judged(runs(tmp_path, UP), limit(arm="none", expects={"below": 0.54})).status == "supported"


def test_the_time_of_a_step_is_relative_to_the_other_arm(tmp_path: Path) -> None:
    faster = limit(metric="step_time", against="same", expects={"below": 0.95})
    runs(tmp_path, UP)
    assert judged(tmp_path, faster).reason == "the cost of a step was not measured"
    write_costs(tmp_path / "fake", {"none": 1.0, "up": 1.2, "same": 1.5})
    judgement = judged(tmp_path, faster)
    assert (judgement.status, judgement.reason) == ("supported", "0.80, measured once")
    assert judged(tmp_path, limit(metric="step_time", expects={"below": 0.95})).status == "refuted"


def test_a_document_is_json_with_claim_and_evidence(tmp_path: Path) -> None:
    document = json.loads(json.dumps(judged(runs(tmp_path, UP), claim()).document()))
    assert document["claim"] == "one" and document["expects"] == "higher" and document["min_effect"] == 0.01
    evidence = document["evidence"]
    assert (evidence["pairs"], evidence["verdict"]) == (7, "better")
    assert evidence["low"] > 0 and evidence["values"]["0"] == pytest.approx(0.55)


def load(tmp_path: Path, text: str) -> dict[str, Claim]:
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return load_claims(path)


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    text = (
        f"claims:\n  b: {{{LINE}, metric: test/bleu, expects: higher, min_effect: 1}}\n"
        f"  a: {{{LINE}, metric: step_time, expects: {{below: 0.9}}}}\n"
    )
    claims = load(tmp_path, text)
    assert list(claims) == ["b", "a"]
    assert (claims["b"].min_effect, claims["b"].panel, claims["b"].against) == (1.0, None, None)
    assert claims["a"].expects == Limit(below=0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: {}", ":1:9: error: claims must hold at least one claim"),
        ("claim: {}", ":1:1: error: unknown key 'claim' in a file of claims; did you mean 'claims'?"),
        ("[]", ":1:1: error: a file of claims must be a mapping"),
        ("claims: {A b: {}}", ":1:10: error: claim 'A b' must be a plain name"),
        ("claims: {a: {}, a: {}}", ":1:17: error: key 'a' is given twice"),
        ("claims: {a: 1}", ":1:13: error: claims.a must be a mapping, got 1"),
        (f"claims: {{a: {{{LINE}, expects: higher, min_effect: 1}}}}", "missing key 'metric' in claims.a"),
        (f"claims: {{a: {{{LINE}, metric: bleu, expects: {{above: 1}}}}}}", "must be a split and a metric"),
        (f"claims: {{a: {{{LINE}, metric: test/blue, expects: {{above: 1}}}}}}", "did you mean 'bleu'?"),
        (
            f"claims: {{a: {{{LINE}, metric: test/bleu, expects: better}}}}",
            "must be higher, lower, no difference",
        ),
        (f"claims: {{a: {{{LINE}, metric: test/bleu, expects: {{}}}}}}", "one of above and below"),
        (
            f"claims: {{a: {{{LINE}, metric: test/bleu, expects: {{above: 1, below: 2}}}}}}",
            "one of above and below",
        ),
        (f"claims: {{a: {{{LINE}, metric: test/bleu, expects: higher}}}}", "min_effect is needed"),
        (
            f"claims: {{a: {{{LINE}, metric: test/bleu, expects: {{above: 1}}, min_effect: 1}}}}",
            "needs no min_effect",
        ),
        (
            f"claims: {{a: {{{LINE}, metric: test/exact_match, expects: lower, min_effect: 1}}}}",
            "out of reach",
        ),
        (f"claims: {{a: {{{LINE}, metric: step_time, expects: lower, min_effect: 1}}}}", "is measured once"),
        (
            f"claims: {{a: {{{LINE}, against: up, metric: test/bleu, expects: {{above: 1}}}}}}",
            "against must be another arm",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'claims.yaml'}:1:")
