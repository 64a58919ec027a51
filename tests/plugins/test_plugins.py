"""Strategies from outside: files, installed packages, and what is said about those that are wrong."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import tiny_runs
from plugin_sources import FIRST_KEY, SAME_LENGTH

import maskbench.data
import maskbench.masks  # noqa: F401
from maskbench import plugins, registry
from maskbench.config.schema.metrics import find_metric, metric_names
from maskbench.errors import ConfigError
from maskbench.executors.local import LocalExecutor
from maskbench.experiment import PRELOAD
from maskbench.experiment.run import run_experiment
from maskbench.plugins import Plugin, load_plugins
from maskbench.registry import MASKS, METRICS, PRESETS
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import SoftwareEnvironment
from maskbench.training.environment import environment_changes
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "first.py"
    path.write_text(FIRST_KEY, encoding="utf-8")
    return path


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_plugins([path])
    return str(caught.value)


def test_a_file_adds_its_strategies_and_is_named_with_its_hash(file: Path) -> None:
    (plugin,) = load_plugins([file])
    assert plugin == Plugin("first", file.resolve(), hashlib.sha256(FIRST_KEY.encode()).hexdigest())
    assert MASKS.lookup("first_key").__name__ == "First"


def test_loading_twice_is_harmless(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert load_plugins([file]) == load_plugins([Path("first.py"), file])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_plugins([tmp_path / "nowhere.py"])
    assert "nowhere.py" in str(caught.value)


def test_a_file_that_is_no_python_is_refused(tmp_path: Path) -> None:
    assert ".py" in refusal(tmp_path / "notes.txt", FIRST_KEY)


def test_an_error_in_a_plugin_shows_the_plugins_own_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    message = refusal(path, "import json\n\njson.loads('{')\n")
    first, second = message.split("\n")
    assert first.startswith(f"{path}:3: error: ") and "JSONDecodeError" in first
    assert second.strip() == "json.loads('{')"


def test_an_import_that_is_missing_is_told(tmp_path: Path) -> None:
    message = refusal(tmp_path / "wants.py", "import no_such_module_anywhere\n")
    assert "ModuleNotFoundError" in message and ":1: error:" in message


def test_a_syntax_error_shows_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path / "odd.py", "x = 1\ndef f(:\n    pass\n")
    assert ":2: error:" in message and "def f(:" in message


def test_a_plugin_that_exits_is_an_error_not_an_exit(tmp_path: Path) -> None:
    assert "SystemExit" in refusal(tmp_path / "leaves.py", "import sys\nsys.exit(0)\n")


def test_a_name_that_is_taken_is_told_with_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path / "again.py", FIRST_KEY.replace('"first_key"', '"window"'))
    assert "'window' is already Window" in message and '@MASKS.register("window")' in message


def test_the_name_of_a_preset_is_taken_too(tmp_path: Path) -> None:
    preset = sorted(PRESETS)[0]
    message = refusal(tmp_path / "again.py", FIRST_KEY.replace('"first_key"', f'"{preset}"'))
    assert "already the name of a preset" in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('    source = "a test, 2026"\n', "", "source"),
        ("    example = OwnOptions()\n", "", "example"),
        ("    Options = OwnOptions\n", "", "Options"),
        ('{"encoder_self"}', '{"encoder_slef"}', "did you mean 'encoder_self'"),
        ('frozenset({"encoder_self"})', "frozenset()", "sites"),
        ('{"encoder_self"}', '{"loss"}', "an attention mask is never asked"),
        ('    """Every query sees the first key and itself."""\n', "", "docstring"),
        ("    def mask_mod", "    def mask_mood", "mask_mod"),
        ('    source = "a test', '    stochastic = True\n    source = "a test', "default_refresh"),
        ('    source = "a', '    depends_on = frozenset({"words"})\n    source = "a', "'words'"),
        ('"first_key"', '"First Key"', "small letters"),
        ("(AttentionMask)", "", "must be a class derived from"),
    ],
)
def test_a_class_that_breaks_the_contract_is_told_what_it_lacks(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in FIRST_KEY
    path = tmp_path / "wrong.py"
    message = refusal(path, FIRST_KEY.replace(old, new))
    assert said in message
    assert message.startswith(f"{path}:")


def test_a_plugin_that_fails_leaves_nothing_behind_and_may_be_mended(file: Path) -> None:
    before = MASKS.names()
    refusal(file, FIRST_KEY + "\nraise RuntimeError('late')\n")
    assert MASKS.names() == before
    file.write_text(FIRST_KEY, encoding="utf-8")
    load_plugins([file])
    assert "first_key" in MASKS.names()


def test_a_plugin_that_fails_leaves_no_corpus_and_no_preset_behind(tmp_path: Path) -> None:
    corpora, presets = registry.CORPORA.names(), PRESETS.names()
    text = (
        "from maskbench.registry import CORPORA, Preset, register_preset\n"
        "CORPORA.register('half')(type('Half', (), {}))\n"
        "register_preset('half_window', Preset('window', {}, frozenset({'cross'}), 'd', 's'))\n"
        "raise RuntimeError('late')\n"
    )
    assert "RuntimeError: late" in refusal(tmp_path / "half.py", text)
    assert (registry.CORPORA.names(), PRESETS.names()) == (corpora, presets)


def test_a_plugin_cannot_give_its_strategy_the_name_of_its_own_preset(tmp_path: Path) -> None:
    preset = (
        "from maskbench.registry import Preset, register_preset\n"
        "register_preset('first_key', Preset('window', {}, frozenset({'cross'}), 'd', 's'))\n"
    )
    message = refusal(tmp_path / "both.py", FIRST_KEY.replace("\n\n\n", f"\n{preset}\n\n", 1))
    assert "'first_key' is already the name of a preset" in message


@pytest.mark.parametrize("value", ["installed_first", "installed_first:enter"])
def test_an_installed_plugin_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    name = f"installed_first_{len(value)}"
    text = (
        FIRST_KEY
        if ":" not in value
        else f"{FIRST_KEY}\n\ndef enter():\n    global entered\n    entered = True\n"
    )
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = EntryPoint("first", value.replace("installed_first", name), "maskbench.strategies")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [found] if group == "maskbench.strategies" else []
    )
    (plugin,) = load_plugins()
    assert (plugin.name, plugin.path) == ("first", tmp_path / f"{name}.py")
    assert "first_key" in MASKS.names()
    if ":" in value:
        assert sys.modules[name].entered


def test_a_plugin_that_is_in_two_entry_point_groups_is_called_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{FIRST_KEY}\n\ncalls = []\n\n\ndef enter():\n    calls.append(1)\n"
    (tmp_path / "installed_twice.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    groups = {
        group: [EntryPoint("twice", "installed_twice:enter", group)]
        for group in ("maskbench.strategies", "maskbench.corpora")
    }
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: groups.get(group, []))
    assert [plugin.name for plugin in load_plugins()] == ["twice"]
    assert sys.modules["installed_twice"].calls == [1]


def test_a_broken_installed_plugin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "installed_broken.py").write_text("raise RuntimeError('no')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = EntryPoint("broken", "installed_broken", "maskbench.strategies")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [found])
    with pytest.raises(ConfigError, match=r"installed plug-in 'broken'(.|\n)*RuntimeError: no"):
        load_plugins()


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_training_processes_find_the_strategies_of_a_file(file: Path, tmp_path: Path, method: str) -> None:
    from maskbench.config.load import load_experiment

    load_plugins([file])
    experiment = tmp_path / "first.yaml"
    experiment.write_text(
        "name: first\nseeds: 1\ncorpus: {name: copy, pairs: 60, valid: 9, test: 7, max_length: 6}\n"
        "model: {d_model: 12, n_heads: 3, d_ff: 20, encoder_layers: 1, decoder_layers: 1}\n"
        "train: {steps: 4, batch_tokens: 96, valid_every: 2, save_every: 2, warmup_steps: 1}\n"
        "evaluate: {splits: [test], metrics: [nll, exact_match]}\n"
        "arms: {none: [], first: [{site: encoder_self, mask: first_key}]}\n",
        encoding="utf-8",
    )
    runs = tmp_path / "runs"
    outcome = run_experiment(
        load_experiment(experiment),
        runs,
        executor=LocalExecutor(1, method=method, preload=PRELOAD),
        plugins=[file],
    )
    assert [ended.state for ended in outcome.ended] == ["done", "done"], outcome.ended
    assert not [warning for warning in outcome.warnings if "cost" in warning]
    record = RunDirectory(runs / "first" / "first" / "seed-0").record()
    assert record is not None
    assert record["plugins"] == {"first": hashlib.sha256(FIRST_KEY.encode()).hexdigest()}


def test_without_plugins_none_are_recorded(tmp_path: Path) -> None:
    directory = tmp_path / "arm" / "seed-0"
    config = tiny_runs.config(steps=2, valid_every=2)
    train_run(RunJob("x", None, "arm", 0, config, directory, tmp_path / "cache"), lambda progress: None)
    record = RunDirectory(directory).record()
    assert record is not None and record["plugins"] == {}


def test_other_code_under_the_same_name_is_noticed_on_resuming() -> None:
    now = SoftwareEnvironment({}, {}, {"first": "b" * 64})
    assert environment_changes({"plugins": {"first": "a" * 64}}, now) == [
        f"plug-in first {'a' * 12} -> {'b' * 12}"
    ]
    assert environment_changes({"plugins": {"first": "b" * 64}}, now) == []


def test_the_command_line_refuses_a_bad_plugin_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("1 / 0\n", encoding="utf-8")
    command = [sys.executable, "-m", "maskbench.cli", "masks", "--plugin", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.splitlines() == [
        f"{path}:1: error: the plug-in cannot be loaded: ZeroDivisionError: division by zero",
        "  1 / 0",
    ]


def test_a_file_adds_a_metric_that_scores_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "same_length.py"
    path.write_text(SAME_LENGTH, encoding="utf-8")
    load_plugins([path])
    metric = find_metric("same_length")
    assert metric_names()[-1] == "same_length" and metric.name == "same_length"
    assert metric.score(["ab", "c", "Ab"], ["xy", "zz", "aB"]) == 2 / 3
    assert metric.count_texts(["ab", "c"], ["xy", "zz"]) == [[1, 1], [0, 1]]
    assert metric.score([], []) == 0.0


@pytest.mark.parametrize(
    ("changed", "to", "said"),
    [
        ("    higher_is_better = True\n", "", "declares no higher_is_better"),
        ("    unit = ", "    other = ", "declares no unit"),
        ("    description = ", "    other = ", "declares no description"),
        ("    source = ", "    other = ", "declares no source"),
        ("    high = 1.0", "    high = -1.0", "low is below high"),
        ("    high = 1.0", "    needs = {'trees'}", "needs names 'trees' (known: junk, links"),
        ("    high = 1.0", "    slices = ('color',)", "slices names 'color'"),
        ("    high = 1.0", "    sentence_numbers = 0", "sentence_numbers is None, or"),
        ("    high = 1.0", "    sentence_numbers = 3", "does not define score_counts"),
        ("(TranslationMetric)", "", "must be a class derived from Metric"),
        ('"same_length"', '"Same"', "a name is made of small letters"),
        ('"same_length"', '"bleu"', "metric 'bleu' is already Bleu"),
    ],
)
def test_a_metric_that_breaks_the_contract_is_told_and_taken_out(
    tmp_path: Path, changed: str, to: str, said: str
) -> None:
    before = dict(METRICS)
    message = refusal(tmp_path / "wrong.py", SAME_LENGTH.replace(changed, to))
    assert said in message and "wrong.py:" in message
    assert dict(METRICS) == before


def test_an_installed_package_adds_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "metric_of_a_package.py").write_text(SAME_LENGTH, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("same", "metric_of_a_package", "maskbench.metrics")
    monkeypatch.setattr(plugins, "find_installed_plugins", lambda: [entry])
    load_plugins()
    assert find_metric("same_length").unit == "share of sentences"
