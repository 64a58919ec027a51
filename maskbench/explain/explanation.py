"""The sentences behind a row of the comparison: read from the runs' own numbers and translations, nothing computed anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskbench.comparison.results import Choices, Comparison, Row
from maskbench.comparison.table import tabulate
from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import METRICS, MetricName, metric_name
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.experiment.plan import CACHE
from maskbench.explain.examples import Example, Texts
from maskbench.explain.kinds import by_length, by_tag, chosen, groups
from maskbench.explain.outcomes import Group, Luck, Outcomes, luck, ranked
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.locate import FoundPanel, find_panels
from maskbench.records.sentences import SentenceReader, is_additive
from maskbench.registry import did_you_mean
from maskbench.runs.directory import RunDirectory

BY_SENTENCE = ("exact_match", "token_accuracy", "nll", "bleu", "chrf")
"""What sentences can be judged by; where the compared metric is none of them, the first of these that was measured."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be explained; None leaves the experiment's choice."""

    arm: str
    """Its name or title; so is the baseline's."""
    baseline: str | None = None
    metric: str | None = None
    split: str | None = None
    """In place of the metric's: `valid`, or `test@none`."""
    count: int = 3
    """Sentences to show of either kind."""
    tag: str | None = None
    """Only sentences with such a target token."""
    length: str | None = None
    """Only sources of that many words: a bin of `maskbench.config.schema.metrics.LENGTHS`, such as `6-10`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What single sentences tell about an arm and the baseline."""

    experiment: str
    panel: str | None
    metric: str
    """As `split/metric`; sentences are judged by it one by one."""
    arm: str
    baseline: str
    titles: tuple[str, str]
    """Of the arm and of the baseline."""
    seeds: tuple[int, ...]
    most: int
    """The number of seeds that counts as most of them."""
    only: str
    """Which sentences are looked at, `tag:gender` for one; empty: all."""
    sentences: int
    luck: Luck
    won: tuple[Example, ...]
    lost: tuple[Example, ...]
    """Clearest first; of sentences that are won in more seeds than lost, and the other way round."""
    lengths: tuple[Group, ...]
    tags: tuple[Group, ...]
    """Empty where the corpus has none."""
    alarms: tuple[str, ...]
    """Of the comparison: what puts its numbers in doubt."""
    planned: int
    """Seeds that both are to have."""


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """An explanation, and what it was made from."""

    explanation: Explanation
    corpus: Corpus
    name: MetricName
    arms: tuple[ArmConfig, ArmConfig]
    """The arm and the baseline."""
    found: FoundPanel

    def run(self, arm: ArmConfig, seed: int) -> RunDirectory:
        """Return a run's directory."""
        return self.found.directory.run(arm.name, seed)


def explain(directory: Path, wanted: Wanted) -> Explained:
    """Find the sentences that an arm wins and loses.

    Raises:
        ConfigError: the directory holds no experiment or several panels, or a choice names nothing there.
        RunDirectoryError: the runs kept no numbers of single sentences, or the corpus is not the one they saw.
    """
    panel = _only_panel(directory)
    collected = collect_panel(panel)
    arm = _arm(panel, wanted.arm)
    name = _sentence_metric(collected, wanted)
    table = tabulate(collected, Choices(metric=str(name), baseline=wanted.baseline))
    baseline = _arm(panel, table.settings.baseline)
    if arm.name == baseline.name:
        raise ConfigError(f"{arm.name} is the baseline itself; name another arm, or another --baseline")
    own, other = _row(table, arm), _row(table, baseline)
    values = {seed: (own.values[seed], other.values[seed]) for seed in own.values if seed in other.values}
    outcomes = _outcomes(panel, name, arm, baseline, values)
    corpus = _corpus(panel, arm, next(iter(values)), outcomes, name)
    split = corpus.splits[name.split]
    kept, only = chosen(corpus, split, wanted.tag, wanted.length)
    some = outcomes.at(kept)
    ids = kept.nonzero()[0].tolist()
    best, worst = ranked(some)
    texts = Texts(panel, name, (arm, baseline), tuple(values), split)
    return Explained(
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
            most=some.most,
            only=only,
            sentences=len(ids),
            luck=luck(some),
            won=tuple(texts.example(some, i, ids[i], 1) for i in best[: wanted.count]),
            lost=tuple(texts.example(some, i, ids[i], -1) for i in worst[: wanted.count]),
            lengths=tuple(groups(outcomes, kept, by_length(split))),
            tags=tuple(groups(outcomes, kept, by_tag(corpus, split))),
            alarms=table.alarms,
        ),
        corpus,
        name,
        (arm, baseline),
        panel,
    )


def _only_panel(directory: Path) -> FoundPanel:
    panels = find_panels(directory)
    if len(panels) > 1:
        names = ", ".join(str(found.panel.name) for found in panels)
        raise ConfigError(
            f"{directory} holds several panels ({names}); name the directory of one, such as "
            f"{panels[0].directory.path}"
        )
    return panels[0]


def _arm(found: FoundPanel, wanted: str) -> ArmConfig:
    arms = found.panel.arms
    for arm in arms:
        if wanted in (arm.name, arm.title):
            return arm
    names = [arm.name for arm in arms]
    raise ConfigError(f"no arm named {wanted!r}{did_you_mean(wanted, names)} (arms: {', '.join(names)})")


def _row(table: Comparison, arm: ArmConfig) -> Row:
    return next(row for row in table.rows if row.arm == arm.name)


def _sentence_metric(collected: CollectedPanel, wanted: Wanted) -> MetricName:
    """Return what sentences are judged by."""
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
    if is_additive(name) or name.metric not in METRICS:
        return name
    outcomes = [cell.result for cell in collected.runs.values() if cell.result]
    measured = {key for outcome in outcomes for key in outcome.metrics}
    others = [other for other in BY_SENTENCE if str(name._replace(metric=other)) in measured]
    if wanted.metric is None and others:
        return name._replace(metric=others[0])
    listed = f"choose --metric among {', '.join(f'{wanted.split or name.split}/{other}' for other in others)}"
    raise ConfigError(
        f"single sentences have no {name.metric}; "
        + (listed if others else "nothing that was measured there is made of single sentences")
    )


def _outcomes(
    found: FoundPanel,
    name: MetricName,
    arm: ArmConfig,
    baseline: ArmConfig,
    values: dict[int, tuple[float, float]],
) -> Outcomes:
    if not values:
        raise ConfigError(
            f"no seed of both {arm.name} and {baseline.name} is finished: train them with `maskbench run FILE` first"
        )
    reader = SentenceReader(found.directory, str(name))
    counts = reader.paired(arm.name, baseline.name, values)
    if counts is not None:
        return Outcomes.of(name.metric, *counts)
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


def _corpus(found: FoundPanel, arm: ArmConfig, seed: int, outcomes: Outcomes, name: MetricName) -> Corpus:
    """Return the corpus that the runs saw."""
    path = found.directory.path
    runs_dir = (path.parent if found.panel.name else path).parent
    corpus = load_corpus(arm.config.corpus, runs_dir / CACHE)
    record = found.directory.run(arm.name, seed).record() or {}
    if corpus.sha256 != (record.get("identity") or {}).get("data_sha256"):
        raise RunDirectoryError(
            f"the corpus {corpus.name} is not the one that the runs in {path} saw: its files or this version's way to "
            "build it have changed since; bring those back, or train the experiment again"
        )
    if len(corpus.splits[name.split]) != outcomes.gains.shape[1]:
        raise RunDirectoryError(
            f"{path}: the runs kept numbers of {outcomes.gains.shape[1]} sentences of {name.split}, which has "
            f"{len(corpus.splits[name.split])}; train the experiment again"
        )
    return corpus
