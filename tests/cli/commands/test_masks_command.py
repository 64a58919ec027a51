"""`maskbench masks`: the table, one strategy in full, pictures in characters, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import maskbench.masks  # noqa: F401
from maskbench.cli.main import app
from maskbench.cli.views.mask_drawing import ASCII, BLOCKS, draw_sheet
from maskbench.cli.views.mask_table import short_source
from maskbench.pictures.mask_picture import MaskPicture, Token, TokenRow
from maskbench.registry import MASKS, PRESETS

NAMES = [*MASKS.names(), *PRESETS]


def invoke(*arguments: object, env: dict[str, str] | None = None) -> Result:
    environment = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", **(env or {})}
    return CliRunner().invoke(app, ["masks", *map(str, arguments)], env=environment)


def test_the_table_lists_everything_in_eighty_columns() -> None:
    result = invoke()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    firsts = {line.split()[0] for line in lines if line.strip()}
    assert set(NAMES) <= firsts
    (window,) = [line for line in lines if line.startswith("window ")]
    assert window.split() == ["window", "enc", "dec", "cross", "Beltagy", "et", "al.", "2020"]
    assert "\x1b" not in result.stdout


def test_the_table_can_be_narrowed_to_a_site() -> None:
    result = invoke("--site", "loss")
    assert "loss_tokens" in result.stdout and "window" not in result.stdout
    assert invoke("--site", "los").exit_code == 2
    assert "did you mean 'loss'" in invoke("--site", "los").stderr


def test_one_strategy_is_described_in_full() -> None:
    text = " ".join(invoke("random_sparse").stdout.split())
    for said in (
        "keep(i, j) = u(i, j) < density or i = j",
        "0 to 1 required",
        "yes; by default refresh: {per: run}",
        "Zaheer et al. 2020 (the random part of BigBird",
        "training and evaluation",
        "- {site: encoder_self, mask: random_sparse, density: 0.4}",
    ):
        assert said in text


@pytest.mark.parametrize("name", NAMES)
def test_every_description_fits_eighty_columns(name: str) -> None:
    result = invoke(name)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_json_is_a_list_of_all_with_stable_keys() -> None:
    everything = json.loads(invoke("--json").stdout)
    assert [item["name"] for item in everything] == sorted(NAMES)
    keys = {"name", "kind", "sites", "depends_on", "learned", "parameters", "source", "preset_of"}
    assert all(keys <= item.keys() for item in everything)
    (one,) = json.loads(invoke("transform", "--json").stdout)
    assert one["learned"] and one["kind"] == "gate"


def test_a_window_is_drawn_with_both_ends_numbered() -> None:
    result = invoke("window", "--show", "--set", "radius=1", "--length", 12)
    lines = result.stdout.splitlines()
    assert lines[0] == "{site: encoder_self, mask: window, radius: 1}"
    assert lines[2].split() == ["0", "11"]
    assert lines[3] == "  0 ████" + "· " * 9 + "·"
    assert lines[14] == " 11 " + "· " * 10 + "████"
    # The number of the last column stands at that column.
    assert lines[2].index("11") == lines[14].rindex("██")
    assert "rows: query position, columns: key position" in result.stdout
    assert result.exit_code == 0


def test_a_causal_site_shows_its_triangle() -> None:
    lines = invoke("window", "--show", "--set", "radius=3", "--site", "decoder_self", "--length", 3).stdout
    assert [line[4:] for line in lines.splitlines()[3:6]] == ["██", "████", "██████"]
    assert "blank: not legal anyway" in lines


def test_without_unicode_ascii_is_drawn() -> None:
    drawn = invoke("alibi", "--show", "--length", 5, env={"PYTHONIOENCODING": "ascii"})
    assert drawn.exit_code == 0
    sheet = MaskPicture("t", rows=(TokenRow("visit 0", (Token("word", "masked"), Token("other", "zeroed"))),))
    assert draw_sheet(sheet, 80, ASCII).splitlines()[0] == "visit 0  #### ~~~~~"
    assert draw_sheet(sheet, 80, ASCII).isascii()


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_fits_eighty_columns(name: str) -> None:
    result = invoke(name, "--show", "--length", 12)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_longest_sentence_fits_eighty_columns_and_longer_ones_are_refused() -> None:
    result = invoke("window", "--show", "--length", 64)
    assert max(map(len, result.stdout.splitlines())) <= 80
    refused = invoke("window", "--show", "--length", 65)
    assert refused.exit_code == 2 and "--png" in refused.stderr


def test_a_long_sentence_goes_on_below() -> None:
    words = tuple(Token("abcdefghi", "shown") for _ in range(4))
    sheet = MaskPicture("t", rows=(TokenRow("visit 0", words), TokenRow("visit 1", words)))
    lines = draw_sheet(sheet, 30, BLOCKS).splitlines()
    assert lines == ["visit 0  abcdefghi abcdefghi", "visit 1  abcdefghi abcdefghi", "", *lines[:2]]


def test_rows_of_different_lengths_are_not_forced_into_columns() -> None:
    rows = (
        TokenRow("sentence", (Token("a", "shown"), Token("bc", "shown"))),
        TokenRow("visit 0", (Token("bc", "new"),)),
    )
    assert draw_sheet(MaskPicture("t", rows=rows), 80, BLOCKS).splitlines()[:2] == [
        "sentence  a bc",
        "visit 0   +bc",
    ]


def test_a_picture_is_saved_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "window.png"
    result = invoke("window", "--png", path, "--length", 70)
    assert result.exit_code == 0 and result.stdout == ""
    assert path.read_bytes().startswith(b"\x89PNG")
    again = invoke("window", "--png", path)
    assert again.exit_code == 2 and "already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["windwo"], "did you mean 'window'"),
        (["window", "--show", "--set", "raduis=1"], "did you mean 'radius'"),
        (["window", "--show", "--site", "encoder_slef"], "did you mean 'encoder_self'"),
        (["window", "--show", "--head", "9"], "no head 9"),
        (["--show"], "name it"),
        (["window", "--set", "radius=1"], "--show"),
        (["window", "--png", "picture.jpg"], ".png"),
        (["window", "--png", "no/such/folder/x.png"], "no folder"),
        (["--plugin", "nowhere.py"], "no such file"),
    ],
)
def test_a_mistake_is_one_message_and_exit_two(arguments: list[str], said: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr and result.stdout == ""


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("Beltagy et al. 2020 (Longformer, arXiv:2004.05150)", "Beltagy et al. 2020"),
        ("Devlin et al. 2019 (BERT); Liu et al. 2019 (RoBERTa)", "Devlin et al. 2019"),
        ("an upper bound; maskbench 2026", "maskbench 2026"),
        ("folklore", "folklore"),
    ],
)
def test_sources_are_shortened_to_author_and_year(source: str, short: str) -> None:
    assert short_source(source) == short
