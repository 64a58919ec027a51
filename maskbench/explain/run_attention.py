"""The cross attention of a finished run's model over one sentence pair."""

from __future__ import annotations

from contextlib import nullcontext

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.corpus import Corpus
from maskbench.errors import RunDirectoryError
from maskbench.masks.clock import Clock
from maskbench.model.eval_plans import build_eval_plans, use_mask_plan
from maskbench.model.transformer import EncoderDecoder, build_model
from maskbench.pictures.cross_attention import SentenceAttention, compute_cross_attention
from maskbench.runs.checkpoint import load_best
from maskbench.runs.directory import RunDirectory
from maskbench.training.validations import ValidationHistory, average_weights


def load_finished_model(run: RunDirectory, config: RunConfig, corpus: Corpus) -> tuple[EncoderDecoder, Clock]:
    """Return the model that a finished run was measured with, and the clock of that measurement.

    Raises:
        RunDirectoryError: the run is not finished, or its checkpoints are gone or damaged.
    """
    result, logged = run.result(), run.metrics.read()
    if result is None or not logged:
        raise RunDirectoryError(f"{run.path} is not finished")
    model = build_model(config, corpus, run.seed)
    averaged = result.get("averaged_steps") or []
    load_best(run.checkpoints).load_into(model)
    if averaged:
        model.load_state_dict(average_weights(run.checkpoints, averaged), strict=True)
    total = int(logged[-1]["step"])
    return model, Clock.evaluation(
        total, total, ValidationHistory(config.train.select, logged).count_stalls(total)
    )


def run_cross_attention(
    run: RunDirectory, config: RunConfig, corpus: Corpus, split: str, sentence: int, masks: str | None = None
) -> SentenceAttention:
    """Return what a finished run's model attends to in one sentence pair, under teacher forcing.

    Args:
        sentence: its index in the split.
        masks: the arm whose masks the model uses; None: its own.

    Raises:
        RunDirectoryError: the model cannot be loaded.
    """
    model, clock = load_finished_model(run, config, corpus)
    plan = None if masks is None else build_eval_plans(config, corpus, run.seed)[masks]
    with nullcontext() if plan is None else use_mask_plan(model, plan):
        return compute_cross_attention(model, corpus, split, sentence, clock)
