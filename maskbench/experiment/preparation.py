"""Prepares an experiment: builds corpora, builds and audits arms, and refuses what cannot be run.

`maskbench plan` does the same and trains nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskbench.config.resolve.ineffective_options import find_ineffective_options
from maskbench.config.schema.experiment import ArmConfig, Experiment, RunConfig
from maskbench.errors import ConfigError, CorpusError, LeakError, MaskbenchError, PluginError
from maskbench.experiment.plan import CACHE, PlannedRun, corpus_key, plan_runs
from maskbench.experiment.progress_events import NullReporter, Reporter
from maskbench.registry import CORPORA

if TYPE_CHECKING:
    from maskbench.data.corpus import Corpus


_BASE_BYTES = 350_000_000
"""The memory of a process that has imported everything and loaded a small corpus."""


def estimate_memory(config: RunConfig, parameters: int, vocabulary: int) -> int:
    """Return roughly how many bytes a run needs to train; used to decide how many runs fit side by side.

    Counted are weights, gradient, two moments and the copy a checkpoint makes; what the layers keep for the backward
    pass; and four arrays of the size of the logits.
    """
    model, tokens = config.model, config.train.batch_tokens
    layers = model.encoder_layers + model.decoder_layers
    kept_per_token = layers * (16 * model.d_model + 4 * model.d_ff)
    floats = 5 * parameters + tokens * kept_per_token + 4 * tokens * vocabulary
    return _BASE_BYTES + 4 * floats


@dataclass(frozen=True, slots=True)
class BuiltArm:
    """The size of an arm that was built."""

    parameters: int
    memory: int
    """Bytes that one run of the arm needs to train, roughly."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What `run_experiment` would do, and what was built to find out."""

    planned: tuple[PlannedRun, ...]
    corpora: Mapping[str, Corpus]
    """By `corpus_key`."""
    built: Mapping[tuple[str | None, str], BuiltArm]
    """The arms that are due, by panel and name."""


def make_dry_run(experiment: Experiment, runs_dir: Path, reporter: Reporter | None = None) -> DryRun:
    """Return what `run_experiment` would do, after building the corpora and the arms that are due; train nothing.

    Runs that would be refused are in the plan, and say why.

    Raises:
        ConfigError, CorpusError: an arm or a corpus cannot be built.
        LeakError: an arm leaks and does not say so.
    """
    reporter = reporter or NullReporter()
    planned, corpora = plan_and_build_corpora(experiment, runs_dir, reporter)
    built: dict[tuple[str | None, str], BuiltArm] = {}
    warn_of_untrained_positions(experiment, corpora, reporter)
    build_and_audit_arms(planned, corpora, reporter, built)
    return DryRun(planned, corpora, built)


def corpus_notes(corpora: Mapping[str, Corpus], *, self_descriptions: bool = True) -> list[str]:
    """Return the notes of every corpus, each with the corpus's name.

    Args:
        self_descriptions: whether a generated corpus says more than what its splits have in common.
    """
    return [
        f"corpus {corpus.name}: {note}"
        for corpus in corpora.values()
        for note in (
            corpus.notes
            if self_descriptions or not CORPORA[corpus.name].is_generated()
            else corpus.overlaps.sentences()
        )
    ]


def plan_and_build_corpora(
    experiment: Experiment, runs_dir: Path, reporter: Reporter, known: Mapping[str, Corpus] | None = None
) -> tuple[tuple[PlannedRun, ...], dict[str, Corpus]]:
    """Build the corpora that are not in `known`; return the plan, made with their contents, and all corpora by key."""
    import maskbench.masks  # noqa: F401  registers the strategies

    corpora = _corpora(experiment, runs_dir, reporter, known or {})
    return plan_runs(experiment, runs_dir, corpora), corpora


def _corpora(
    experiment: Experiment, runs_dir: Path, reporter: Reporter, known: Mapping[str, Corpus]
) -> dict[str, Corpus]:
    """Build every corpus once, into the cache from which the runs load it."""
    from maskbench.data import load_corpus
    from maskbench.data.text.download import report_downloads_to

    corpora = dict(known)
    for panel in experiment.panels:
        for arm in panel.arms:
            key = corpus_key(arm.config.corpus)
            if key not in corpora:
                reporter.preparing(f"preparing the corpus {arm.config.corpus.name}")
                try:
                    with report_downloads_to(reporter.downloading):
                        corpora[key] = load_corpus(arm.config.corpus, runs_dir / CACHE)
                except CorpusError as error:
                    raise CorpusError(str(error), key="corpus.path") from error
    return corpora


def build_and_audit_arms(
    planned: Sequence[PlannedRun],
    corpora: Mapping[str, Corpus],
    reporter: Reporter,
    built: dict[tuple[str | None, str], BuiltArm],
) -> None:
    """Build and audit every arm that is due, and add it to `built`; an arm that is there already has passed before.

    So an impossible or a leaking arm fails now and not after hours. The reporter is warned of arms that declare a leak.

    Raises:
        LeakError: an arm leaks and does not say so.
    """
    from maskbench.training.environment import deterministic_torch

    # Building and auditing takes a thousand small products, which several threads only slow down.
    with deterministic_torch(1):
        _build_and_audit(planned, corpora, reporter, built)


def _build_and_audit(
    planned: Sequence[PlannedRun],
    corpora: Mapping[str, Corpus],
    reporter: Reporter,
    built: dict[tuple[str | None, str], BuiltArm],
) -> None:
    from maskbench.audit.effects import find_idle
    from maskbench.audit.gate import check_before_training
    from maskbench.model.eval_plans import build_eval_plans
    from maskbench.model.transformer import build_model
    from maskbench.training.warm_start import freeze_all_but, load_starting_weights

    asked = {run.name[:2] for run in planned if run.is_due}
    for run in planned:
        # Runs of one arm differ only in the weights from which they start.
        if not run.is_due or (run.name[:2] in built and run.arm.config.init_from is None):
            continue
        is_first = run.name[:2] not in built
        reporter.preparing(f"building {run.arm.title}")
        corpus = corpora[corpus_key(run.arm.config.corpus)]
        with _about(run.arm.name):
            model = build_model(run.arm.config, corpus, run.seed)
        if run.arm.config.init_from is not None:
            with _about(run.arm.name, "init_from"):
                load_starting_weights(model, run.arm.config.init_from, run.seed, corpus.vocabulary)
        if run.arm.config.train_only is not None:
            with _about(run.arm.name, "train_only"):
                freeze_all_but(model, run.arm.config.train_only)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        need = estimate_memory(run.arm.config, parameters, len(corpus.vocabulary))
        built[run.name[:2]] = BuiltArm(parameters, need)
        if not is_first:
            continue
        build_eval_plans(run.arm.config, corpus, run.seed)
        # Other masks that no arm which is due has as its own are audited once.
        others = [arm for arm in _under_others(run.arm) if (run.name[0], arm.name) not in asked]
        asked |= {(run.name[0], arm.name) for arm in others}
        for arm in (run.arm, *others):
            with _about(arm.name):
                warning = check_before_training(arm, corpus, run.seed)
            if warning:
                reporter.warned(_in_panel(run, warning))
        for sentence in find_idle(run.arm, corpus, run.seed):
            reporter.warned(_in_panel(run, f"arm {run.arm.name}: {sentence}"))


def _in_panel(run: PlannedRun, sentence: str) -> str:
    return f"panel {run.name.panel}: {sentence}" if run.name.panel else sentence


def warn_of_options_without_effect(experiment: Experiment, reporter: Reporter) -> None:
    """Warn of options that do not do what they say; arms of which the same holds are named in one sentence."""
    for panel in experiment.panels:
        found: dict[str, list[str]] = {}
        for arm in panel.arms:
            for key, predicate in find_ineffective_options(arm.config):
                found.setdefault(f"{key} {predicate}", []).append(arm.name)
        for sentence, arms in found.items():
            of_arms = sentence if len(arms) == len(panel.arms) else f"arm {', '.join(arms)}: {sentence}"
            reporter.warned(f"panel {panel.name}: {of_arms}" if panel.name else of_arms)


def warn_of_untrained_positions(
    experiment: Experiment, corpora: Mapping[str, Corpus], reporter: Reporter
) -> None:
    """Warn of evaluated sentences in which learned positions are used that no training sentence has.

    Args:
        corpora: by `corpus_key`.
    """
    from maskbench.comparison.checks.idle_masks import describe_untrained_positions
    from maskbench.data.untrained_positions import count_untrained_positions

    for panel in experiment.panels:
        longer: list[tuple[str, dict[str, tuple[int, int]]]] = []
        for arm in panel.arms:
            if arm.config.model.positions == "learned":
                splits = corpora[corpus_key(arm.config.corpus)].splits
                measured = [splits[name] for name in arm.config.evaluate.splits]
                longer.append((arm.title, count_untrained_positions(splits["train"], measured)))
        for sentence in describe_untrained_positions(longer):
            reporter.warned(f"panel {panel.name}: {sentence}" if panel.name else sentence)


def _under_others(arm: ArmConfig) -> Iterator[ArmConfig]:
    """Yield the arm with each of the other masks under which it is evaluated in place of its own.

    What the arm keeps of its own is audited with the arm. Together they leak only where one of them does: legality is
    applied after all of them, and a site's masks must agree on how.
    """
    for name, masks in arm.config.under.items():
        config = arm.config.model_copy(update={"masks": masks, "under": {}})
        yield arm.model_copy(update={"name": name, "title": name, "config": config})


@contextmanager
def _about(arm: str, key: str = "") -> Iterator[None]:
    """Inside, an error names the arm, and the key of the arm, that it is about."""
    place, name = (f"arms.{arm}.{key}", f"{key}: ") if key else (f"arms.{arm}", "")
    try:
        yield
    except LeakError:  # names its arm itself, and is no mistake in the file
        raise
    except PluginError as error:  # begins with the plug-in's own line
        raise PluginError(f"{error} (while arm {arm} was built and audited)") from error
    except MaskbenchError as error:
        raise type(error)(f"arm {arm}: {name}{error}", key=place) from error
    except ValueError as error:
        raise ConfigError(f"arm {arm} cannot be built: {name}{error}", key=place) from error
