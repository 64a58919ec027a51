"""The trained model of a finished run, for the proofs on any model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from maskbench.audit.arm_model import ArmModel
from maskbench.audit.arms import make_arm_subject
from maskbench.audit.subject import AuditCase
from maskbench.errors import ConfigError
from maskbench.experiment.recorded_corpus import load_recorded_corpus
from maskbench.explain.run_attention import load_finished_model
from maskbench.records.locate import find_panels
from maskbench.verification.finished_runs import FinishedRun, refuse_missing_plugins


def load_audited_run(directory: Path) -> ArmModel:
    """Return the model that a finished run was measured with, on sentences of its corpus.

    Args:
        directory: the folder `seed-<n>` of a run.

    Raises:
        ConfigError: it belongs to no experiment, or a plug-in is missing.
        CorpusError: its corpus cannot be read.
        RunDirectoryError: it is not finished or damaged, or its corpus has changed.
    """
    place = directory.resolve()
    for found in find_panels(place.parent.parent):
        arm = next((arm for arm in found.panel.arms if arm.name == place.parent.name), None)
        if arm is None or found.directory.path.resolve() != place.parent.parent:
            continue
        run = found.directory.run(arm.name, int(place.name.removeprefix("seed-")))
        refuse_missing_plugins([FinishedRun(found.experiment.name, found.panel.name, arm, run)])
        corpus = load_recorded_corpus(found, arm, run.seed)
        model, clock = load_finished_model(run, arm.config, corpus)
        subject = make_arm_subject(arm, corpus, run.seed)
        name = f"{arm.name}/{place.name}"
        trained = replace(subject, name=name, weights=model.state_dict(), evaluation=clock)
        return ArmModel(AuditCase(trained, torch.float32))
    raise ConfigError(f"{directory} is a run of no arm of the experiment above it")
