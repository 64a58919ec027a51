"""Corpora, vocabularies and batches. Importing the package enters every corpus in `maskbench.registry.CORPORA`.

A new corpus is one file with a `CorpusBuilder` and one line here. Nothing in this package needs torch but
`maskbench.data.batches`, which is imported by those who train.
"""

from maskbench.data.cache import load_corpus
from maskbench.data.copying import Copy, Reverse, Sort
from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split
from maskbench.data.cue import Cue
from maskbench.data.denoise import Denoise
from maskbench.data.files import Files
from maskbench.data.label import Label
from maskbench.data.mixture import Mixture
from maskbench.data.recall import Recall
from maskbench.data.recipes import Multi30k, Tatoeba
from maskbench.data.toydeen import Toydeen

__all__ = [
    "Copy",
    "Corpus",
    "CorpusBuilder",
    "Cue",
    "Denoise",
    "Files",
    "Label",
    "Mixture",
    "Multi30k",
    "Ragged",
    "Recall",
    "Reverse",
    "Sort",
    "Split",
    "Tatoeba",
    "Toydeen",
    "load_corpus",
]
