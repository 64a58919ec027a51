"""The sentences behind one row of the comparison, from the numbers and translations that the runs stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskbench.comparison.checks.retired import describe_missing_arm
from maskbench.comparison.results import ComparisonOptions
from maskbench.comparison.table import tabulate
from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import MetricName, is_metric, metric_name
from maskbench.data.corpus import Corpus
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.experiment.recorded_corpus import load_recorded_corpus
from maskbench.explain.examples import Example, ExampleReader
from maskbench.explain.sentence_gains import (
    PermutationNull,
    SentenceGains,
    SentenceGroup,
    permutation_null,
    rank_sentences,
)
from maskbench.explain.sentence_groups import length_groups, select_sentences, summarise_groups, tag_groups
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.locate import FoundPanel, find_panels
from maskbench.records.sentences import SentenceReader, is_additive
from maskbench.runs.directory import RunDirectory

SENTENCE_METRICS = ("exact_match", "token_accuracy", "nll", "bleu", "chrf")
"""Metrics of single sentences, in order of preference where the compared metric has none."""


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """What to explain; None keeps the experiment's choice."""

    arm: str
    """The arm's name or title."""
    baseline: str | None = None
    """A name or title."""
    metric: str | None = None
    split: str | None = None
    """Replaces the metric's split: `valid`, or `test@none`."""
    count: int = 3
    """Won sentences to show, and as many lost ones."""
    tag: str | None = None
    """Only sentences with a target token of this tag."""
    length: str | None = None
    """Only sources of this length: a bin of `maskbench.config.schema.metrics.LENGTHS`, such as `6-10`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which sentences an arm wins and loses against the baseline; the fields are those of `--json`."""

    experiment: str
    panel: str | None
    metric: str
    """As `split/metric`; the metric that sentences are scored by."""
    arm: str
    baseline: str
    titles: tuple[str, str]
    """Titles of the arm and of the baseline."""
    seeds: tuple[int, ...]
    most: int
    """The fewest seeds that count as most of them."""
    only: str
    """The selection of sentences, such as `tag:gender`; empty: all."""
    sentences: int
    luck: PermutationNull
    won: tuple[Example, ...]
    lost: tuple[Example, ...]
    """Sentences won in more seeds than lost, and lost in more than won; clearest first."""
    lengths: tuple[SentenceGroup, ...]
    tags: tuple[SentenceGroup, ...]
    """Empty where the corpus has none."""
    alarms: tuple[str, ...]
    """Alarms of the comparison."""
    planned: int
    """Planned seeds of both arms."""


@dataclass(frozen=True, slots=True, eq=False)
class ExplanationResult:
    """An explanation, with the corpus, arms and runs it was computed from."""

    explanation: Explanation
    corpus: Corpus
    name: MetricName
    arms: tuple[ArmConfig, ArmConfig]
    """The arm and the baseline."""
    found: FoundPanel

    def run_directory(self, arm: ArmConfig, seed: int) -> RunDirectory:
        """Return the directory of an arm's run."""
        return self.found.directory.run(arm.name, seed)


def explain(directory: Path, wanted: ExplainOptions) -> ExplanationResult:
    """Find the sentences that an arm wins and loses.

    Raises:
        ConfigError: the directory holds no experiment or several panels, or a choice names nothing there.
        RunDirectoryError: the runs kept no numbers of single sentences, or the corpus is not the one they saw.
    """
    panel = _require_single_panel(directory)
    collected = collect_panel(panel)
    arm = _find_arm(panel, wanted.arm)
    name = _sentence_metric(collected, wanted)
    table = tabulate(collected, ComparisonOptions(metric=str(name), baseline=wanted.baseline))
    baseline = _find_arm(panel, table.settings.baseline)
    if arm.name == baseline.name:
        raise ConfigError(f"{arm.name} is the baseline itself; name another arm, or another --baseline")
    rows = {row.arm: row for row in table.rows}
    own, other = rows[arm.name], rows[baseline.name]
    values = {seed: (own.values[seed], other.values[seed]) for seed in own.values if seed in other.values}
    gains = _read_gains(panel, name, arm, baseline, values)
    corpus = _load_corpus(panel, arm, next(iter(values)), gains, name)
    split = corpus.splits[name.split]
    kept, only = select_sentences(corpus, split, wanted.tag, wanted.length)
    selected = gains.select(kept)
    ids = kept.nonzero()[0].tolist()
    best, worst = rank_sentences(selected)
    reader = ExampleReader(panel, name, (arm, baseline), tuple(values), split)
    return ExplanationResult(
        Explanation(
            experiment=panel.experiment.name,
            panel=panel.panel.name,
            metric=str(name),
            arm=arm.name,
            baseline=baseline.name,
            titles=(arm.title, baseline.title),
            seeds=tuple(values),
            planned=sum(
                one == arm.name and (baseline.name, s) in collected.runs for one, s in collected.runs
            ),
            most=selected.majority,
            only=only,
            sentences=len(ids),
            luck=permutation_null(selected),
            won=tuple(reader.read(selected, i, ids[i], 1) for i in best[: wanted.count]),
            lost=tuple(reader.read(selected, i, ids[i], -1) for i in worst[: wanted.count]),
            lengths=tuple(summarise_groups(gains, kept, length_groups(split))),
            tags=tuple(summarise_groups(gains, kept, tag_groups(corpus, split))),
            alarms=table.alarms,
        ),
        corpus,
        name,
        (arm, baseline),
        panel,
    )


def _require_single_panel(directory: Path) -> FoundPanel:
    panels = find_panels(directory)
    if len(panels) > 1:
        names = ", ".join(str(found.panel.name) for found in panels)
        raise ConfigError(
            f"{directory} holds several panels ({names}); name the directory of one, such as "
            f"{panels[0].directory.path}"
        )
    return panels[0]


def _find_arm(found: FoundPanel, wanted: str) -> ArmConfig:
    arms = found.panel.arms
    for arm in arms:
        if wanted in (arm.name, arm.title):
            return arm
    names = [arm.name for arm in arms]
    raise ConfigError(describe_missing_arm(wanted, names, found.experiment.retired))


def _sentence_metric(collected: CollectedPanel, wanted: ExplainOptions) -> MetricName:
    """Return the metric that sentences are scored by."""
    text = wanted.metric or collected.found.experiment.compare.metric
    name = metric_name(text)
    if name is None:
        raise ConfigError(f"--metric should be split/metric, such as test/nll, got {text!r}")
    name = name.whole
    if wanted.split is not None:
        moved = metric_name(f"{wanted.split}/{name.metric}")
        if moved is None:
            raise ConfigError(f"--split should name a split, such as test or test@none, got {wanted.split!r}")
        name = moved
    if is_additive(name) or not is_metric(name.metric):
        return name
    outcomes = [cell.result for cell in collected.runs.values() if cell.result]
    measured = {key for outcome in outcomes for key in outcome.metrics}
    others = [other for other in SENTENCE_METRICS if str(name._replace(metric=other)) in measured]
    if wanted.metric is None and others:
        return name._replace(metric=others[0])
    listed = f"choose --metric among {', '.join(f'{wanted.split or name.split}/{other}' for other in others)}"
    raise ConfigError(
        f"single sentences have no {name.metric}; "
        + (listed if others else "nothing that was measured there is made of single sentences")
    )


def _read_gains(
    found: FoundPanel,
    name: MetricName,
    arm: ArmConfig,
    baseline: ArmConfig,
    values: dict[int, tuple[float, float]],
) -> SentenceGains:
    if not values:
        raise ConfigError(
            f"no seed of both {arm.name} and {baseline.name} is finished: train them with `maskbench run FILE` first"
        )
    reader = SentenceReader(found.directory, str(name))
    counts = reader.paired(arm.name, baseline.name, values)
    if counts is not None:
        return SentenceGains.from_counts(name.metric, *counts)
    if reader.remarks:
        raise RunDirectoryError(reader.remarks[0])
    bare = [
        run.path
        for one, other in [(arm, baseline)]
        for seed in values
        for run in (found.directory.run(one.name, seed), found.directory.run(other.name, seed))
        if not run.sentences(str(name).partition("/")[0]).path.exists()
    ]
    which = str(bare[0]) if bare else str(found.directory.path)
    more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
    raise RunDirectoryError(
        f"the numbers of single sentences for {name} are not there in {which}{more}; "
        "train the experiment again in another --runs-dir, or move those folders away and run it again"
    )


def _load_corpus(
    found: FoundPanel, arm: ArmConfig, seed: int, gains: SentenceGains, name: MetricName
) -> Corpus:
    """Return the corpus that the runs were trained on."""
    corpus, path = load_recorded_corpus(found, arm, seed), found.directory.path
    if len(corpus.splits[name.split]) != gains.gains.shape[1]:
        raise RunDirectoryError(
            f"{path}: the runs kept numbers of {gains.gains.shape[1]} sentences of {name.split}, which has "
            f"{len(corpus.splits[name.split])}; train the experiment again"
        )
    return corpus
