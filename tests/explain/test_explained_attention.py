"""The model of a finished run is the one that was measured, and its attention is what it looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import nll
from tiny_runs import STEPS, TOKENS, config

from maskbench.config.schema.experiment import ArmConfig, RunConfig
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.decoding import evaluation_mode
from maskbench.errors import RunDirectoryError
from maskbench.explain.examples import Example
from maskbench.explain.forced_words import needs_forced_words, read_forced_words
from maskbench.explain.run_attention import load_finished_model, run_cross_attention
from maskbench.metrics.attention_statistics import collect_attention
from maskbench.metrics.teacher_forcing import score_teacher_forced
from maskbench.runs.directory import RunDirectory
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run

MODEL = {"d_model": 12, "n_heads": 3, "d_ff": 20, "encoder_layers": 1, "decoder_layers": 2}
LINEAR, BY_STALLS = {"linear": [9.0, 0.4]}, {"plateau": [9.0, 0.2, 1]}


def hardening(sigma: dict[str, list[float]]) -> dict[str, object]:
    """Masks that are soft at first and hard at last."""
    return {"masks": [{"site": "encoder_self", "mask": "gaussian", "options": {"sigma": sigma}}]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def settings(**changes: object) -> RunConfig:
    found = config(**changes)
    return found.model_copy(update={"model": found.model.model_copy(update=MODEL)})


def trained(folder: Path, cache: Path, wanted: RunConfig) -> tuple[RunDirectory, Corpus]:
    train_run(RunJob("demo", None, "arm", 3, wanted, folder / "seed-3", cache), lambda progress: None)
    return RunDirectory(folder / "seed-3"), load_corpus(wanted.corpus, cache)


@pytest.fixture(scope="module", params=["plain", "averaged", "scheduled", "stalls"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> tuple[RunDirectory, RunConfig, Corpus]:
    changes: dict[str, object] = {
        "plain": {},
        "averaged": {"average": 3},
        "scheduled": hardening(LINEAR),
        # A rate of learning that does harm, so that validations do not improve.
        "stalls": hardening(BY_STALLS) | {"lr": 1.0},
    }[request.param]
    wanted = settings(**changes)
    return (
        trained(tmp_path_factory.mktemp(request.param), cache, wanted)[0],
        wanted,
        load_corpus(wanted.corpus, cache),
    )


def test_the_model_is_the_one_that_was_measured(run: tuple[RunDirectory, RunConfig, Corpus]) -> None:
    directory, wanted, corpus = run
    model, clock = load_finished_model(directory, wanted, corpus)
    result = directory.result()
    assert result is not None and clock.step == STEPS
    assert clock.stalls > 0 or wanted.train.lr < 1, "no validation failed to improve, so stalls go untested"
    assert nll(score_teacher_forced(model, corpus.splits["test"], clock)) == result["metrics"]["test/nll"]


def test_rows_are_predicted_words_and_the_last_layer_is_shown(
    run: tuple[RunDirectory, RunConfig, Corpus],
) -> None:
    directory, wanted, corpus = run
    data = corpus.splits["test"]
    model, clock = load_finished_model(directory, wanted, corpus)
    with evaluation_mode(model):
        aligned = collect_attention(model, data, clock).aligned
    differing = False
    for sentence in range(len(data)):
        found = run_cross_attention(directory, wanted, corpus, "test", sentence)
        assert found.target_tokens == (*data.references[sentence].split(), "</s>")
        assert found.source_tokens == (*data.sources[sentence].split(), "</s>")
        assert found.weights.shape == (len(found.target_tokens), len(found.source_tokens))
        assert found.weights.sum(1) == pytest.approx(np.ones(len(found.target_tokens)))
        # The end mark aside, the largest weight of a row is where the query that predicts its word looks.
        start, end = data.tgt.offsets[sentence : sentence + 2]
        assert found.weights[:, :-1].argmax(1).tolist() == aligned[-1, start:end].tolist()
        differing |= aligned[-1, start:end].tolist() != aligned[0, start:end].tolist()
    assert differing, "the two layers look at the same words, so this test cannot tell them apart"


def test_the_words_are_those_of_the_scores_and_the_probabilities_give_the_nll(
    run: tuple[RunDirectory, RunConfig, Corpus], tmp_path: Path, cache: Path
) -> None:
    directory, wanted, corpus = run
    other = settings(lr=0.02)
    baseline, _ = trained(tmp_path, cache, other)
    data = corpus.splits["test"]
    whole = [
        score_teacher_forced(*load_finished_model(one, config_of, corpus)[:1], data, clock)
        for one, config_of in ((directory, wanted), (baseline, other))
        for clock in [load_finished_model(one, config_of, corpus)[1]]
    ]
    arms = tuple(ArmConfig(name=name, title=name, config=c) for name, c in (("a", wanted), ("b", other)))
    for sentence in (0, 3):
        found = read_forced_words((directory, baseline), (arms[0], arms[1]), corpus, "test", sentence)
        assert [word.reference for word in found.words] == [*data.references[sentence].split(), "</s>"]
        start, end = data.tgt.offsets[sentence : sentence + 2]
        for scores, top, probability in zip(
            whole, ("own", "baseline"), ("own_probability", "baseline_probability"), strict=True
        ):
            names = [corpus.vocabulary.token(int(i)) for i in scores.predicted[start:end]]
            assert [getattr(word, top) for word in found.words] == names
            logs = [-np.log(getattr(word, probability)) for word in found.words]
            assert logs == pytest.approx(scores.nll[start:end].tolist(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("own", "baseline", "metric", "needed"),
    [
        ("a b", "a b", "nll", True),
        ("a b", "a c", "nll", False),
        (None, None, "token_accuracy", True),
        ("a b", "a b", "bleu", False),
    ],
)
def test_words_are_shown_where_translations_do_not_tell(
    own: str | None, baseline: str | None, metric: str, needed: bool
) -> None:
    example = Example(0, 1, 0, "s", "r", 0, own, baseline, 0.5, 0.25)
    assert needs_forced_words(example, metric) is needed


def test_other_masks_can_be_lent(tmp_path: Path, cache: Path) -> None:
    narrow = {"site": "cross", "mask": "diagonal", "options": {"width": 0}}
    wanted = settings(
        under={"narrow": [narrow]},
        evaluate={"splits": ["test"], "metrics": ["nll"], "masks": ["own", "narrow"]},
        masks=[TOKENS],
    )
    directory, corpus = trained(tmp_path, cache, wanted)
    free, held = (
        run_cross_attention(directory, wanted, corpus, "test", 2, masks) for masks in (None, "narrow")
    )
    assert (free.weights > 0).all()
    assert ((held.weights > 0).sum(1) <= 1).all()


def test_without_checkpoints_there_is_no_model(tmp_path: Path, cache: Path) -> None:
    directory, corpus = trained(tmp_path, cache, settings())
    (directory.checkpoints / "best.json").unlink()
    with pytest.raises(RunDirectoryError, match="no checkpoint has been selected"):
        run_cross_attention(directory, settings(), corpus, "test", 0)
    (directory.path / "result.json").unlink()
    with pytest.raises(RunDirectoryError, match="is not finished"):
        run_cross_attention(directory, settings(), corpus, "test", 0)
