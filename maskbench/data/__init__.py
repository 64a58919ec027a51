"""Corpora, vocabularies and batches. Importing the package enters every corpus in `maskbench.registry.CORPORA`.

A new corpus is one file with a `CorpusBuilder` and one line here. Nothing in this package needs torch but
`maskbench.data.batches`, which is imported by those who train.
"""

from maskbench.data.cache import load_corpus
from maskbench.data.copying import Copy, Reverse
from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split
from maskbench.data.files import Files
from maskbench.data.toydeen import Toydeen

__all__ = ["Copy", "Corpus", "CorpusBuilder", "Files", "Ragged", "Reverse", "Split", "Toydeen", "load_corpus"]
