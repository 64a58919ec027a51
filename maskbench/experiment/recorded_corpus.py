"""The corpus that the runs of an experiment's directory were trained on."""

from __future__ import annotations

from maskbench.config.schema.experiment import ArmConfig
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.errors import RunDirectoryError
from maskbench.experiment.plan import CACHE
from maskbench.records.locate import FoundPanel


def load_recorded_corpus(found: FoundPanel, arm: ArmConfig, seed: int) -> Corpus:
    """Return the corpus of a run.

    Raises:
        CorpusError: it cannot be read.
        RunDirectoryError: it has changed since.
    """
    path = found.directory.path
    runs_dir = (path.parent if found.panel.name else path).parent
    corpus = load_corpus(arm.config.corpus, runs_dir / CACHE)
    record = found.directory.run(arm.name, seed).record() or {}
    if corpus.sha256 != (record.get("identity") or {}).get("data_sha256"):
        raise RunDirectoryError(
            f"the corpus {corpus.name} is not the one that the runs in {path} saw: its files or this version's way to "
            "build it have changed since; bring those back, or train the experiment again"
        )
    return corpus
