"""What a plug-in's methods raise or return against their contract is one message: strategy, site, own line, what was
expected and what came."""

from __future__ import annotations

import itertools
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from plugin_sources import FIRST_KEY, HEAD, line_of, save, strategy
from torch import Tensor

from maskbench.audit.catalogue import make_catalogue_subject
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import PlacementConfig
from maskbench.errors import ConfigError, PluginError, StopSignal
from maskbench.executors.worker import run_function
from maskbench.plugins import faults, load_plugins, plugin_errors
from maskbench.registry import CORPORA, MASKS, METRICS

pytestmark = pytest.mark.shapes(checked=False)

LEN = "len(ctx.request.q_idx), len(ctx.request.kv_idx)"
KINDS = {
    # base class: (site, method, an answer that is right, answers that are wrong and what came)
    "AttentionMask": (
        "encoder_self",
        "keep(self, options, ctx)",
        f"return torch.ones(1, 1, {LEN}, dtype=torch.bool)",
        {f"torch.ones(1, 1, {LEN})": "Float32[1, 1, 7, 7], and should return Bool[batch 3|1, heads 3|1, query 7|1, key 7|1]"},
    ),
    "ScoreBias": ("cross", "bias(self, options, ctx)", f"return torch.zeros(1, 1, {LEN})", {f"torch.ones({LEN})": "Float32[8, 7], and should return Float[batch 3|1"}),
    "ScoreGate": ("cross", "log_gate(self, options, ctx)", f"return torch.zeros(1, 1, {LEN})", {f"torch.zeros(1, 2, {LEN})": "Float32[1, 2, 8, 7]"}),
    "WeightMask": ("cross", "factors(self, options, ctx)", f"return torch.ones(1, 1, {LEN})", {f"torch.ones(1, 1, {LEN}).bool()": "Bool[1, 1, 8, 7], and should return Float["}),
    "HeadGate": ("cross", "head_gate(self, options, ctx)", "return torch.ones(1, ctx.n_heads)", {"torch.ones(ctx.n_heads)": "Float32[3], and should return Float[batch 3|1, heads 3|1]"}),
    "Normaliser": ("cross", "weights(self, options, scores, keep, ctx)", "return scores.softmax(-1).nan_to_num()", {"scores[:1]": "Float32[1, 3, 8, 7], and should return Float[batch 3, heads 3, query 8, key 7]"}),
    "TokenMask": ("encoder_input", "change(self, options, ctx)", "return ctx.current, torch.zeros_like(ctx.eligible)", {"ctx.current": "a TokenInput, and returns (TokenInput, Bool[batch, len])", "(ctx.current, ctx.current.ids)": "picks of Int64[3, 7]", "(TokenInput(ctx.current.ids.float()), ctx.eligible)": "ids of Float32[3, 7], and should return Int64[batch 3, len 7]", "(TokenInput(ctx.current.ids + 99), ctx.eligible)": "the vocabulary has ids from 0 to 22"}),
    "InputFeature": ("encoder_input", "feature(self, options, x, tokens)", "return torch.zeros_like(x)", {"x[..., :1]": "Float32[3, 7, 1], and should return Float[batch 3, len 7, d_model 12]"}),
    "TensorGate": ("memory", "gate(self, options, tensor, ctx)", "return torch.ones_like(tensor)", {"tensor[:2]": "Float32[2, 7, 12], and should return Float[batch 3|1, len 7|1, width 12|1]"}),
    "LogitMask": ("logits", "allowed(self, options, ctx)", "return torch.ones(1, 1, self.sizes.vocab_size).bool()", {"torch.ones(1, 1, self.sizes.vocab_size)": "Float32[1, 1, 23], and should return Bool[batch 3|1, len 8|1, vocab 23]"}),
    "LossMask": ("loss", "weights(self, options, ctx)", "return ctx.real.float()", {"ctx.real": "Bool[3, 8], and should return Float[batch 3, len 8]"}),
}  # fmt: skip


def case_of(folder: Path, text: str, site: str) -> tuple[AuditCase, Path]:
    path = save(folder, text)
    load_plugins([path])
    name = next(name for name in ("own", "first_key") if name in MASKS)
    subject = make_catalogue_subject(name, PlacementConfig(site=site, mask=name))  # type: ignore[arg-type]
    return AuditCase(subject, torch.float32), path


def ask(case: AuditCase) -> Tensor:
    return case.answers(case.model, case.batch, case.clocks[0])


def raised(folder: Path, text: str, site: str) -> str:
    case, path = case_of(folder, text, site)
    with pytest.raises(PluginError) as caught:
        ask(case)
    return str(caught.value).replace(str(path), "own.py")


def mask_mod_too(base: str) -> str:
    """An attention mask has to define `mask_mod` as well."""
    return "\n    def mask_mod(self, options, ctx):\n        return None\n" if base == "AttentionMask" else ""


@pytest.mark.parametrize("base", KINDS)
def test_an_answer_that_is_right_passes(tmp_path: Path, base: str) -> None:
    site, method, right, _ = KINDS[base]
    assert ask(case_of(tmp_path, strategy(base, site, method, right, mask_mod_too(base)), site)[0]).numel()


WRONG = [
    (base, answer, came)
    for base, (_, _, _, wrong) in KINDS.items()
    for answer, came in {**wrong, "None": "returned None", "[1.0]": "returned a list"}.items()
]


@pytest.mark.parametrize(("base", "answer", "came"), WRONG, ids=[f"{b}-{a[:20]}" for b, a, _ in WRONG])
def test_a_wrong_answer_is_told_with_what_was_expected(
    tmp_path: Path, base: str, answer: str, came: str
) -> None:
    site, method, _, _ = KINDS[base]
    text = strategy(base, site, method, f"return {answer}", mask_mod_too(base))
    said = raised(tmp_path, text, site)
    name = method.partition("(")[0]
    start = f"own.py:{line_of(text, f'def {method}')}: error: strategy 'own' at {site}: {name}: "
    assert said.startswith(start) and came in said and "\n" not in said, said


WAYS = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise ValueError('odd')": "ValueError: odd",
    "raise MemoryError": "MemoryError",
    "sys.exit(0)": "it called sys.exit(0)",
    "sys.exit()": "it called sys.exit(None)",
    "exit(0)": "it called sys.exit(0)",
    "raise SystemExit": "it called sys.exit(None)",
    "os._exit(0)": "it called os._exit(0)",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise GeneratorExit('odd')": "GeneratorExit: odd",
}


@pytest.mark.parametrize(
    ("base", "way"),
    [
        *itertools.product(["LossMask"], WAYS),
        *((base, "sys.exit(0)") for base in KINDS if base != "LossMask"),
    ],
)
def test_whatever_a_method_does_to_end_is_an_error_with_its_line(tmp_path: Path, base: str, way: str) -> None:
    said = WAYS[way]
    site, method, _, _ = KINDS[base]
    text = strategy(base, site, method, way, mask_mod_too(base))
    message = raised(tmp_path, text, site)
    assert message.startswith(f"own.py:{line_of(text, way)}: error: strategy 'own' at {site}: ")
    assert said in message


@pytest.mark.parametrize("way", ["1 / 0", "sys.exit(0)", "os._exit(0)"])
def test_an_error_while_a_strategy_is_built_is_told(tmp_path: Path, way: str) -> None:
    declared = f"\n    def __init__(self, options, sizes, site):\n        super().__init__(options, sizes, site)\n        {way}\n"
    text = strategy("ScoreBias", "cross", "bias(self, options, ctx)", "return None", declared)
    case, path = case_of(tmp_path, text, "cross")
    with pytest.raises(
        PluginError, match=re.escape(f"{path}:{line_of(text, way)}: error: strategy 'own' at cross: __init__")
    ):
        _ = case.model


def test_a_strategy_that_does_not_call_its_base_is_told(tmp_path: Path) -> None:
    declared = "\n    def __init__(self, options, sizes, site):\n        self.options = options\n"
    text = strategy("ScoreBias", "cross", "bias(self, options, ctx)", "return None", declared)
    case, _ = case_of(tmp_path, text, "cross")
    with pytest.raises(PluginError, match=r"does not call super\(\).__init__\(options, sizes, site\)"):
        _ = case.model


MODS = {
    "None": "mask_mod: returned None, and returns a function of (b, h, q_idx, kv_idx)",
    "torch.ones(2, 2).bool()": "mask_mod: returned Bool[2, 2], and returns a function",
    "lambda b, h, q, k: (k == 0).float()": "mask_mod's function: returned Float32[1, 1, 1, 7], and should return Bool[",
    "lambda b, h, q, k: True": "mask_mod's function: returned True",
    "lambda b, h, q, k: k[..., 1:] == q": "Bool[1, 1, 7, 6], and should return Bool[batch 3|1, heads 3|1, query 7|1, key 7|1], True = may attend",
    "lambda b, h, q: q == 0": "mask_mod returned a function: TypeError",
    "lambda b, h, q, k: 1 / 0": "mask_mod returned a function: ZeroDivisionError",
}


@pytest.mark.parametrize("mod", MODS)
def test_a_function_of_mask_mod_that_is_wrong_is_told(tmp_path: Path, mod: str) -> None:
    text = strategy("AttentionMask", "encoder_self", "mask_mod(self, options, ctx)", f"return {mod}")
    said = raised(tmp_path, text, "encoder_self")
    line = line_of(text, "def mask_mod" if mod in list(MODS)[:2] else "return lambda")
    assert said.startswith(f"own.py:{line}: error: strategy 'own' at encoder_self: mask_mod"), said
    assert MODS[mod] in said


@pytest.mark.parametrize("composite", ["all", "any"])
def test_a_part_of_a_combination_is_told_as_well(tmp_path: Path, composite: str) -> None:
    load_plugins(
        [
            save(
                tmp_path,
                strategy(
                    "AttentionMask",
                    "encoder_self",
                    "mask_mod(self, options, ctx)",
                    "return lambda b, h, q, k: k",
                ),
            )
        ]
    )
    parts = [{"mask": "own"}, {"mask": "window", "radius": 1}]
    placed = PlacementConfig(site="encoder_self", mask=composite, options={"of": parts})
    case = AuditCase(make_catalogue_subject(composite, placed), torch.float32)
    with pytest.raises(
        PluginError, match=r"own\.py:\d+: error: strategy 'own' at encoder_self: mask_mod's function"
    ):
        ask(case)


@pytest.mark.parametrize("sliceable", [False, True])
def test_keys_alone_are_a_pattern_for_every_query(tmp_path: Path, sliceable: bool) -> None:
    narrow, wide = "k == 0", "(k == 0) & (q >= 0)"
    answers = []
    for name, pattern in (("narrow.py", narrow), ("wide.py", wide)):
        MASKS._entries.pop("own", None)
        text = strategy(
            *("AttentionMask", "encoder_self", "mask_mod(self, options, ctx)"),
            *(f"return lambda b, h, q, k: {pattern}", f"    sliceable = {sliceable}"),
        )
        (tmp_path / name).mkdir()
        answers.append(ask(case_of(tmp_path / name, text, "encoder_self")[0]))
    assert torch.equal(*answers)


def test_a_sliceable_strategy_cannot_read_the_clock(tmp_path: Path) -> None:
    body = "return lambda b, h, q, k: (q == k) | (ctx.request.clock.progress < 0.5)"
    text = strategy(
        "AttentionMask", "encoder_self", "mask_mod(self, options, ctx)", body, "    sliceable = True"
    )
    assert "reads the clock (progress) and declares sliceable = True" in raised(
        tmp_path, text, "encoder_self"
    )


def test_a_sliceable_strategy_that_reads_positions_is_as_without_guards(tmp_path: Path) -> None:
    text = FIRST_KEY.replace("    Options =", "    sliceable = True\n    Options =")
    cached = ask(case_of(tmp_path, text, "encoder_self")[0])
    MASKS._entries.pop("first_key")
    assert torch.equal(ask(case_of(tmp_path, FIRST_KEY, "encoder_self")[0]), cached)


def test_a_stop_signal_inside_a_plugin_stays_one(tmp_path: Path) -> None:
    text = strategy(
        "LossMask", "loss", "weights(self, options, ctx)", "os.kill(os.getpid(), 15); return ctx.real.float()"
    )
    case, _ = case_of(tmp_path, text, "loss")

    def stop(signum: int, frame: object) -> None:
        raise StopSignal(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(StopSignal), plugin_errors():
            ask(case)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_worker_says_the_plugins_line(tmp_path: Path) -> None:
    text = strategy("LossMask", "loss", "weights(self, options, ctx)", "os._exit(0)")
    case, path = case_of(tmp_path, text, "loss")

    def work(payload: None, context: object) -> str:
        ask(case)
        return "finished"

    ended = run_function(work, None, None)  # type: ignore[arg-type, type-var]
    assert ended.state == "raised" and ended.message.startswith(
        f"{path}:{line_of(text, 'os._exit(0)')}: error: "
    )


def test_an_error_of_a_plugin_outside_its_methods_is_told(tmp_path: Path) -> None:
    path = save(tmp_path, FIRST_KEY + "\n\ndef helper():\n    sys.exit(0)\n")
    load_plugins([path])
    with (
        pytest.raises(
            PluginError, match=r"own\.py:\d+: error: the plug-in failed: SystemExit: it called sys.exit\(0\)"
        ),
        plugin_errors(),
    ):
        __import__("sys").modules[MASKS["first_key"].__module__].helper()


def test_errors_of_others_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), plugin_errors():
        _ = 1 / 0
    with pytest.raises(ConfigError), plugin_errors():
        raise ConfigError("said")


def test_only_plugins_are_kept_from_leaving() -> None:
    faults._guard_exit()
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_metric_that_returns_no_number_is_told(tmp_path: Path) -> None:
    text = HEAD + (
        "from maskbench.metrics.base import TranslationMetric\n\n\n"
        '@METRICS.register("own")\nclass Own(TranslationMetric):\n    """Own."""\n\n    higher_is_better = True\n'
        '    unit = "share"\n    description = "own"\n    source = "a test, 2026"\n\n'
        "    def count(self, hypothesis, reference):\n        return {}\n"
    )
    for answer, came in (
        ("None", "returned None"),
        ("(1, float('nan'))", "returned (1, nan)"),
        ("(1,)", "returned (1)"),
        ("('a', 2)", "returned ('a', 2)"),
        ("sys.exit(0)", "it called sys.exit(0)"),
    ):
        METRICS._entries.pop("own", None)
        path = save(tmp_path, text.format(answer))
        load_plugins([path])
        with pytest.raises(PluginError) as caught:
            METRICS["own"]().score(["a b"], ["a"])
        assert str(caught.value).startswith(f"{path}:") and "metric 'own': count: " in str(caught.value)
        assert came in str(caught.value)


def test_a_corpus_that_builds_none_is_told(tmp_path: Path) -> None:
    text = HEAD + (
        "from maskbench.data.corpora.copying import CopyCorpus\n\n\n"
        '@CORPORA.register("own")\nclass Own(CopyCorpus):\n    """Own."""\n\n'
        "    @classmethod\n    def build(cls, options):\n        return {}\n"
    )
    for answer, came in (
        ("None", "build: returned None, and returns a Corpus"),
        ("os._exit(0)", "build: SystemExit"),
    ):
        CORPORA._entries.pop("own", None)
        path = save(tmp_path, text.format(answer))
        load_plugins([path])
        with pytest.raises(PluginError) as caught:
            CORPORA["own"].build(CORPORA["own"].Options())
        assert str(caught.value).startswith(f"{path}:") and came in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_whatever_ends_the_import_is_an_error_with_its_line(tmp_path: Path, way: str) -> None:
    path = save(tmp_path, f"import os\nimport sys\n\n{way}\n")
    with pytest.raises(ConfigError) as caught:
        load_plugins([path])
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:4: error: the plug-in cannot be loaded: ") and WAYS[way] in first
    assert second.strip() == way
