"""What a placement may say beside its strategy's options: leaks, freezing, combinations, presets."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import arms_file, complaint, complaints, load, load_path

import maskbench.masks  # registers the strategies
from maskbench.config.load import dump_resolved, load_resolved
from maskbench.config.resolve.placements import PLACEMENT_KEYS
from maskbench.config.schema.experiment import LEAKING_APPLICATIONS, PlacementConfig
from maskbench.registry import MASKS

WINDOW = "site: encoder_self, mask: window, radius: 2"


def masks(folder: Path, *placements: str) -> tuple[PlacementConfig, ...]:
    """Return the placements of an arm as they are loaded."""
    text = arms_file(f"  a: [{', '.join(placements)}]\n")
    return load(folder, text).panels[0].arms[1].config.masks


def refusal(folder: Path, *placements: str) -> str:
    """Return the only complaint about an arm: its place within line 5, and the message."""
    line = complaint(folder, arms_file(f"  a: [{', '.join(placements)}]\n"))
    assert line.startswith("exp.yaml:5:")
    return line.removeprefix("exp.yaml:5:")


def under(placement: str, key: str, nth: int = 0) -> int:
    """Return the column of the value of `key` where the placement is the arm's first."""
    found = -1
    for _ in range(nth + 1):
        found = placement.index(f"{key}: ", found + 1)
    return len("  a: [") + found + len(f"{key}: ") + 1


@pytest.mark.parametrize(
    ("setting", "what"),
    [(f"apply: {value}", value) for value in LEAKING_APPLICATIONS]
    + [(f"legality: {value}", value) for value in ("no_padding", "none")],
)
def test_what_leaks_is_refused_at_its_key_unless_it_is_called_unsafe(
    setting: str, what: str, tmp_path: Path
) -> None:
    placement = f"{{{WINDOW}, {setting}}}"
    key = setting.split(":")[0]
    assert refusal(tmp_path, placement) == (
        f"{under(placement, key)}: error: arms.a[0]: {setting} lets hidden positions have an influence; "
        "add unsafe: true if that is what you want to measure"
    )
    (meant,) = masks(tmp_path, f"{{{WINDOW}, {setting}, unsafe: true}}")
    assert (getattr(meant, key), meant.unsafe, meant.leaks) == (what, True, True)


def test_what_leaks_nothing_needs_no_word_and_may_have_one(tmp_path: Path) -> None:
    for extra in ("apply: renormalise", "apply: hard, legality: full", "unsafe: true"):
        (placement,) = masks(tmp_path, f"{{{WINDOW}, {extra}}}")
        assert not placement.leaks


@pytest.mark.parametrize("setting", ["apply: raw, unsafe: true", "apply: renormalise", "legality: none"])
def test_a_site_without_attention_has_nothing_to_apply(setting: str, tmp_path: Path) -> None:
    placement = f"{{site: memory, mask: gate, {setting}}}"
    key = setting.split(":")[0]
    message = f"arms.a[0]: memory has no attention; leave {key} out"
    assert refusal(tmp_path, placement) == f"{under(placement, key)}: error: {message}"


def test_the_harmless_values_may_stand_anywhere(tmp_path: Path) -> None:
    (placement,) = masks(tmp_path, "{site: memory, mask: gate, apply: hard, legality: full, unsafe: false}")
    assert (placement.apply, placement.legality) == ("hard", "full")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "apply: rw",
            "arms.a[0].apply must be 'hard', 'renormalise', 'raw', 'multiply_scores' or 'small_fill'",
        ),
        ("legality: causal", "arms.a[0].legality must be 'full', 'no_causal', 'no_padding' or 'none'"),
        ("unsafe: yes", "arms.a[0].unsafe must be true or false, got 'yes'; write true"),
        ("freeze_at: 1.5", "arms.a[0].freeze_at must be at most 1, got 1.5"),
        ("freeze_at: -0.1", "arms.a[0].freeze_at must be at least 0, got -0.1"),
    ],
)
def test_values_that_mean_nothing_are_refused(value: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, f"{{{WINDOW}, {value}}}")


def test_freezing_a_plateau_schedule_is_refused_however_deep_it_lies(tmp_path: Path) -> None:
    why = "freeze_at does not go with a plateau schedule: how often validation stalled by then is not remembered"
    tokens = "mask: tokens, ratio: {plateau: [0.1, 0.3, 2]}"
    alone = f"{{site: encoder_input, {tokens}, freeze_at: 0.5}}"
    assert refusal(tmp_path, alone) == f"{under(alone, 'freeze_at')}: error: arms.a[0]: {why}"
    (free,) = masks(tmp_path, f"{{site: encoder_input, {tokens}}}")
    assert free.freeze_at is None
    (frozen,) = masks(tmp_path, "{site: encoder_input, mask: tokens, ratio: 0.5, freeze_at: 0.5}")
    assert frozen.freeze_at == 0.5


@pytest.mark.parametrize(
    ("site", "part"), [("encoder_self", "causal"), ("cross", "causal"), ("decoder_self", "padding")]
)
def test_legality_that_is_not_in_force_cannot_be_switched_off(site: str, part: str, tmp_path: Path) -> None:
    placement = f"{{site: {site}, mask: window, radius: 1, legality: no_{part}, unsafe: true}}"
    assert f"no_{part} changes nothing at {site}, where no {part} mask is in force" in refusal(
        tmp_path, placement
    )


@pytest.mark.parametrize(
    ("first", "second", "key", "value"),
    [
        ("apply: raw, unsafe: true", "apply: renormalise", "apply", "raw"),
        ("apply: renormalise", "apply: small_fill, unsafe: true", "apply", "renormalise"),
        (
            "apply: small_fill, fill: -1.0e-12, unsafe: true",
            "apply: small_fill, fill: -5, unsafe: true",
            "fill",
            "-1e-12",
        ),
        (
            "legality: none, unsafe: true",
            "legality: no_padding, unsafe: true",
            "legality",
            "none",
        ),
    ],
)
def test_two_wishes_for_one_site_are_refused_at_the_second(
    first: str, second: str, key: str, value: str, tmp_path: Path
) -> None:
    one, two = f"{{{WINDOW}, {first}}}", f"{{{WINDOW}, {second}}}"
    column = under(two, key) + len(one) + len(", ")
    assert refusal(tmp_path, one, two) == (
        f"{column}: error: arms.a[1]: {key} holds for all of encoder_self, where arms.a[0] says {value}; "
        "let them agree"
    )


@pytest.mark.parametrize("apply", ["", "apply: raw, unsafe: true, ", "apply: renormalise, ", "apply: hard, "])
def test_a_fill_without_small_fill_would_have_no_effect_and_is_refused(apply: str, tmp_path: Path) -> None:
    placement = f"{{{WINDOW}, {apply}fill: -1.0e-12}}"
    said = refusal(tmp_path, placement)
    assert said.startswith(
        f"{under(placement, 'fill')}: error: arms.a[0]: fill is the score of hidden pairs under"
    )
    assert "write apply: small_fill beside it" in said


@pytest.mark.parametrize("fill", ["1", ".inf", "-1.0e+31", "yes", "-.inf"])
def test_a_fill_is_a_finite_number_that_is_not_above_0(fill: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, f"{{{WINDOW}, apply: small_fill, unsafe: true, fill: {fill}}}")
    assert ("must be a finite number" if "inf" in fill else "arms.a[0].fill must be") in said


def test_the_fill_holds_for_its_site_and_is_written_out_only_where_it_is_given(tmp_path: Path) -> None:
    small = "apply: small_fill, unsafe: true"
    found = masks(tmp_path, f"{{{WINDOW}, {small}}}", f"{{{WINDOW}, {small}, fill: -1.0e-12}}")
    assert [placement.fill for placement in found] == [None, -1e-12]
    assert ["fill" in placement.model_dump() for placement in found] == [False, True]


def test_placements_without_a_wish_and_other_sites_disagree_with_nobody(tmp_path: Path) -> None:
    found = masks(
        tmp_path,
        f"{{{WINDOW}, apply: renormalise}}",
        f"{{{WINDOW}}}",
        f"{{{WINDOW}, apply: renormalise}}",
        "{site: decoder_self, mask: window, radius: 1, apply: raw, unsafe: true}",
    )
    assert [placement.apply for placement in found] == ["renormalise", "hard", "renormalise", "raw"]


def test_a_normaliser_wants_hard_application_whoever_says_otherwise(tmp_path: Path) -> None:
    own = "{site: encoder_self, mask: entmax, apply: renormalise}"
    rule = "entmax turns the scores of encoder_self into weights itself, which only apply: hard goes with"
    assert refusal(tmp_path, own) == f"{under(own, 'apply')}: error: arms.a[0]: {rule}"
    window = f"{{{WINDOW}, apply: renormalise}}"
    plain = "{site: encoder_self, mask: entmax}"
    assert refusal(tmp_path, window, plain) == f"{under(window, 'apply')}: error: arms.a[0]: {rule}"
    assert "arms.a[1]: entmax turns" in refusal(tmp_path, plain, window)
    masks(tmp_path, plain, "{site: decoder_self, mask: window, radius: 1, apply: renormalise}")


def test_two_normalisers_at_one_site_are_refused(tmp_path: Path) -> None:
    plain = "{site: encoder_self, mask: entmax}"
    column = under(plain, "mask") + len(plain) + len(", ")
    assert refusal(tmp_path, plain, plain) == (
        f"{column}: error: arms.a[1]: encoder_self has a normaliser already, arms.a[0]; "
        "at most one can replace the softmax"
    )
    masks(tmp_path, plain, plain.replace("encoder_self", "cross"))


def test_a_strategy_is_asked_about_its_whole_arm(tmp_path: Path) -> None:
    gate = "{site: memory, mask: gate}"
    found = complaints(tmp_path, arms_file(f"  a: [{gate}, {{{WINDOW}}}, {gate}]\n"))
    assert [line.split("error: ")[1] for line in found] == [
        "arms.a[0]: gate: two gates are one too many",
        "arms.a[2]: gate: two gates are one too many",
    ]
    masks(tmp_path, gate, f"{{{WINDOW}}}")


class TestCombinations:
    def test_a_key_of_its_own_is_short_for_the_strategy(self, tmp_path: Path) -> None:
        short, long = masks(
            tmp_path,
            "{site: encoder_self, any: [{mask: window, radius: 2}], layers: [1], phases: [train]}",
            "{site: encoder_self, mask: any, of: [{mask: window, radius: 2}], layers: [1], phases: [train]}",
        )
        assert short == long
        assert (short.mask, short.options) == ("any", {"of": [{"mask": "window", "radius": 2}]})

    def test_they_nest_and_hold_presets(self, tmp_path: Path) -> None:
        (placement,) = masks(
            tmp_path,
            "{site: encoder_self, all: [{any: [{mask: near}, {mask: near, left: 5}]}, {not: {mask: near}}]}",
        )
        near = {"radius": 1, "left": 3, "mask": "window"}
        assert placement.mask == "all"
        assert placement.options["of"] == [
            {"mask": "any", "of": [near, near | {"left": 5}]},
            {"mask": "not", "of": [near]},
        ]

    @pytest.mark.parametrize("word", ["not", "any"])
    def test_a_single_part_may_stand_without_the_list(self, word: str, tmp_path: Path) -> None:
        one, listed = masks(
            tmp_path,
            f"{{site: encoder_self, {word}: {{mask: window, radius: 2}}}}",
            f"{{site: encoder_self, {word}: [{{mask: window, radius: 2}}]}}",
        )
        assert one == listed

    def test_any_strategy_may_be_made_of_others(self, tmp_path: Path) -> None:
        (placement,) = masks(tmp_path, "{site: encoder_self, mask: by_head, of: [{not: {mask: near}}]}")
        near = {"radius": 1, "left": 3, "mask": "window"}
        assert placement.options["of"] == [{"mask": "not", "of": [near]}]

    @pytest.mark.parametrize(
        ("placement", "at", "message"),
        [
            (
                "{site: encoder_self, any: [{mask: window, radius: 2}, {mask: windw, radius: 2}]}",
                "windw",
                "no mask strategy named 'windw'; did you mean 'window'?",
            ),
            (
                "{site: encoder_self, any: [{mask: window, radius: 2}, {mask: window, radius: -3}]}",
                "-3",
                "window.radius must be at least 0, got -3",
            ),
            (
                "{site: encoder_self, any: [{mask: window, radius: 2}, {mask: window, radus: 4}]}",
                "radus",
                "unknown key 'radus' in window; did you mean 'radius'?",
            ),
            (
                "{site: encoder_self, any: [{all: [{mask: window, radius: 13}]}]}",
                "{mask: window",
                "arms.a[0].any[0].all[0]: window: a radius of 13 is refused",
            ),
            (
                "{site: encoder_self, any: [{mask: tokens, ratio: 1}]}",
                "{mask: tokens",
                "arms.a[0].any[0]: tokens does not act at encoder_self; did you mean 'encoder_input'? (its sites: dec",
            ),
            (
                "{site: decoder_self, any: [{mask: near}]}",
                "{mask: near",
                "arms.a[0].any[0]: near does not act at decoder_self; did you mean 'encoder_self'? (its sites: enc",
            ),
            (
                "{site: encoder_self, any: [{mask: window, radius: 2, layers: [0]}]}",
                "layers",
                "arms.a[0].any[0]: layers is said once for the whole combination, not for a part of it",
            ),
            (
                "{site: encoder_self, any: [{mask: near}, {radius: 2}]}",
                "{radius",
                "arms.a[0].any[1] must name its mask, got nothing",
            ),
            (
                "{site: encoder_self, any: [{mask: near}, window]}",
                "window]",
                "arms.a[0].any[1] must be a mapping such as {mask: window, radius: 2}, got 'window'",
            ),
            (
                "{site: encoder_self, any: window}",
                "window",
                "arms.a[0].any must be a list, got 'window'",
            ),
            (
                "{site: encoder_self, any: []}",
                "[]",
                "any.of must have at least 1 element(s), got an empty list",
            ),
            (
                "{site: encoder_self, any: [{mask: near}], all: [{mask: near}]}",
                "all",
                "arms.a[0]: 'any' says already what is combined; put 'all' inside it, or leave it out",
            ),
            (
                "{site: encoder_self, any: [{mask: near}], of: [{mask: near}]}",
                "of",
                "arms.a[0]: 'any' says already what is combined; put 'of' inside it, or leave it out",
            ),
            (
                "{site: encoder_self, mask: window, radius: 2, any: [{mask: near}]}",
                "any",
                "unknown key 'any' in window",
            ),
        ],
    )
    def test_what_is_wrong_with_a_part_is_said_at_the_part(
        self, placement: str, at: str, message: str, tmp_path: Path
    ) -> None:
        found = complaints(tmp_path, arms_file(f"  a: [{placement}]\n"))
        column = len("  a: [") + placement.index(at) + 1
        assert any(line.startswith(f"exp.yaml:5:{column}: error: {message}") for line in found), found


class TestPresets:
    def test_a_preset_stands_for_its_strategy_and_what_is_written_wins(self, tmp_path: Path) -> None:
        plain, changed = masks(
            tmp_path,
            "{site: encoder_input, mask: bert}",
            "{site: encoder_input, mask: bert, replace: mask, refresh: static}",
        )
        assert (plain.mask, plain.options) == ("tokens", {"ratio": 0.15, "replace": "random"})
        assert (changed.mask, changed.options) == ("tokens", {"ratio": 0.15, "replace": "mask"})
        assert changed.refresh is not None and changed.refresh.variants == 1

    def test_an_option_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        (placement,) = masks(tmp_path, "{site: encoder_input, mask: bert, ratio: {linear: [0.5, 0.1]}}")
        assert placement.options["ratio"] == {"linear": [0.5, 0.1]}

    @pytest.mark.parametrize(
        ("placement", "at", "message"),
        [
            (
                "{site: decoder_input, mask: bert}",
                "decoder_input",
                "arms.a[0]: bert does not act at decoder_input; did you mean 'encoder_input'? "
                "(its sites: encoder_input)",
            ),
            (
                "{site: encoder_input, mask: bret}",
                "bret",
                "no mask strategy named 'bret'; did you mean 'bert'?",
            ),
            ("{site: encoder_input, mask: bert, ratio: 2}", "2}", "tokens.ratio must be at most 1"),
            (
                "{site: encoder_input, mask: bert, ratoi: 1}",
                "ratoi",
                "unknown key 'ratoi' in tokens; did you mean 'ratio'?",
            ),
        ],
    )
    def test_mistakes_have_the_place_of_what_was_written(
        self, placement: str, at: str, message: str, tmp_path: Path
    ) -> None:
        column = len("  a: [") + placement.index(at) + 1
        assert refusal(tmp_path, placement).startswith(f"{column}: error: {message}")

    def test_the_known_names_end_in_the_presets(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, "{site: encoder_input, mask: zzz}")
        assert message.endswith("window; presets: bert, near)")


def test_a_resolved_file_names_strategies_only_and_loads_to_the_same(tmp_path: Path) -> None:
    arm = (
        "  a: [{site: encoder_input, mask: bert, freeze_at: 0.25}, "
        "{site: encoder_self, any: [{mask: near}, {not: {mask: window, radius: 2}}], apply: raw, unsafe: true}, "
        "{site: decoder_self, mask: window, radius: 2, legality: no_causal, unsafe: true}]\n"
    )
    experiment = load(tmp_path, arms_file(arm))
    resolved = tmp_path / "resolved.yaml"
    text = dump_resolved(experiment)
    resolved.write_text(text, encoding="utf-8")
    assert "bert" not in text and "near" not in text
    assert load_path(resolved) == load_resolved(resolved) == experiment
    first, second, third = experiment.panels[0].arms[1].config.masks
    assert (first.freeze_at, second.apply, third.legality) == (0.25, "raw", "no_causal")


def test_no_strategy_has_an_option_that_a_placement_would_swallow() -> None:
    assert maskbench.masks and MASKS.names()
    for name in MASKS.names():
        options = set(MASKS.lookup(name).Options.model_fields)
        assert not options & set(PLACEMENT_KEYS), name
