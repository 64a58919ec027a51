"""Corpora, vocabularies and batches. Importing the package registers every corpus in `CORPORA`.

A new corpus is one file with a `CorpusBuilder` and one line here. Only `maskbench.data.batches` needs torch;
import it separately.
"""

from maskbench.data.cache import load_corpus
from maskbench.data.corpora.copying import CopyCorpus, ReverseCorpus, SortCorpus
from maskbench.data.corpora.cue import CueCorpus
from maskbench.data.corpora.denoise import DenoiseCorpus
from maskbench.data.corpora.files import FilesCorpus
from maskbench.data.corpora.label import LabelCorpus
from maskbench.data.corpora.mixture import MixtureCorpus
from maskbench.data.corpora.public_corpora import Multi30kCorpus, TatoebaCorpus
from maskbench.data.corpora.recall import RecallCorpus
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus
from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split

__all__ = [
    "CopyCorpus",
    "Corpus",
    "CorpusBuilder",
    "CueCorpus",
    "DenoiseCorpus",
    "FilesCorpus",
    "LabelCorpus",
    "MixtureCorpus",
    "Multi30kCorpus",
    "Ragged",
    "RecallCorpus",
    "ReverseCorpus",
    "SortCorpus",
    "Split",
    "TatoebaCorpus",
    "ToydeenCorpus",
    "load_corpus",
]
