"""The mutants, one list for each family; what a mutant is and how it is run is in `tests/mutants.py`."""

from __future__ import annotations

from mutations.attention_paths import ATTENTION_PATHS
from mutations.audit import AUDIT
from mutations.benchmarks import BENCHMARKS
from mutations.biases import BIASES
from mutations.checks import CHECKS
from mutations.cost import COST
from mutations.cross import CROSS
from mutations.data import DATA
from mutations.drops import DROPS
from mutations.field import FIELD
from mutations.frame import FRAME
from mutations.learned import LEARNED
from mutations.lending import LENDING
from mutations.model import MODEL
from mutations.model_audit import MODEL_AUDIT
from mutations.normalisers import NORMALISERS
from mutations.output import OUTPUT
from mutations.plugins import PLUGINS
from mutations.reading import READING
from mutations.sameness import SAMENESS
from mutations.scores import SCORES
from mutations.structure import STRUCTURE
from mutations.time import TIME
from mutations.tokens import TOKENS
from mutations.words import WORDS

MUTANTS = [
    *FRAME,
    *ATTENTION_PATHS,
    *TIME,
    *MODEL,
    *STRUCTURE,
    *BIASES,
    *NORMALISERS,
    *LEARNED,
    *LENDING,
    *DROPS,
    *TOKENS,
    *CROSS,
    *CHECKS,
    *COST,
    *OUTPUT,
    *DATA,
    *READING,
    *SAMENESS,
    *SCORES,
    *AUDIT,
    *MODEL_AUDIT,
    *WORDS,
    *PLUGINS,
    *BENCHMARKS,
    *FIELD,
]
