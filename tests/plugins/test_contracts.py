"""Every part of a contract that a plug-in breaks is told, all at once, each with its own line."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_sources import FIRST_KEY, HEAD, SAME_LENGTH, line_of, save

from maskbench.errors import ConfigError
from maskbench.plugins import load_plugins
from maskbench.registry import REGISTRIES

CORPUS = (
    HEAD
    + '''from maskbench.data.corpora.copying import CopyCorpus


@CORPORA.register("own_corpus")
class OwnCorpus(CopyCorpus):
    """Says it again."""

    version = 3

    @classmethod
    def tags(cls, options):
        return ()
'''
)

PRESET = (
    FIRST_KEY
    + """
from maskbench.registry import Preset, register_preset
register_preset("wide", Preset("window", {"radius": 2}, frozenset({"cross"}), "Wide.", "a test, 2026"))
"""
)


def refusal(folder: Path, text: str) -> list[str]:
    before = [dict(each) for each in REGISTRIES]
    path = save(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_plugins([path])
    assert [dict(each) for each in REGISTRIES] == before
    return str(caught.value).replace(str(path), "own.py").splitlines()


@pytest.mark.parametrize("text", [FIRST_KEY, SAME_LENGTH, CORPUS, PRESET])
def test_what_the_tables_break_is_right_as_it_stands(tmp_path: Path, text: str) -> None:
    (plugin,) = load_plugins([save(tmp_path, text)])
    assert plugin.registered


BROKEN = [
    # What stands there, what stands there instead, where the message points to, and what it says.
    ('frozenset({"encoder_self"})', '("cross",)', "sites =", 'sites is a tuple, (\'cross\',); write frozenset({"cross"})'),
    ('frozenset({"encoder_self"})', '"cross"', "sites =", "sites is a str, 'cross'; write frozenset({\"cross\"})"),
    ('frozenset({"encoder_self"})', '["cros"]', "sites =", "'cros', which is no site; did you mean 'cross'?"),
    ('frozenset({"encoder_self"})', '{"encoder self"}', "sites =", "did you mean 'encoder_self'?"),
    ('frozenset({"encoder_self"})', "{1}", "sites =", "sites names 1, which is no site"),
    ('frozenset({"encoder_self"})', "None", "@MASKS", "declares no sites"),
    ('frozenset({"encoder_self"})', "set()", "sites =", "sites is empty"),
    ('frozenset({"encoder_self"})', "7", "sites =", "sites is an int, 7"),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    depends_on = "input"\n', "depends_on", 'write frozenset({"input"})'),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    depends_on = {"time"}\n', "depends_on", "depends_on names 'time' (known: annotation"),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    needs = {"tree"}\n', "needs", "needs names 'tree' (known: junk, links)"),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    sliceable = "yes"\n', "sliceable", "sliceable is 'yes', and says True or False"),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    default_phases = ("train")\n', "default_phases", "default_phases is 'train', and is a tuple"),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    default_phases = ("test",)\n', "default_phases", "default_phases is ('test',)"),
    ("    Options = OwnOptions\n", '    Options = OwnOptions\n    default_refresh = "dynamic"\n', "default_refresh", "write Refresh(per=...)"),
    ("    Options = OwnOptions\n", "    Options = OwnOptions\n    example_arm = [1]\n", "example_arm", "a tuple of PlacementConfig"),
    ("def mask_mod(self, options, ctx)", "def mask_mod(self, ctx)", "def mask_mod", "mask_mod takes (self, ctx), and is called with (self, options, ctx)"),
    ("    def mask_mod", "    def __init__(self):\n        pass\n\n    def mask_mod", "def __init__", "is called with (self, options, sizes, site)"),
    ('source = "a test, 2026"', 'source = ""', "source =", "declares no source"),
    ("example = OwnOptions()", "example = {}", "example =", "declares no example: an OwnOptions"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "said"), BROKEN, ids=[b[3][:30] for b in BROKEN])
def test_a_strategys_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, where: str, said: str
) -> None:
    text = FIRST_KEY.replace(old, new)
    assert text != FIRST_KEY
    lines = refusal(tmp_path, text)
    assert any(
        line.startswith(f"own.py:{line_of(text, where)}: error: strategy 'first_key': ") and said in line
        for line in lines
    ), lines


def test_a_wrong_kind_of_set_is_not_called_missing(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, FIRST_KEY.replace('frozenset({"encoder_self"})', '("cross",)'))
    assert "declares no sites" not in line


@pytest.mark.parametrize(
    ("text", "old", "new", "where", "said"),
    [
        (SAME_LENGTH, "(self, hypothesis, reference)", "(self, pair)", "def count", "count takes (self, pair)"),
        (SAME_LENGTH, "high = 1.0", 'high = 1.0\n    slices = "length"', "slices", "slices is a text; put it into a tuple"),
        (SAME_LENGTH, "higher_is_better = True", 'higher_is_better = "yes"', "higher_is_better", "declares no higher_is_better"),
        (CORPUS, "version = 3", 'version = "3"', "version", "version is '3', and is a whole number"),
        (CORPUS, "(CopyCorpus)", "", "@CORPORA", "must be a class derived from CorpusBuilder"),
        (CORPUS, "    version = 3", "    Options = dict", "Options = dict", "declares no Options"),
        (CORPUS, "def tags(cls, options)", "def tags(cls)", "@classmethod", "tags takes ()"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_metric_or_a_corpus_is_told_with_its_line(
    tmp_path: Path, text: str, old: str, new: str, where: str, said: str
) -> None:
    broken = text.replace(old, new)
    assert broken != text
    lines = refusal(tmp_path, broken)
    number = line_of(broken, where) + (where == "@classmethod")
    assert any(line.startswith(f"own.py:{number}: error: ") and said in line for line in lines), lines


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('Preset("window"', 'Preset("windou"', "no mask strategy; did you mean 'window'?"),
        ('{"radius": 2}', '{"radius": -2}', "window.radius"),
        ('{"radius": 2}', '{"radios": 2}', "window.radios"),
        ('frozenset({"cross"})', '("cross",)', "sites is a tuple"),
        ('frozenset({"cross"})', 'frozenset({"loss"})', "sites names 'loss', where window does not act"),
        ('"Wide."', '""', "has no description"),
        ('"wide"', '"Wide"', "a name is made of small letters"),
    ],
)
def test_a_mistake_in_a_preset_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in PRESET
    assert any("preset" in line and said in line for line in refusal(tmp_path, PRESET.replace(old, new)))


def test_all_mistakes_of_all_classes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        FIRST_KEY.replace('frozenset({"encoder_self"})', '("cross",)').replace('"a test, 2026"', '""')
        + SAME_LENGTH.removeprefix(HEAD).replace('unit = "share of sentences"', 'unit = ""')
        + CORPUS.removeprefix(HEAD).replace("version = 3", "version = 1.5").replace("own_corpus", "copy")
    )
    said = {
        f"own.py:{line_of(text, where)}: error: {what}"
        for where, what in (
            ('sites = ("cross",)', "strategy 'first_key': sites is a tuple"),
            ('    source = ""', "strategy 'first_key': declares no source"),
            ('unit = ""', "metric 'same_length': declares no unit"),
            ('@CORPORA.register("copy")', "corpus 'copy' is already CopyCorpus"),
        )
    }
    lines = refusal(tmp_path, text)
    assert all(any(line.startswith(one) for line in lines) for one in said), lines


def test_what_was_registered_before_an_error_is_checked_too(tmp_path: Path) -> None:
    text = FIRST_KEY.replace('frozenset({"encoder_self"})', '("cross",)') + "\n1 / 0\n"
    lines = refusal(tmp_path, text)
    assert any("ZeroDivisionError" in line for line in lines)
    assert any("sites is a tuple" in line for line in lines)
