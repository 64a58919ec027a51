"""The reference words of one sentence as two finished runs predict them, each word given the words before it.

A metric such as nll or token accuracy is computed from these predictions and not from translations, so two runs may
differ in it whose translations are the same.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from maskbench.config.schema.experiment import ArmConfig, RunConfig
from maskbench.data.corpus import Corpus
from maskbench.explain.examples import Example
from maskbench.explain.run_attention import load_finished_model
from maskbench.metrics.teacher_forcing import TeacherForcedScores, score_teacher_forced
from maskbench.model.eval_plans import build_eval_plans, use_mask_plan
from maskbench.runs.directory import RunDirectory

FORCED_METRICS = ("nll", "token_accuracy")
"""The metrics of single sentences that are computed from predictions of the reference's words."""


@dataclass(frozen=True, slots=True)
class ForcedWord:
    """One target token of the reference, and what the arm's and the baseline's run make of it."""

    reference: str
    own: str
    baseline: str
    """The tokens ranked first."""
    own_probability: float
    baseline_probability: float
    """Of the reference's token, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ForcedSentence:
    """The words of one sentence, end mark included, in the runs of one seed."""

    sentence: int
    seed: int
    words: tuple[ForcedWord, ...]


def needs_forced_words(example: Example, metric: str) -> bool:
    """Whether an example's translations, the same or missing, do not show why its scores differ."""
    return metric in FORCED_METRICS and example.own == example.baseline


def read_forced_words(
    runs: tuple[RunDirectory, RunDirectory],
    arms: tuple[ArmConfig, ArmConfig],
    corpus: Corpus,
    split: str,
    sentence: int,
    masks: str | None = None,
) -> ForcedSentence:
    """Return what the runs of the arm and of the baseline predict for each word of a reference.

    Args:
        runs: of one seed.
        masks: the arm whose masks both models use; None: their own.

    Raises:
        RunDirectoryError: a model cannot be loaded.
    """
    own, baseline = (
        _score(run, arm.config, corpus, split, sentence, masks) for run, arm in zip(runs, arms, strict=True)
    )
    token = corpus.vocabulary.token
    words = (
        ForcedWord(token(int(gold)), token(int(a)), token(int(b)), math.exp(-p), math.exp(-q))
        for gold, a, b, p, q in zip(
            own.gold, own.predicted, baseline.predicted, own.nll, baseline.nll, strict=True
        )
    )
    return ForcedSentence(sentence, runs[0].seed, tuple(words))


def _score(
    run: RunDirectory, config: RunConfig, corpus: Corpus, split: str, sentence: int, masks: str | None
) -> TeacherForcedScores:
    model, clock = load_finished_model(run, config, corpus)
    plan = None if masks is None else build_eval_plans(config, corpus, run.seed)[masks]
    with nullcontext() if plan is None else use_mask_plan(model, plan):
        return score_teacher_forced(
            model, corpus.splits[split], clock, only=np.array([sentence], dtype=np.int64)
        )
