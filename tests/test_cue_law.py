"""The law of `cue`: how far away a cue can be for a model to make use of it follows from the windows alone."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import HEADS, placement, plan, sizes, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

import maskbench.data
import maskbench.masks  # noqa: F401  (fills the registries)
from maskbench.config.load import load_experiment
from maskbench.config.schema.experiment import RunConfig
from maskbench.data.batches import collate
from maskbench.data.corpora.cue import TAGS, CueCorpus
from maskbench.data.corpus import Corpus
from maskbench.experiment.run import run_experiment
from maskbench.masks.clock import Clock
from maskbench.runs.directory import ExperimentDirectory

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
EVALUATION = Clock("eval", 1, 100)
FURTHEST = 10
NO_WINDOW = 99
SIGHT = 25


@dataclass(frozen=True)
class Windows:
    """Window radii and layers of one arm."""

    encoder: int = NO_WINDOW
    cross: int = NO_WINDOW
    decoder: int = NO_WINDOW
    encoder_layers: int = 2
    decoder_layers: int = 2

    def bound(self, direction: str) -> int:
        """The greatest distance at which the law lets a cue be seen."""
        source = self.cross + self.encoder_layers * self.encoder
        if direction == "right":
            return source
        said = self.decoder_layers * self.decoder + 1
        return max(said, source + (self.decoder_layers - 1) * self.decoder)

    def reached(self) -> set[int]:
        """The distances of all cues within sight of the ambiguous word, positive to the right and negative to the left.

        Follows every edge of the network of states, backwards from the state that says the word at place 0.
        """
        waiting, seen, found = deque([("decoder", self.decoder_layers, 0)]), set(), set()
        while waiting:
            state = side, layer, place = waiting.popleft()
            if state in seen or abs(place) > SIGHT:
                continue
            seen.add(state)
            if layer == 0:
                # The translation of a cue is a decoder input one place after it.
                found.add(place if side == "encoder" else place - 1)
                continue
            steps = range(-SIGHT, SIGHT + 1)
            if side == "encoder":
                waiting += [("encoder", layer - 1, place + k) for k in steps if abs(k) <= self.encoder]
                continue
            waiting += [("decoder", layer - 1, place - k) for k in steps if 0 <= k <= self.decoder]
            # Cross-attention comes after self-attention, at the same place.
            waiting += [("encoder", self.encoder_layers, place + k) for k in steps if abs(k) <= self.cross]
        return found


RIGHT = [
    Windows(encoder=1, cross=1),
    Windows(encoder=2, cross=2),
    Windows(encoder=0, cross=0),
    Windows(encoder=0, cross=4),
    Windows(encoder=4, cross=0, decoder=0),
    Windows(encoder=2, cross=1, decoder=3, encoder_layers=3, decoder_layers=1),
]
LEFT = [
    Windows(encoder=0, cross=0, decoder=1),
    Windows(encoder=0, cross=0, decoder=3),
    Windows(encoder=0, cross=0, decoder=0),
    Windows(encoder=0, cross=0, decoder=2, decoder_layers=3),
    Windows(encoder=1, cross=2, decoder=1),
    Windows(encoder=2, cross=0, decoder=1, encoder_layers=3, decoder_layers=1),
    Windows(encoder=0, cross=1, decoder=1, decoder_layers=4),
]
CASES = [("right", windows) for windows in RIGHT] + [("left", windows) for windows in LEFT]


@cache
def corpus(direction: str) -> Corpus:
    """A corpus with a pair of twins for every distance."""
    return CueCorpus.build(
        CueCorpus.Options(direction=direction, pairs=2, valid=2, test=2, ambiguous=2, fillers=5)
    )


def change_at_the_ambiguous_word(windows: Windows, direction: str, distance: int) -> float:
    """The greatest change of its vocabulary scores when the other cue is put into the source and the prefix."""
    built = corpus(direction)
    of = replace(
        sizes(HEADS, windows.encoder_layers, windows.decoder_layers), vocab_size=len(built.vocabulary)
    )
    sites = {"encoder_self": windows.encoder, "cross": windows.cross, "decoder_self": windows.decoder}
    model = tiny_model(plan(*(placement(s, "window", radius=r) for s, r in sites.items()), of=of)).eval()
    split = built.splits[f"distance-{distance}"]
    assert split.tags is not None
    place = split.tags[0].tolist().index(TAGS.index("ambiguous"))
    with torch.no_grad():
        # One at a time: sums of equal terms are then equal to the last bit.
        first, second = (model(collate(split, np.array([i])), EVALUATION)[0, place] for i in (0, 1))
    return float((first - second).abs().max())


@pytest.mark.parametrize(("direction", "windows"), CASES)
def test_a_cue_changes_what_is_said_up_to_the_bound_and_nothing_at_all_beyond_it(
    direction: str, windows: Windows
) -> None:
    bound = windows.bound(direction)
    assert bound < FURTHEST
    seen = {
        d: change_at_the_ambiguous_word(windows, direction, d) for d in {1, bound, bound + 1, FURTHEST} - {0}
    }
    assert {d: change > 1e-9 for d, change in seen.items()} == {d: d <= bound for d in seen}
    assert all(change == 0 for d, change in seen.items() if d > bound)


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        Windows,
        encoder=st.integers(0, 3),
        cross=st.integers(0, 4),
        decoder=st.integers(0, 4),
        encoder_layers=st.integers(1, 3),
        decoder_layers=st.integers(1, 3),
    )
)
def test_the_law_is_what_following_every_path_finds(windows: Windows) -> None:
    reached = windows.reached()
    assert {d for d in reached if d > 0} == set(range(1, windows.bound("right") + 1))
    assert {-d for d in reached if d < 0} == set(range(1, windows.bound("left") + 1))


def windows_of(config: RunConfig) -> Windows:
    """The windows of an arm of an experiment file."""
    radii = {p.site.removesuffix("_self"): p.options["radius"] for p in config.masks}
    assert all(p.mask == "window" for p in config.masks)
    return Windows(
        **radii, encoder_layers=config.model.encoder_layers, decoder_layers=config.model.decoder_layers
    )


@pytest.mark.parametrize("name", ["receptive_field", "cue_left"])
def test_the_arms_of_an_experiment_reach_as_far_as_their_names_say(name: str) -> None:
    (panel,) = load_experiment(EXPERIMENTS / f"{name}.yaml").panels
    for arm in panel.arms:
        bound = windows_of(arm.config).bound(arm.config.corpus.options["direction"])
        assert min(bound, NO_WINDOW) == int((re.findall(r"\d", arm.name) or [NO_WINDOW])[0])
        assert arm.config.evaluate.splits == tuple(f"distance-{d}" for d in range(1, FURTHEST + 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["receptive_field", "cue_left"])
def test_trained_models_obey_the_law(name: str, tmp_path: Path) -> None:
    experiment = load_experiment(EXPERIMENTS / f"{name}.yaml", quick=True)
    run_experiment(experiment, tmp_path)
    (panel,) = experiment.panels
    runs = ExperimentDirectory.of(tmp_path, experiment.name)
    for arm in panel.arms:
        bound = windows_of(arm.config).bound(arm.config.corpus.options["direction"])
        found = runs.run(arm.name, experiment.seeds[0]).result() or {}
        for d in range(1, FURTHEST + 1):
            accuracy = found["metrics"][f"distance-{d}/token_accuracy[tag:ambiguous]"]
            assert accuracy >= 0.85 if d <= bound else 0.44 <= accuracy <= 0.51, (arm.name, d)
