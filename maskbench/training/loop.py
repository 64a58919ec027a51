"""Train a run from its first step, or its newest checkpoint, to its result.

After a kill, the next process continues from the newest complete checkpoint, truncates metrics.jsonl to what
was logged by then, and ends in the same bytes. So a checkpoint has all state: weights, moments, the step, the
best step so far, and the number of bytes logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

from maskbench.data import load_corpus
from maskbench.data.batches import Batch
from maskbench.data.corpus import Corpus
from maskbench.data.untrained_positions import count_untrained_positions
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.mask_audit import MaskAudit
from maskbench.model.attention_path import paths_version
from maskbench.model.eval_plans import list_soft_masks_off
from maskbench.plugins import plugin_errors
from maskbench.plugins.uses import describe_used_plugins, read_copies, used_code
from maskbench.runs.checkpoint import (
    Checkpoint,
    Snapshot,
    load_best,
    prune_checkpoints,
    remove_unfinished_checkpoints,
    save_checkpoint,
    scan_checkpoints,
    write_best,
)
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import Identity, build_run_record
from maskbench.training.environment import current_origin, deterministic_torch, environment_changes
from maskbench.training.evaluate import (
    Evaluation,
    evaluate,
    evaluate_final,
    outputs_sha256,
    translate_samples,
    validation_metrics,
)
from maskbench.training.job import Progress, RunJob
from maskbench.training.logbook import Logbook, log_every
from maskbench.training.objective import view_clocks
from maskbench.training.optimiser import export_moments, restore_moments
from maskbench.training.pictures import RunPictures
from maskbench.training.trainer import Diverged, StepReport, Trainer, make_trainer
from maskbench.training.validations import ValidationHistory, average_weights, steps_to_average
from maskbench.training.warm_start import vocabulary_sha256

__all__ = ["Progress", "RunJob", "Trainer", "make_trainer", "train_run"]

Report = Callable[[Progress], None]


def train_run(
    job: RunJob, report: Report, should_stop: Callable[[], bool] = lambda: False
) -> Literal["done", "diverged", "interrupted"]:
    """Train, evaluate and record one run; resume it if it was begun, do nothing if it has ended.

    Args:
        job: the run.
        report: called after every step and at every change of the run's state.
        should_stop: called after every step and before the evaluation; once it returns True, the run saves
            its state and returns.

    Returns:
        The state in status.json. Divergence ends a run and is not raised.

    Raises:
        RunDirectoryError: another process writes to the directory, or it contains another run.
        MaskbenchError: the corpus or the disk failed; status.json records it.
    """
    directory = RunDirectory(job.directory)
    with directory.lock(), deterministic_torch(job.config.train.threads):
        with plugin_errors():
            run = _Run(job, directory, report, should_stop)
        try:
            with plugin_errors():
                return run.execute()
        except Diverged as error:
            run.record_divergence(error)
            return "diverged"
        except Exception as error:
            directory.write_status("failed", {"message": str(error), "type": type(error).__name__})
            raise
        except BaseException:
            directory.write_status("interrupted")
            raise


class _Run:
    """The state of a run that trains in this process."""

    def __init__(
        self, job: RunJob, directory: RunDirectory, report: Report, should_stop: Callable[[], bool]
    ) -> None:
        """Build corpus and trainer, then claim the directory; only then is anything written to it."""
        self.job, self.config, self.directory = job, job.config, directory
        self.report, self.should_stop = report, should_stop
        self.corpus: Corpus = load_corpus(self.config.corpus, job.cache_dir)
        self.trainer = make_trainer(self.config, self.corpus, job.seed)
        used = used_code(self.config)
        identity = Identity(
            self.config.identity(),
            self.corpus.sha256,
            init_sha256=self.trainer.init_sha256,
            plugins={what: code.sha256 for what, code in used.items()},
            attention_paths=paths_version(self.config.model, self.corpus.max_length),
        )
        self.total = self.trainer.total_steps
        self.averaged = steps_to_average(self.config.train, self.total)
        self.done = 0
        self.best: dict[str, Any] | None = None
        here = current_origin(self.config.train.threads, self.trainer.dtype, self.trainer.device)
        self.here = replace(here, plugin_files=describe_used_plugins(self.config))
        vocabulary = vocabulary_sha256(self.corpus.vocabulary)
        record = build_run_record(
            identity,
            arm=job.arm,
            seed=job.seed,
            provenance=self.here,
            vocabulary_sha256=vocabulary,
            overlaps=self.corpus.overlaps,
        )
        directory.claim(record, identity, used)
        # A run that was begun before plug-ins were part of the identity keeps the hash it began with.
        self.hash = str((directory.record() or record)["hash"])
        for name, code in read_copies(self.config).items():
            directory.write_plugin(name, code)

    def execute(self) -> Literal["done", "diverged", "interrupted"]:
        """Continue the run to its end or until `should_stop`; return its state."""
        state = self.directory.status().state
        if state == "done" or state == "diverged":
            self._tell(state)
            return state
        self.directory.write_status("running")
        self._tell("starting", message=self._moved())
        if not self.should_stop():
            self._resume()
            if self.config.init_from is not None and self.done == 0:
                self._measure_start()
            if self._train():
                self._tell("evaluating")
                if not self.should_stop():
                    self._finish()
                    return "done"
        self.directory.write_status("interrupted")
        return "interrupted"

    def _moved(self) -> str:
        """Return a sentence on changes of the environment since the run was begun; empty if none."""
        differences = environment_changes(self.directory.record() or {}, self.here)
        if not differences:
            return ""
        return (
            f"begun elsewhere ({', '.join(differences)}); its last digits may differ from a run in one place"
        )

    def _resume(self) -> None:
        """Restore the newest resumable checkpoint, or the start of the run."""
        folder = self.directory.checkpoints
        remove_unfinished_checkpoints(folder)
        found = scan_checkpoints(folder, self.hash)
        for sentence in found.damaged:
            self._tell("starting", message=f"ignored a damaged checkpoint: {sentence}")
        self.masks = observe_masks(self.trainer)
        checkpoint = found.resumable
        logged, steps = (0, 0) if checkpoint is None else (checkpoint.state["metrics_bytes"], checkpoint.step)
        self.log = Logbook(self.directory, logged, steps)
        self.pictures = RunPictures(self.trainer, self.log, self.job.seed)
        self.validations = ValidationHistory(self.config.train.select, self.log.lines())
        if checkpoint is not None:
            self._restore(checkpoint)
            self.masks.replay(self._seen_by_now())

    def _seen_by_now(self) -> Iterator[tuple[Batch, Clock]]:
        """Yield the batches and clocks of all steps so far, one per view."""
        for step in range(self.done):
            batch, clock = self.trainer.batch(step, self.validations.count_stalls(step))
            for view in view_clocks(clock, self.config.train):
                yield batch, view

    def _restore(self, checkpoint: Checkpoint) -> None:
        model = self.trainer.model
        checkpoint.load_into(model)
        restore_moments(model, self.trainer.optimiser, checkpoint.read_optimizer())
        self.done, self.best = checkpoint.step, checkpoint.state["best"]
        self._mark_best()

    def _train(self) -> bool:
        """Take the remaining steps; False if `should_stop` ended them, with the state saved."""
        self._draw()
        while self.done < self.total:
            began = time.perf_counter()
            batch, clock = self.trainer.batch(self.done, self.validations.count_stalls(self.done))
            logged = self._is_due(self.done + 1, log_every(self.total))
            self.masks.begin_step(batch, measure=logged)
            step = self.trainer.update(batch, clock)
            self.done += 1
            self.log.stopwatch.add(time.perf_counter() - began, step.n_tokens)
            speed = self._log_step(step) if logged else None
            improved = self._is_due(self.done, self.config.train.valid_every) and self._validate()
            if (
                improved
                or self.done in self.averaged
                or self._is_due(self.done, self.config.train.save_every)
            ):
                self._save()
            self._draw()
            self._tell("training", loss=step.nll, speed=speed)
            if self.should_stop():
                self._save()
                return False
        return True

    def _draw(self) -> None:
        self.pictures.draw(self.done, self.validations.count_stalls(self.done))

    def _is_due(self, step: int, every: int) -> bool:
        """Return whether `step` is a multiple of `every` or the last update."""
        return step % every == 0 or step == self.total

    def _log_step(self, step: StepReport) -> float:
        """Log a step's numbers; return the speed since the last logged step, in target tokens per second."""
        numbers = {"loss": step.loss, "nll": step.nll, "lr": step.lr, "grad_norm": step.grad_norm}
        self.log.write(self.done, {**{f"train/{k}": v for k, v in numbers.items()}, **self.masks.scalars()})
        return self.log.write_time(self.done)

    def _measure_start(self) -> None:
        """Log the validation metrics of the starting weights, which are no candidate for selection."""
        clock = Clock.evaluation(0, self.total)
        metrics = evaluate(self.trainer, self.corpus, validation_metrics(self.config), clock).metrics
        self.log.write(0, {f"start/{name}": value for name, value in metrics.items()})

    def _validate(self) -> bool:
        """Evaluate the validation split; return whether this is the best state so far (ties: the earlier)."""
        clock = Clock.evaluation(self.done, self.total, self.validations.count_stalls(self.done))
        found = evaluate(self.trainer, self.corpus, validation_metrics(self.config), clock)
        self.log.write(self.done, found.metrics)
        select = self.config.train.select
        if select not in found.metrics:
            raise ConfigError(
                f"train.select: {select} is undefined after step {self.done}, so no checkpoint can be selected:"
                f" {found.undefined.get(select, 'it does not apply to this split')}; select another metric, such as"
                " valid/nll"
            )
        value = found.metrics[select]
        if not self.validations.add(self.done, value):
            return False
        self.best = {"step": self.done, "value": value}
        return True

    def _save(self) -> None:
        """Write a checkpoint, after everything it refers to is on disk."""
        state = {"best": self.best, "metrics_bytes": self.log.sync()}
        model = self.trainer.model
        tensors = export_moments(model, self.trainer.optimiser)
        snapshot = Snapshot(self.hash, self.done, model.state_dict(), tensors, state)
        save_checkpoint(self.directory.checkpoints, snapshot)
        self._mark_best()
        prune_checkpoints(self.directory.checkpoints, self.averaged)

    def _mark_best(self) -> None:
        if self.best is not None:
            folder = self.directory.checkpoints
            write_best(folder, self.best["step"], self.config.train.select, self.best["value"])

    def _finish(self) -> None:
        """Evaluate the selected checkpoint, or the mean of the last ones, and write the result."""
        selected = load_best(self.directory.checkpoints)
        selected.load_into(self.trainer.model)
        if self.averaged:
            self.trainer.model.load_state_dict(
                average_weights(self.directory.checkpoints, self.averaged), strict=True
            )
        clock = Clock.evaluation(self.total, self.total, self.validations.count_stalls(self.total))
        found = evaluate_final(self.trainer, self.corpus, self.job.seed, clock)
        self.log.write(self.total, found.metrics)
        for split, rows in found.translations.items():
            self.directory.write_translations(split, rows, found.n_best.get(split, ()))
            self._show(split, rows)
        for split, parts in found.sentences.items():
            self.directory.write_sentences(split, parts)
        if not found.translations:
            # No metric needs translations; show a few nevertheless.
            split = self.config.evaluate.splits[0]
            self._show(split, translate_samples(self.trainer, self.corpus, split, clock))
        self.pictures.draw_attention(self.corpus, self.config.evaluate.splits[0], clock)
        self.log.sync()
        self.directory.write_result(self._result(found, selected.step))
        self.directory.write_status("done")
        self.log.end(self.total, "done")
        self._tell("done")

    def _show(self, split: str, rows: list[tuple[int, str]]) -> None:
        texts = self.corpus.splits[split.partition("@")[0]]
        shown = [(i, texts.sources[i], texts.references[i], hypothesis) for i, hypothesis in rows]
        self.log.show_samples(self.total, split, shown)

    def _result(self, found: Evaluation, selected_step: int) -> dict[str, Any]:
        return {
            "metrics": found.metrics,
            "signatures": found.signatures,
            **_remarks(found),
            "selected_step": selected_step,
            "averaged_steps": list(self.averaged),
            "parameters": sum(p.numel() for p in self.trainer.model.parameters()),
            "cost": self.log.cost(),
            "masks": self.masks.entries(self.log.lines()),
            **({"masks_off": off} if (off := list_soft_masks_off(self.config)) else {}),
            **self._untrained(),
            "outputs_sha256": outputs_sha256(found.translations),
            "train_nll_sha256": self.log.nll_sha256(),
        }

    def _untrained(self) -> dict[str, Any]:
        """Return what was never trained: sentences with untrained positions, by split; a loss without tokens."""
        splits = self.corpus.splits
        measured = [splits[name] for name in self.config.evaluate.splits]
        longer = count_untrained_positions(splits["train"], measured)
        if self.config.model.positions != "learned":
            longer = {}
        losses = [line["train/loss"] for line in self.log.lines() if "train/loss" in line]
        is_empty = bool(losses) and not any(losses)
        found = {"untrained_positions": longer, "loss_without_tokens": is_empty}
        return {key: value for key, value in found.items() if value}

    def record_divergence(self, error: Diverged) -> None:
        """Record the divergence and its step; the last complete checkpoint stays."""
        details = {"quantity": error.quantity, "value": str(error.value), "step": error.step}
        message = {"message": str(error), **details, "examples": list(error.examples)}
        self.directory.write_status("diverged", message)
        self.log.end(error.step, "diverged")
        self._tell("diverged", message=str(error))

    def _tell(
        self, state: Any, *, loss: float | None = None, speed: float | None = None, message: str = ""
    ) -> None:
        run = (self.job.arm, self.job.seed, self.job.panel)
        self.report(Progress(run, state, self.done, self.total, loss, speed, message))


def _remarks(found: Evaluation) -> dict[str, Any]:
    """Return the keys of result.json that tell what its metrics do not; a key with nothing to tell is absent."""
    remarks = {
        "undefined": found.undefined,
        "remarks": found.remarks,
        "cut_off": {split: counts._asdict() for split, counts in found.cut_off.items()},
    }
    return {key: value for key, value in remarks.items() if value}


def observe_masks(trainer: Trainer) -> MaskAudit:
    """Return the audit that checks the run's masks during training (`maskbench.masks.mask_audit`)."""
    return MaskAudit(trainer.model.masks)
