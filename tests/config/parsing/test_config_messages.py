from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import FULL, MINIMAL, arms_file, complaint, complaints, load

from maskbench.errors import ConfigError

WINDOW = "site: encoder_self, mask: window"


def test_a_misspelt_key_is_shown_with_its_line_a_caret_and_the_nearest_spelling(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MINIMAL + "train:\n  lr: 0.1\n  warmpup: 200  # slowly\n")
    head, excerpt, caret = str(caught.value).split("\n")
    assert head.endswith(
        "exp.yaml:6:3: error: unknown key 'warmpup' in train; did you mean 'warmup_steps'? (allowed: steps, epochs, "
        "batch_tokens, lr, schedule, warmup_steps, label_smoothing, weight_decay, clip, rdrop, valid_every, save_every, "
        "precision, threads, select, average)"
    )
    assert head.startswith(str(tmp_path))
    assert (excerpt, caret) == ("    warmpup: 200  # slowly", "    ^")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train: {lr: '0.1'}", "13: error: train.lr must be a number, got '0.1'; write it without quotes"),
        (
            "train: {lr: 010}",
            "13: error: train.lr must be a number, got '010'; write it without leading zeros",
        ),
        (
            "train: {steps: 1_000}",
            "16: error: train.steps must be a whole number, got '1_000'; write it without under",
        ),
        ("train: {steps: 1e3}", "16: error: train.steps must be a whole number, got 1000.0; write 1000"),
        ("train: {steps: 1.5}", "16: error: train.steps must be a whole number, got 1.5"),
        ("train: {steps: true}", "16: error: train.steps must be a whole number, got true"),
        ("train: {steps: 0}", "16: error: train.steps must be at least 1, got 0"),
        ("train: {steps: -1}", "16: error: train.steps must be at least 1, got -1"),
        (
            "train: {steps: 1000000000000000000}",
            "16: error: train.steps must be at most 1,000,000,000, got 1000000",
        ),
        ("train: {steps: ~}", "16: error: train.steps must be a whole number, got nothing"),
        ("train: {steps: [1]}", "16: error: train.steps must be a whole number, got a list of 1"),
        ("train: {lr: 0}", "13: error: train.lr must be greater than 0, got 0"),
        ("train: {lr: .nan}", "13: error: must be a finite number, got .nan"),
        ("train: {clip: .inf}", "15: error: must be a finite number, got .inf"),
        ("train: [1]", "8: error: train must be a mapping, got a list of 1"),
        ("train:", "7: error: train must be a mapping, got nothing"),
        (
            "train: {steps: 5, epochs: 2}",
            "27: error: train: steps and epochs are both given; keep one of them",
        ),
        ("train: {select: test/nll}", "17: error: train.select must be measured on the split valid"),
        ("train: {select: valid/blue}", "17: error: train.select names no metric; did you mean 'bleu'?"),
        (
            "train: {precision: float16}",
            "20: error: train.precision must be 'auto', 'float32' or 'bfloat16', got 'floa",
        ),
        ("model: {tied: yes}", "15: error: model.tied must be true or false, got 'yes'; write true"),
        ("model: {tied: 1}", "15: error: model.tied must be true or false, got 1"),
        ("model: {dropout: 1}", "18: error: model.dropout must be less than 1, got 1"),
        (
            "model: {positions: sinus}",
            "20: error: model.positions must be 'sinusoidal', 'learned' or 'none', got 'sinus'",
        ),
        (
            "model: {positions: no}",
            "20: error: model.positions must be 'sinusoidal', 'learned' or 'none', got 'no'",
        ),
        (
            "model: {n_heads: 3}",
            "18: error: model.n_heads must divide d_model, but 128 / 3 is not a whole number, got 3",
        ),
        (
            "model: {d_model: 90}",
            "18: error: model.n_heads must divide d_model, but 90 / 4 is not a whole number",
        ),
        (
            "decode: {beam_size: 2, n_best: 3}",
            "32: error: decode.n_best must be at most beam_size, which is 2: a beam holds no more hypotheses, got 3",
        ),
        (
            "evaluate: {splits: []}",
            "20: error: evaluate.splits must have at least 1 element(s), got an empty list",
        ),
        (
            "evaluate: {splits: [test, 5]}",
            "27: error: evaluate.splits[1] must be text, got 5; put it in quotes",
        ),
        ("evaluate: {splits: [test, test]}", "20: error: evaluate.splits names 'test' twice"),
        (
            "evaluate: {metrics: [exact_match, blue]}",
            "21: error: evaluate.metrics has no metric 'blue'; did you mean",
        ),
        (
            "evaluate: {masks: [none]}",
            "19: error: compare.metric 'test/exact_match' needs the masks of 'own' to be evaluated",
        ),
        (
            "evaluate: {masks: [own, nine]}",
            "25: error: evaluate.masks: there is no arm 'nine'; did you mean 'none'? (there are: own, none)",
        ),
        ("evaluate: {masks: [own, 5]}", "25: error: evaluate.masks[1] must be text, got 5"),
        ("evaluate: {masks: [own, {}]}", "25: error: evaluate.masks must hold names of arms, got a mapping"),
        (
            "evaluate: {masks: [own, {none: []}]}",
            "26: error: evaluate.masks: 'none' has masks already; give these another name",
        ),
        ("evaluate: {masks: [own, {A: []}]}", "26: error: evaluate.masks: 'A' must"),
        ("evaluate: {masks: [own, {a: 5}]}", "29: error: evaluate.masks.a must be a list, got 5"),
        ("evaluate: {masks: own}", "19: error: evaluate.masks must be a list"),
        (
            'compare: {metric: "test@own/bleu"}',
            "19: error: compare.metric must not name the run's own masks: write test/bleu",
        ),
        (
            "evaluate: {splits: [test, tests]}",
            "27: error: the corpus pairs has no split 'tests'; did you mean 'test'?",
        ),
        (
            "evaluate: {splits: [valid]}",
            "20: error: compare.metric 'test/exact_match' needs the split 'test' to be evaluated",
        ),
        (
            "compare: {metric: valid/bleu}",
            "19: error: compare.metric 'valid/bleu' needs the split 'valid' to be evaluated",
        ),
        (
            "compare: {metric: bleu}",
            "19: error: compare.metric must be a split and a metric, such as test/bleu",
        ),
        (
            "compare: {min_effect: 1}",
            "23: error: compare.min_effect is out of reach: exact_match lies between 0 and 1",
        ),
        ("compare: {alpha: 1}", "18: error: compare.alpha must be less than 1, got 1"),
        ("seeds: true", "8: error: seeds must be a count such as 8, or a list such as [0, 1, 5], got true"),
        ("seeds: 0", "8: error: seeds must count from 1 to 1000, got 0"),
        ("seeds: [0, 1, 0]", "15: error: seed 0 is given twice"),
        ("seeds: [0, true, -1]", "12: error: a seed must be a whole number from 0 to 4294967295, got true"),
        ("seeds: []", "8: error: seeds must name 1 to 1000 seeds, got 0"),
        ("seeds: 2.0", "8: error: seeds must be a count such as 8, or a list such as [0, 1, 5], got 2.0"),
        (
            "baseline: nune",
            "11: error: baseline must be an arm, got 'nune'; did you mean 'none'? (arms: none)",
        ),
        ("panels: {}", "9: error: panels must name at least one panel; without any, leave the key out"),
        ("panels: {a: }", "13: error: panels.a must be a mapping, got nothing"),
        ("panels: {con: {}}", "10: error: panel 'con' is the name of a device on Windows; choose another"),
        (
            "panels: {a: {steps: 5}}",
            "14: error: unknown setting 'steps' in panels.a; did you mean 'train.steps'?",
        ),
        ("panels: {a: {train: {}}}", "14: error: unknown setting 'train' in panels.a"),
        ("panels: {a: {corpus.pars: 5}}", "14: error: unknown key 'pars' in corpus; did you mean 'pairs'?"),
        ("panels: {a: {compare.alpha: 5}}", "14: error: unknown setting 'compare.alpha' in panels.a"),
        ("quick: {arms: [nome]}", "16: error: no arm 'nome' in arms; did you mean 'none'? (allowed: none)"),
        ("quick: {train.stepz: 5}", "9: error: unknown key 'stepz' in train; did you mean 'steps'?"),
        ("quick: {seeds: 0}", "16: error: seeds must count from 1 to 1000, got 0"),
        ("bogus: 1", "1: error: unknown key 'bogus' in the experiment"),
        ("name: other", "1: error: key 'name' is given twice; the first is in line 1"),
    ],
)
def test_every_rule_says_what_is_wrong_and_where(line: str, message: str, tmp_path: Path) -> None:
    assert f"exp.yaml:4:{message}" in complaints(tmp_path, MINIMAL + line + "\n")[0]


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (f"[{{{WINDOW}, radius: -1}}]", "50: error: window.radius must be at least 0, got -1"),
        (f"[{{{WINDOW}, radius: [1]}}]", "50: error: window.radius must be a whole number, got a list of 1"),
        (f"[{{{WINDOW}}}]", "7: error: missing key 'radius' in window"),
        (f"[{{{WINDOW}, radius: 13}}]", "7: error: arms.a[0]: window: a radius of 13 is refused"),
        (
            f"[{{{WINDOW}, radius: 1, refresh: static}}]",
            "62: error: arms.a[0]: window draws nothing at random; leave",
        ),
        (
            f"[{{{WINDOW}, radius: 1, layers: [2]}}]",
            "61: error: arms.a[0]: there is no layer 2 at encoder_self: the model",
        ),
        (
            f"[{{{WINDOW}, radius: 1, heads: [0, 4]}}]",
            "60: error: arms.a[0]: there is no head 4 at encoder_self",
        ),
        (
            f"[{{{WINDOW}, radius: 1, layers: 0}}]",
            "61: error: arms.a[0].layers must be all, or a list of numbers",
        ),
        (f"[{{{WINDOW}, radius: 1, layers: [true]}}]", "61: error: arms.a[0].layers must hold whole numbers"),
        (f"[{{{WINDOW}, radius: 1, heads: [1, 1]}}]", "60: error: arms.a[0].heads names 1 twice"),
        (
            f"[{{{WINDOW}, radius: 1, phases: [tran]}}]",
            "62: error: arms.a[0].phases[0] must be 'train' or 'eval', got",
        ),
        (
            "[{site: encoder_slef, mask: window, radius: 1}]",
            "14: error: arms.a[0].site must be 'encoder_input', 'deco",
        ),
        (
            "[{site: cross, mask: window, radius: 1}]",
            "14: error: arms.a[0]: window does not act at cross (its sites: dec",
        ),
        (
            "[{site: cross, mask: windw, radius: 1}]",
            "27: error: no mask strategy named 'windw'; did you mean 'window'?",
        ),
        ("[{site: cross}]", "7: error: missing key 'mask' in arms.a[0]"),
        ("[{mask: window, radius: 1}]", "7: error: missing key 'site' in arms.a[0]"),
        (
            "[{site: memory, mask: gate, layers: [0]}]",
            "42: error: arms.a[0]: memory has no layers; leave layers out",
        ),
        (
            "[{site: memory, mask: gate, lyers: [0]}]",
            "34: error: unknown key 'lyers' in gate; did you mean 'layers'?",
        ),
        ("[{site: memory, mask: 5}]", "28: error: arms.a[0].mask must be text, got 5; put it in quotes"),
        (
            "[window]",
            "7: error: arms.a[0] must be a mapping such as {site: encoder_self, mask: window, radius: 2}, got",
        ),
        (
            "[{site: encoder_input, mask: tokens, ratio: 2}]",
            "50: error: tokens.ratio must be at most 1, or must be a map",
        ),
        (
            "[{site: encoder_input, mask: tokens, ratio: {linear: [x]}}]",
            "60: error: tokens.ratio.linear[0] must be a number",
        ),
        (
            "[{site: encoder_input, mask: tokens, ratio: 0, replace: x}]",
            "62: error: tokens.replace must be mask or random",
        ),
        (
            "[{site: encoder_input, mask: tokens, ratio: 0, refresh: statc}]",
            "62: error: arms.a[0].refresh must be",
        ),
        ("", "5: error: arm 'a' must be a list of placements or a mapping, got nothing; write 'a: []'"),
        ("5", "6: error: arm 'a' must be a list of placements or a mapping, got 5"),
        ("{}", "6: error: arm 'a' says nothing; give it masks, set or streams"),
        ("{masks: {}}", "14: error: arms.a.masks must be a list, got a mapping"),
        ("{mask: []}", "7: error: unknown key 'mask' in arm 'a'; did you mean 'masks'?"),
        ("{set: {lr: 1}}", "13: error: unknown setting 'lr' in arms.a.set; did you mean 'train.lr'?"),
        (
            "{set: {corpus.pairs: 1}}",
            "13: error: unknown setting 'corpus.pairs' in arms.a.set (write section.key, of mod",
        ),
        ("{set: {model.n_heads: 5}}", "28: error: model.n_heads must divide d_model"),
        ("{set: {train.lr.x: 5}}", "13: error: train.lr must be a number, got a mapping"),
        ("{streams: B}", "16: error: arms.a.streams must be a plain name"),
        ("{streams: 1}", "16: error: arms.a.streams must be text, got 1"),
        ("{streams: b, title: ''}", "26: error: arms.a.title must be text of 1 to"),
        (f"[{{{WINDOW}, radius: $r}}]", "50: error: $r stands for a grid value, but arm 'a' has no grid"),
        (
            f"{{grid: {{r: [1]}}, masks: [{{{WINDOW}, radius: $q}}]}}",
            "74: error: $q is no key of arms.a.grid",
        ),
        ("{grid: {r: [1]}, masks: []}", "14: error: grid key 'r' is not used; write $r where its value goes"),
        ("{grid: {r: []}, streams: $r}", "17: error: arms.a.grid.r is an empty list"),
        ("{grid: {r: 1}, streams: $r}", "17: error: arms.a.grid.r must be a list, got 1"),
        ("{grid: {}, masks: []}", "13: error: arms.a.grid has no keys"),
        ("{grid: [1], masks: []}", "13: error: arms.a.grid must be a mapping, got a list of 1"),
        (
            f"{{grid: {{r: [1, -2]}}, masks: [{{{WINDOW}, radius: $r}}]}}",
            "21: error: window.radius must be at least 0, got -2",
        ),
        (
            "{grid: {r: [x]}, streams: $r, title: t}",
            "43: error: arms.a.title: the arms of a grid are titled by their val",
        ),
    ],
)
def test_every_rule_of_an_arm_says_what_is_wrong_and_where(arm: str, message: str, tmp_path: Path) -> None:
    found = complaints(tmp_path, arms_file(f"  a: {arm}\n"))
    assert any(f"exp.yaml:5:{message}" in line for line in found), found


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../x",
            "/abs",
            "a/b",
            "..",
            "con",
            "lpt1",
            "x" * 33,
            "x" * 300,
            "É",
            "🙂",
            "a\\nb",
            "=cmd()",
            "-x",
            "",
        ),
        *("Static", "a_b", "a.b", "a b", "\\e[31m", "nul"),
    ],
)
def test_names_that_are_no_plain_folder_names_are_refused_everywhere(name: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.parent.iterdir())
    assert "exp.yaml:1:7: error: name " in complaint(tmp_path, MINIMAL.replace("tiny", f'"{name}"'))
    assert "exp.yaml:5:3: error: arm " in complaint(tmp_path, arms_file(f'  "{name}": []\n'))
    assert "exp.yaml:4:10: error: panel " in complaint(tmp_path, MINIMAL + f'panels: {{"{name}": {{}}}}\n')
    assert sorted(tmp_path.parent.iterdir()) == before


@pytest.mark.parametrize(("name", "shown"), [("010", "010"), ("no", "no"), ("2026-01-31", "2026-01-31")])
def test_words_that_older_yaml_reads_as_something_else_are_names(
    name: str, shown: str, tmp_path: Path
) -> None:
    assert load(tmp_path, MINIMAL.replace("tiny", name)).name == shown


def test_a_number_is_no_name(tmp_path: Path) -> None:
    message = complaint(tmp_path, MINIMAL.replace("tiny", "10"))
    assert message == "exp.yaml:1:7: error: name must be text, got 10; put it in quotes"


def test_a_file_must_have_a_name_a_corpus_and_arms(tmp_path: Path) -> None:
    assert complaints(tmp_path, "seeds: 3\n") == [
        f"exp.yaml:1:1: error: missing key '{key}'; an experiment needs name, corpus, arms"
        for key in ("arms", "corpus", "name")
    ]


def test_a_list_is_no_experiment(tmp_path: Path) -> None:
    assert (
        complaint(tmp_path, "- 1\n")
        == "exp.yaml:1:1: error: an experiment file must be a mapping, got a list of 1"
    )


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("{name: piars}", "9: error: corpus.name"),
        ("{pairs: 3}", "9: error: missing key 'name' in corpus"),
        ("pairs", "9: error: corpus must be a mapping, got 'pairs'"),
        ("{name: pairs, pairs: 0}", "30: error: corpus.pairs must be at least 1, got 0"),
        ("{name: pairs, size: 3}", "23: error: unknown key 'size' in corpus (allowed: name, pairs, noise)"),
    ],
)
def test_the_corpus_is_checked_against_its_own_options(corpus: str, message: str, tmp_path: Path) -> None:
    found = complaint(tmp_path, MINIMAL.replace("{name: pairs}", corpus))
    if "piars" in corpus:
        message = "16: error: no corpus named 'piars'; did you mean 'pairs'? (known: pairs)"
    assert f"exp.yaml:2:{message}" in found


def test_without_an_arm_called_none_the_baseline_must_be_named(tmp_path: Path) -> None:
    text = MINIMAL.replace("none", "plain")
    assert "missing key 'baseline': no arm is called none (arms: plain)" in complaint(tmp_path, text)
    assert load(tmp_path, text + "baseline: plain\n").panels[0].baseline == "plain"


def test_all_problems_of_a_file_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        FULL.replace("lr: 1e-3", "lrr: 1e-3")
        .replace("radius: 2", "radius: 99")
        .replace("n_heads: 3", "n_heads: 5")
    )
    text = text.replace("pairs: 50", "pairs: many").replace("train.epochs: 3", "train.epochs: 0") + "lr: 1\n"
    found = complaints(tmp_path, text, overrides=["train.stepz=5"])
    places = [line.partition(" error")[0] for line in found]
    assert places == [
        *("exp.yaml:10:10:", "exp.yaml:11:31:", "exp.yaml:12:20:", "exp.yaml:19:56:", "exp.yaml:27:43:"),
        *("exp.yaml:30:1:", "--set train.stepz=5:"),
    ]


def test_a_problem_that_every_arm_and_panel_meets_is_reported_once(tmp_path: Path) -> None:
    assert len(complaints(tmp_path, FULL.replace("dropout: 0,", "dropout: 2,"))) == 1


def test_two_arms_that_would_share_a_folder_are_an_error(tmp_path: Path) -> None:
    arms = f"  w-r-1: []\n  w: {{grid: {{r: [1]}}, masks: [{{{WINDOW}, radius: $r}}]}}\n"
    message = complaint(tmp_path, arms_file(arms))
    assert (
        message == "exp.yaml:6:3: error: arms 'w-r-1' and 'w(r=1)' would share the folder 'w-r-1'; rename one"
    )


def test_two_arms_with_one_title_are_an_error(tmp_path: Path) -> None:
    assert "have the same title" in complaint(tmp_path, arms_file("  a: {masks: [], title: none}\n"))
