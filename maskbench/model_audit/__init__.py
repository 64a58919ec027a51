"""The audit of any sequence model: proofs that it keeps the promises of its masks.

A `ModelSubject` says how a model is called; `audit_subject` runs every proof of `MODEL_PROOFS` on it. Of other packages torch,
jaxtyping and numpy are imported here.
"""

from maskbench.model_audit.audit import ModelFinding, audit_subject
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.proofs import (
    batch,
    caching,
    doors,
    future,
    length,
    modes,
    numbers,
    padding,
    parts,
    reach,
    structure,
)
from maskbench.model_audit.subject import ModelSubject

__all__ = [
    "Inputs",
    "ModelFinding",
    "ModelSubject",
    "PaddedTokens",
    "audit_subject",
    "batch",
    "caching",
    "doors",
    "future",
    "length",
    "modes",
    "numbers",
    "padding",
    "parts",
    "reach",
    "structure",
]
