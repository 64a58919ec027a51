"""Pictures of masks: the cells they consist of, the images of a run, and that they never touch a run."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
import torch
from helpers import png_size
from killed import train_until_killed

import maskbench.masks  # noqa: F401
from maskbench.config.schema.experiment import ModelConfig, RunConfig
from maskbench.errors import ConfigError
from maskbench.pictures.attention_grids import _label, _numbers
from maskbench.pictures.draw import PictureOptions, draw_placement, parse_placement
from maskbench.pictures.figure import make_figure, render_png
from maskbench.pictures.mask_picture import MaskPicture
from maskbench.pictures.mask_snapshots import encode_png, render_grids_png
from maskbench.registry import MASKS, PRESETS
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.sinks import TensorBoardSink, rebuild_events
from maskbench.training.job import RunJob
from maskbench.training.pictures import RunPictures

SITES_OF = {name: MASKS.lookup(name).sites for name in MASKS.names()} | {
    name: preset.sites for name, preset in PRESETS.items()
}
CASES = [(name, site) for name, sites in SITES_OF.items() for site in sorted(sites)]
MOVING = {"site": "encoder_self", "mask": "window", "options": {"radius": {"linear": [0, 3]}}}
STILL = {"site": "cross", "mask": "random_sparse", "options": {"density": 0.3, "per_head": True}}
LEARNED = {"site": "decoder_self", "mask": "transform"}


def sheet(name: str, site: str, *settings: str, **view: Any) -> MaskPicture:
    return draw_placement(parse_placement(name, site, settings, ModelConfig()), PictureOptions(**view))


@pytest.mark.parametrize(("name", "site"), CASES)
def test_every_strategy_can_be_drawn_at_every_site(name: str, site: str) -> None:
    drawn = sheet(name, site, length=6, source_length=9)
    for stage in drawn.stages:
        for grid in stage.grids:
            known = grid.shades[~np.isnan(grid.shades)]
            assert len(known) and bool(((known >= 0) & (known <= 1)).all())
    assert drawn.stages or drawn.rows or name == "concat_feature"


def test_a_window_is_drawn_as_it_is_defined() -> None:
    ((grid,),) = [stage.grids for stage in sheet("window", "encoder_self", "radius=1", length=5).stages]
    assert grid.shades.tolist() == [[float(abs(i - j) <= 1) for j in range(5)] for i in range(5)]
    assert grid.label == ""


def test_what_no_mask_could_open_is_neither_hidden_nor_shown() -> None:
    drawn = sheet("window", "decoder_self", "radius=1", length=4)
    ((grid,),) = [stage.grids for stage in drawn.stages]
    expected = [[np.nan if j > i else float(i - j <= 1) for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(grid.shades, expected)
    assert drawn.has_illegal_cells and not drawn.has_partial_cells


def test_an_arm_that_may_see_the_future_is_drawn_seeing_it() -> None:
    drawn = sheet("window", "decoder_self", "radius=1", "legality=no_causal", "unsafe=true", length=4)
    ((grid,),) = [stage.grids for stage in drawn.stages]
    assert grid.shades.tolist() == [[float(abs(i - j) <= 1) for j in range(4)] for i in range(4)]


def test_queries_go_down_and_keys_across() -> None:
    ((grid,),) = [s.grids for s in sheet("wait_k", "cross", "k=2", length=4, source_length=7).stages]
    assert grid.shades.shape == (4, 7)
    assert grid.shades.sum(1).tolist() == [2, 3, 4, 5]


def test_a_bias_is_drawn_relative_to_the_best_key_of_the_row() -> None:
    ((first, *_),) = [stage.grids for stage in sheet("alibi", "encoder_self", length=5).stages]
    slope = 2.0 ** (-8 / 4)
    expected = [[np.exp(-slope * abs(i - j)) for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(first.shades, expected, rtol=1e-5)


def test_heads_that_differ_stand_apart_and_equal_ones_together() -> None:
    of = "of=[{mask: window, radius: 1}, {mask: none}]"
    drawn = sheet("mixed_heads", "encoder_self", of, "repeat=true")
    assert [grid.label for stage in drawn.stages for grid in stage.grids] == ["heads 0, 2", "heads 1, 3"]
    (only,) = sheet("mixed_heads", "encoder_self", of, "repeat=true", heads=(1,)).stages[0].grids
    assert only.shades.all() and only.label == ""


def test_a_schedule_is_drawn_at_start_middle_and_end() -> None:
    drawn = sheet("window", "encoder_self", "radius={linear: [0, 4]}", length=9)
    grids = [grid for stage in drawn.stages for grid in stage.grids]
    assert [grid.label for grid in grids] == [
        "at the start (radius 0)",
        "half-way (radius 2)",
        "at the end (radius 4)",
    ]
    assert [int(grid.shades[4].sum()) for grid in grids] == [1, 5, 9]


def test_a_random_pattern_is_another_one_at_another_seed_and_the_same_at_the_same() -> None:
    def cells(**view: int) -> list[list[float]]:
        rows: list[list[float]] = (
            sheet("random_sparse", "encoder_self", **view).stages[0].grids[0].shades.tolist()
        )
        return rows

    assert cells(seed=1) == cells(seed=1) != cells(seed=2)
    assert cells(epoch=3) == cells(epoch=0)  # by default one pattern for the whole run


def test_visits_of_a_static_mask_are_alike_and_those_of_a_dynamic_one_are_not() -> None:
    def visits(refresh: str) -> set[str]:
        drawn = sheet("tokens", "encoder_input", "ratio=0.5", f"refresh={refresh}", length=20)
        return {str([t.state for t in row.tokens]) for row in drawn.rows[1:]}

    assert len(visits("static")) == 1
    assert len(visits("{per: example, variants: 2}")) == 2
    assert len(visits("dynamic")) == 5


def test_the_looks_of_tokens_say_what_became_of_them() -> None:
    def looks(replace: str) -> set[str]:
        drawn = sheet("tokens", "encoder_input", "ratio=1.0", f"replace={replace}", length=8)
        return {token.state for row in drawn.rows[1:] for token in row.tokens}

    assert looks("mask") == {"masked", "shown"}  # the end mark is never picked
    assert looks("zero") == {"zeroed", "shown"}
    assert looks("keep") == {"kept", "shown"}
    assert "replaced" in looks("random")


def test_a_learned_strategy_is_drawn_away_from_its_start_and_says_so() -> None:
    drawn = sheet("transform", "encoder_self")
    assert drawn.has_partial_cells
    assert any(note.startswith("learned") for note in drawn.notes)


def test_options_that_do_not_go_with_the_example_replace_it() -> None:
    placement = parse_placement("window", "encoder_self", ["left=3"], ModelConfig())
    assert placement.options["left"] == 3 and placement.options["radius"] is None
    kept = parse_placement("window", "encoder_self", ["dilation=2"], ModelConfig())
    assert kept.options["radius"] == 2 and kept.options["dilation"] == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["raduis=1"], "did you mean 'radius'"),
        (["radius=-1"], "at least 0"),
        (["radius"], "KEY=VALUE"),
        (["site=cross"], "--site"),
        (["heads=[9]"], "no head 9"),
    ],
)
def test_a_wrong_setting_is_one_message(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_placement("window", "encoder_self", settings, ModelConfig())


def test_a_head_or_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no head 4"):
        sheet("window", "encoder_self", heads=(4,))
    with pytest.raises(ConfigError, match="no layer 2"):
        sheet("window", "encoder_self", layers=(2,))


@pytest.mark.parametrize(
    ("first", "expected"),
    [([2], "head 2"), ([0, 1], "heads 0, 1"), ([0, 1, 2], "heads 0-2"), ([0, 2, 3], "heads 0, 2, 3")],
)
def test_numbers_are_listed_briefly(first: list[int], expected: str) -> None:
    assert _numbers("head", first) == expected


def test_a_label_names_only_what_tells_grids_apart() -> None:
    every = [(layer, head) for layer in (0, 1) for head in (0, 1)]
    assert _label(every, every) == ""
    assert _label([(0, 0), (1, 0)], every) == "head 0"
    assert _label([(1, 0), (1, 1)], every) == "layer 1"
    assert _label([(0, 1)], every) == "layer 0, head 1"
    assert _label([(0, 0), (0, 1), (1, 1)], every) == "layer 0 heads 0, 1; layer 1 head 1"


def test_a_figure_has_axes_for_every_head_and_says_what_they_are() -> None:
    axes = make_figure(sheet("alibi", "decoder_self", length=5)).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["head 0", "head 1", "head 2", "head 3"]
    assert {ax.get_xlabel() for ax in axes} == {"key position"}
    assert {ax.get_ylabel() for ax in axes} == {"query position"}


@pytest.mark.parametrize(
    ("name", "site"), [("window", "cross"), ("tokens", "encoder_input"), ("ban_tokens", "logits")]
)
def test_a_figure_becomes_a_png(name: str, site: str) -> None:
    width, height = png_size(render_png(sheet(name, site, length=5)))
    assert width > 100 and height > 100


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of every chunk of a PNG file, read by hand; a wrong checksum fails."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = [], 8
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        assert zlib.crc32(data[place + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        found.append((data[place + 4 : place + 8], data[place + 8 : end]))
        place = end + 4
    return found


def unfiltered(lines: bytes, width: int) -> bytes:
    """The pixels of lines that each begin with their filter, for three bytes a pixel."""
    above, out = bytes(width), b""
    for start in range(0, len(lines), width + 1):
        kind, line = lines[start], bytearray(lines[start + 1 : start + 1 + width])
        for i, byte in enumerate(line):
            left, corner = (line[i - 3], above[i - 3]) if i >= 3 else (0, 0)
            guess = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda near: abs(guess - near))
            line[i] = (byte + (0, left, above[i], (left + above[i]) // 2, paeth)[kind]) % 256
        above = bytes(line)
        out += above
    return out


def test_a_png_decodes_to_its_pixels_and_holds_no_text() -> None:
    pixels = (np.arange(3 * 5 * 3) * 5 % 256).astype(np.uint8).reshape(3, 5, 3)
    (header, *parts, end) = chunks(encode_png(pixels))
    assert header == (b"IHDR", struct.pack(">IIBBBBB", 5, 3, 8, 2, 0, 0, 0)) and end == (b"IEND", b"")
    assert {name for name, _ in parts} == {b"IDAT"}
    lines = zlib.decompress(b"".join(content for _, content in parts))
    assert len(lines) == 3 * 16 and unfiltered(lines, 15) == pixels.tobytes()


def test_matplotlib_reads_the_image_of_a_grid_dark_where_it_is_open(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "grid.png"
    path.write_bytes(render_grids_png([[np.array([[1.0, 0.0], [np.nan, 1.0]], dtype=np.float32)]]))
    read = imread(path)
    n = read.shape[0]
    dark, light, white = read[n // 4, n // 4], read[n // 4, 3 * n // 4], read[3 * n // 4, n // 4]
    assert dark[:3].sum() < light[:3].sum() < white[:3].sum()
    assert white[:3].tolist() == [1.0, 1.0, 1.0]


def config() -> RunConfig:
    return tiny_runs.config(masks=[MOVING, STILL, LEARNED, tiny_runs.TOKENS])


def train(root: Path, cache: Path, stop_after: int | None = None) -> RunDirectory:
    directory = root / "arm" / "seed-0"
    job = RunJob("x", None, "arm", 0, config(), directory, cache)
    train_until_killed(job, stop_after)
    return RunDirectory(directory)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    return train(tmp_path_factory.mktemp("undisturbed"), cache)


HALF, END = tiny_runs.STEPS // 2, tiny_runs.STEPS
EXPECTED = {
    "mask/picture/encoder_self-window-0": [0, HALF, END],
    "mask/picture/decoder_self-transform-0": [0, HALF, END],
    "mask/picture/cross-random_sparse-0": [0],
    "attention/cross": [END],
}


def shown(run: RunDirectory) -> dict[str, list[int]]:
    """The steps of every picture that TensorBoard finds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.image.metadata import PLUGIN_NAME

    accumulator = EventAccumulator(str(run.path))
    accumulator.Reload()
    tags = accumulator.PluginTagToContent(PLUGIN_NAME)
    return {tag: [event.step for event in accumulator.Tensors(tag)] for tag in tags}


def test_a_finished_run_has_pictures_of_its_attention_masks(undisturbed: RunDirectory) -> None:
    assert shown(undisturbed) == EXPECTED
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(undisturbed.path))
    accumulator.Reload()
    (event, *_) = accumulator.Tensors("mask/picture/encoder_self-window-0")
    width, height, data = event.tensor_proto.string_val
    assert (int(width), int(height)) == png_size(data)


def test_a_scheduled_mask_looks_different_later_and_a_learned_one_too(undisturbed: RunDirectory) -> None:
    for label in ("encoder_self-window-0", "decoder_self-transform-0"):
        assert len({undisturbed.picture(label, step).read_bytes() for step in (0, HALF, END)}) == 3


@pytest.mark.parametrize("stop_after", [HALF - 2, HALF, HALF + 1, END])
def test_a_resumed_run_has_the_same_pictures_each_once(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path, stop_after: int
) -> None:
    train(tmp_path, cache, stop_after)
    run = train(tmp_path, cache)
    assert shown(run) == EXPECTED
    for path in undisturbed.pictures():
        assert (run.path / "pictures" / path.name).read_bytes() == path.read_bytes()


def test_pictures_change_no_byte_of_a_run(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunPictures, "draw", lambda *_: None)
    monkeypatch.setattr(RunPictures, "draw_attention", lambda *_: None)
    run = train(tmp_path, cache)
    assert run.metrics.path.read_bytes() == undisturbed.metrics.path.read_bytes()
    result, other = run.result() or {}, undisturbed.result() or {}
    assert {k: v for k, v in result.items() if k != "cost"} == {k: v for k, v in other.items() if k != "cost"}
    assert not run.pictures()


def test_a_picture_that_fails_stops_nothing_and_leaves_a_line(
    undisturbed: RunDirectory,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no paint")

    monkeypatch.setattr(RunPictures, "_draw", broken)
    run = train(tmp_path, cache)
    assert run.metrics.path.read_bytes() == undisturbed.metrics.path.read_bytes()
    assert "no pictures of the masks at step 0: RuntimeError: no paint" in capsys.readouterr().err


def test_drawing_moves_no_random_number() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for name, site in CASES[::7]:
        sheet(name, site, length=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_rebuilding_keeps_all_pictures_or_drops_those_of_later_steps(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "arm" / "seed-0")
    data = render_grids_png([[np.ones((2, 2), dtype=np.float32)]])
    for step in (0, 5, 10):
        run.picture("a-b-0", step).parent.mkdir(parents=True, exist_ok=True)
        run.picture("a-b-0", step).write_bytes(data)
    (run.path / "pictures" / "notes.png").write_bytes(data)  # somebody else's
    rebuild_events(run)
    assert shown(run) == {"mask/picture/a-b-0": [0, 5, 10]}
    sink: TensorBoardSink = rebuild_events(run, steps=5)
    assert shown(run) == {"mask/picture/a-b-0": [0, 5]} and sink.failure is None
    assert not run.picture("a-b-0", 10).exists() and (run.path / "pictures" / "notes.png").exists()
