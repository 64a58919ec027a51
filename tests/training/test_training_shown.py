"""What a run keeps for people, samples, histograms and pictures, is there once however often it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
import torch
from helpers import png_size
from killed import train_until_killed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import STEPS

from maskbench.masks.clock import Clock
from maskbench.metrics.attention_statistics import watch_attention
from maskbench.model.transformer import build_model
from maskbench.pictures.cross_attention import (
    SentenceAttention,
    compute_cross_attention,
    render_attention_png,
)
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.sinks import rebuild_events
from maskbench.training.job import RunJob
from maskbench.training.logbook import Logbook
from maskbench.training.pictures import BARS, RunPictures, histogram_bars
from maskbench.training.trainer import make_trainer

LEARNED = {"site": "decoder_self", "mask": "transform"}


def train(root: Path, cache: Path, stop_after: int | None = None) -> RunDirectory:
    config = tiny_runs.config(masks=[LEARNED, tiny_runs.TOKENS])
    directory = root / "arm" / "seed-0"
    job = RunJob("x", None, "arm", 0, config, directory, cache)
    train_until_killed(job, stop_after)
    return RunDirectory(directory)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    return train(tmp_path_factory.mktemp("undisturbed"), cache)


def kept(run: RunDirectory) -> dict[str, bytes]:
    files = [run.samples.path, run.histograms.path, *run.pictures()]
    return {file.name: file.read_bytes() for file in files}


def shown(run: RunDirectory) -> list[tuple[str, int, Any]]:
    """Tag, step and content of every point that TensorBoard reads, but for the times at which the run was made."""
    accumulator = EventAccumulator(str(run.path), size_guidance={"tensors": 0, "scalars": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    scalars = [(tag, s.step, s.value) for tag in tags["scalars"] for s in accumulator.Scalars(tag)]
    tensors = [
        (tag, t.step, t.tensor_proto.SerializeToString())
        for tag in tags["tensors"]
        for t in accumulator.Tensors(tag)
    ]
    return sorted(scalars + tensors)


def test_histograms_are_counted_at_the_start_and_at_every_validation(undisturbed: RunDirectory) -> None:
    lines = undisturbed.histograms.read()
    assert sorted({line["step"] for line in lines}) == [0, 4, 8, STEPS]
    tags = {line["tag"] for line in lines}
    assert tags and all(tag.startswith("mask/parameters/decoder_self-transform-0/") for tag in tags)
    assert len(lines) == 4 * len(tags)
    for line in lines:
        assert (len(line["edges"]), len(line["counts"])) == (BARS + 1, BARS)
        assert line["edges"] == sorted(line["edges"])


def test_samples_are_the_first_translations_with_their_sources(undisturbed: RunDirectory) -> None:
    lines, said = undisturbed.samples.read(), undisturbed.translations("test")
    assert [line["id"] for line in lines] == list(range(7))  # the split has no more
    assert {line["id"]: line["hypothesis"] for line in lines} == said
    # The toy task is to copy.
    assert all(line["source"] == line["reference"] for line in lines)
    assert {(line["step"], line["split"]) for line in lines} == {(STEPS, "test")}


@pytest.mark.parametrize("kills", [(3,), (6, 10), (STEPS - 1,), (STEPS,)])
def test_a_killed_run_ends_in_the_same_files_and_shows_every_step_once(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path, kills: tuple[int, ...]
) -> None:
    for stop_after in kills:
        train(tmp_path, cache, stop_after)
    run = train(tmp_path, cache)
    assert kept(run) == kept(undisturbed)
    points = shown(run)
    assert len({(tag, step) for tag, step, _ in points}) == len(points)
    assert points == shown(undisturbed)
    rebuild_events(run)
    assert shown(run) == points


def test_what_was_torn_in_the_middle_is_completed(undisturbed: RunDirectory, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    whole = undisturbed.samples.read()
    run.path.mkdir()
    run.samples.path.write_bytes(
        b"".join(json.dumps(line).encode() + b"\n" for line in whole[:3]) + b'{"step": 1'
    )
    log = Logbook(run, 0, STEPS)
    log.show_samples(STEPS, "test", [(x["id"], x["source"], x["reference"], x["hypothesis"]) for x in whole])
    log.show_samples(STEPS, "test", [(0, "again", "again", "again")])
    assert run.samples.read() == whole


def test_what_belongs_to_steps_that_are_done_again_is_cut_off(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    log = Logbook(run, 0)
    for step in (0, 5, 10):
        log.show_histogram(step, "x", [0.0, 1.0], [step])
        log.show_samples(step, "test", [(7, "a", "b", f"c{step}")])
    log = Logbook(run, 0, 5)
    log.show_histogram(5, "x", [0.0, 1.0], [99])  # is there
    log.show_histogram(10, "x", [0.0, 1.0], [11])
    assert [(line["step"], line["counts"]) for line in run.histograms.read()] == [
        (0, [0]),
        (5, [5]),
        (10, [11]),
    ]
    assert [line["step"] for line in run.samples.read()] == [0, 5]


def test_bars_hold_every_value_once() -> None:
    values = np.array([0.0, 0.0, 1.5, 3.0, 2.95])
    heights, edges = histogram_bars(values)
    assert heights.sum() == 5 and heights[0] == 2 and heights[BARS // 2] == 1 and heights[-1] == 2
    assert edges[0] == 0.0 and edges[-1] == 3.0 and np.allclose(np.diff(edges), 0.1)


def test_equal_values_are_one_bar_without_width() -> None:
    heights, edges = histogram_bars(np.full(6, 0.25))
    assert heights.tolist() == [0] * (BARS - 1) + [6] and set(edges.tolist()) == {0.25}


def test_attention_is_that_of_the_last_layer_with_heads_averaged(cache: Path) -> None:
    from maskbench.data import load_corpus
    from maskbench.data.batches import collate
    from maskbench.decoding import evaluation_mode

    config = tiny_runs.config()
    config = config.model_copy(update={"model": config.model.model_copy(update={"decoder_layers": 2})})
    corpus = load_corpus(config.corpus, cache)
    model, clock = build_model(config, corpus, 1), Clock.evaluation(0, 10)
    seen = compute_cross_attention(model, corpus, "valid", 0, clock)
    weights: dict[int, torch.Tensor] = {}

    def watch(site: str, layer: int, found: torch.Tensor, keep: torch.Tensor) -> None:
        if site == "cross":
            weights[layer] = found

    batch = collate(corpus.splits["valid"], np.arange(3))
    with evaluation_mode(model), watch_attention(model, watch):
        model.hidden(batch, clock)
    rows, columns = seen.weights.shape
    want = weights[1][0].sum(0).detach().numpy() / 3
    assert np.allclose(seen.weights, want[:rows, :columns], atol=1e-6) and not np.allclose(
        want, weights[0][0].mean(0)
    )
    assert " ".join(seen.source_tokens[:-1]) == corpus.splits["valid"].sources[0]
    assert " ".join(seen.target_tokens[:-1]) == corpus.splits["valid"].references[0]
    assert (rows, columns) == (len(seen.target_tokens), len(seen.source_tokens))
    assert np.allclose(seen.weights.sum(1), 1.0)


def test_a_picture_of_attention_copes_with_any_words() -> None:
    words = ("$x_{", "\x1b[31mred", "語", "a" * 90, "<b>")
    picture = render_attention_png(SentenceAttention(words, words, np.eye(5)))
    width, height = png_size(picture)
    assert 100 < width < 600 and 100 < height < 600
    assert picture == render_attention_png(SentenceAttention(words, words, np.eye(5)))
    long = png_size(render_attention_png(SentenceAttention(("w",) * 300, ("v",) * 200, np.zeros((300, 200)))))
    assert max(long) < 2000


def test_a_picture_of_attention_that_fails_stops_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from maskbench.data import load_corpus
    from maskbench.pictures import cross_attention

    def broken(*_: object) -> None:
        raise RuntimeError("no paint")

    config = tiny_runs.config()
    corpus = load_corpus(config.corpus, cache)
    trainer, log = make_trainer(config, corpus, 0), Logbook(RunDirectory(tmp_path / "seed-0"), 0)
    monkeypatch.setattr(cross_attention, "render_attention_png", broken)
    RunPictures(trainer, log, 0).draw_attention(corpus, "test", Clock.evaluation(STEPS, STEPS))
    assert f"no picture of the attention at step {STEPS}: RuntimeError: no paint" in capsys.readouterr().err
