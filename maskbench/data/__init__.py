"""Corpora, vocabularies and batches. Importing the package enters every corpus in `maskbench.registry.CORPORA`.

A new corpus is one file with a `CorpusBuilder` and one line here. Nothing in this package needs torch but
`maskbench.data.batches`, which is imported by those who train.
"""

from maskbench.data.cache import load_corpus
from maskbench.data.corpora.copying import Copy, Reverse, Sort
from maskbench.data.corpora.cue import Cue
from maskbench.data.corpora.denoise import Denoise
from maskbench.data.corpora.downloaded import Multi30k, Tatoeba
from maskbench.data.corpora.files import Files
from maskbench.data.corpora.label import Label
from maskbench.data.corpora.mixture import Mixture
from maskbench.data.corpora.recall import Recall
from maskbench.data.corpora.toydeen.corpus import Toydeen
from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split

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
