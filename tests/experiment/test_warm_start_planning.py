"""Runs that start from other runs' weights: what the plan says of them, and what is refused before anything trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_runs import config

from maskbench.config.schema.experiment import ArmConfig, Experiment, PanelConfig, RunConfig
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.experiment.plan import CACHE, plan_runs, refuse_unusable_runs
from maskbench.experiment.preparation import make_dry_run
from maskbench.records.collect import read_run
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import Identity, SoftwareEnvironment, build_run_record, requested_identity
from maskbench.training import loop
from maskbench.training.job import RunJob


def experiment(settings: RunConfig, seeds: tuple[int, ...] = (0,), name: str = "tuned") -> Experiment:
    arm = ArmConfig(name="warm", title="warm", config=settings)
    panel = PanelConfig(name=None, arms=(arm,), baseline="warm")
    return Experiment(name=name, seeds=seeds, panels=(panel,))


def warm(source: Path, **changes: object) -> RunConfig:
    return config(masks=[]).model_copy(update={"init_from": str(source), **changes})


def write_source(arm: Path, seed: int, manifest: str = "one") -> None:
    """Leave behind as much of a finished run as planning reads."""
    run = arm / f"seed-{seed}"
    checkpoint = run / "checkpoints" / "step-000004"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (run / "result.json").write_text("{}")
    (run / "checkpoints" / "best.json").write_text('{"step": 4}')
    (checkpoint / "manifest.json").write_text(json.dumps({"made": manifest}))


def begin(wanted: Experiment, runs_dir: Path) -> RunDirectory:
    """Leave behind what the experiment's first run leaves when it starts."""
    run = plan_runs(wanted, runs_dir)[0]
    weights = None
    if run.arm.config.init_from is not None:
        recorded = {"data_sha256": "d1"}
        weights = requested_identity(
            run.arm.config, recorded, init_sha256=_sha256(run.arm.config, run.seed)
        ).init_sha256
    identity = Identity(run.arm.config.identity(), "d1", init_sha256=weights)
    record = build_run_record(identity, arm="warm", seed=run.seed, provenance=SoftwareEnvironment({}, {}))
    run.directory.claim(record, identity)
    return run.directory


def _sha256(settings: RunConfig, seed: int) -> str:
    from maskbench.runs.starting_point import find_starting_point

    assert settings.init_from is not None
    return find_starting_point(settings.init_from, seed).sha256


def test_the_same_weights_make_the_same_run_wherever_they_lie(tmp_path: Path) -> None:
    for arm in ("here", "there"):
        write_source(tmp_path / arm, 0)
    begin(experiment(warm(tmp_path / "here")), tmp_path)
    for arm in ("here", "there", "there/seed-0"):
        assert plan_runs(experiment(warm(tmp_path / arm)), tmp_path)[0].state == "resumed"


def test_weights_that_were_trained_again_make_another_run_and_say_so(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source, 0)
    begin(experiment(warm(source)), tmp_path)
    before = _sha256(warm(source), 0)
    write_source(source, 0, "another")
    changed = plan_runs(experiment(warm(source)), tmp_path)
    assert changed[0].differences == (
        f'the weights to start from (sha256 of their checkpoint) "{before}" -> "{_sha256(warm(source), 0)}"',
    )
    with pytest.raises(RunDirectoryError, match="the weights to start from"):
        refuse_unusable_runs(changed)


@pytest.mark.parametrize("cold_first", [True, False])
def test_a_run_from_random_weights_is_another_one(cold_first: bool, tmp_path: Path) -> None:
    write_source(tmp_path / "source", 0)
    settings = [config(masks=[]), warm(tmp_path / "source")]
    first, second = settings if cold_first else reversed(settings)
    begin(experiment(first), tmp_path)
    (line,) = plan_runs(experiment(second), tmp_path)[0].differences
    assert line.startswith("the weights to start from") and ("absent -> " in line) == cold_first


def test_every_seed_has_its_own_weights(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_source(tmp_path / "source", seed, f"made by {seed}")
    settings = warm(tmp_path / "source")
    assert _sha256(settings, 0) != _sha256(settings, 1)
    begin(experiment(settings, (1,)), tmp_path)
    assert [run.state for run in plan_runs(experiment(settings, (0, 1)), tmp_path)] == ["new", "resumed"]


def test_a_finished_run_needs_its_source_no_more(tmp_path: Path) -> None:
    write_source(tmp_path / "source", 0)
    settings = warm(tmp_path / "source")
    run = begin(experiment(settings), tmp_path)
    run.write_result({"metrics": {"test/nll": 1.0}})
    (tmp_path / "source").rename(tmp_path / "moved")
    assert plan_runs(experiment(settings), tmp_path)[0].state == "finished"
    assert read_run(run, experiment(settings).panels[0].arms[0]).state == "done"
    cold = ArmConfig(name="warm", title="warm", config=config(masks=[]))
    assert "foreign" in read_run(run, cold).reason


def test_what_is_trained_is_part_of_a_run(tmp_path: Path) -> None:
    begin(experiment(config(masks=[])), tmp_path)
    part = config(masks=[]).model_copy(update={"train_only": ("decoder.*",)})
    assert plan_runs(experiment(part), tmp_path)[0].differences == ('train_only[0] absent -> "decoder.*"',)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory in which an arm has finished with seed 0."""
    runs_dir = tmp_path_factory.mktemp("runs")
    path = runs_dir / "first" / "none" / "seed-0"
    loop.train_run(RunJob("first", None, "none", 0, config(masks=[]), path, runs_dir / CACHE), lambda p: None)
    return runs_dir


def refused(settings: RunConfig, runs_dir: Path, seeds: tuple[int, ...] = (0,)) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        make_dry_run(experiment(settings, seeds), runs_dir)
    assert not (runs_dir / "tuned").exists()
    return error.value


def test_an_arm_whose_weights_fit_is_new(finished: Path) -> None:
    source = finished / "first" / "none"
    (run,) = make_dry_run(experiment(warm(source, train_only=("decoder.*",))), finished).planned
    assert run.state == "new"


def test_every_seed_is_looked_for_before_the_first_run_starts(finished: Path) -> None:
    source = finished / "first" / "none"
    error = refused(warm(source), finished, (0, 4))
    assert str(error) == f"arm warm: init_from: {source} has no run of seed 4 (it has seed-0)"
    assert error.key == "arms.warm.init_from"


def test_weights_of_another_model_or_vocabulary_are_refused_before_the_first_run(finished: Path) -> None:
    source, plain = finished / "first" / "none", config(masks=[])
    deeper = plain.model.model_copy(update={"encoder_layers": 2})
    message = str(refused(warm(source, model=deeper), finished))
    assert "holds another model than this arm's; it differs in encoder.layers.1." in message
    assert message.count("absent there") == 5 and " more" in message
    words = plain.corpus.model_copy(update={"options": {**plain.corpus.options, "symbols": 9}})
    assert "was trained with another vocabulary" in str(refused(warm(source, corpus=words), finished))


def test_a_pattern_that_fits_nothing_is_refused_at_its_key(finished: Path) -> None:
    error = refused(warm(finished / "first" / "none", train_only=("decoder.*", "mask.*")), finished)
    assert error.key == "arms.warm.train_only"
    assert str(error).startswith("arm warm: train_only: 'mask.*' fits no parameter")
