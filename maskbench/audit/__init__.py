"""The audit: proofs that an arm masks what it declares, leaks no future tokens, and meets its other claims.

Importing this package registers every proof in `maskbench.audit.proofs.registry.PROOFS`. A `Subject` (an arm
and test sentences) becomes two `AuditCase`s (float64, and the number format of the run), the proofs turn a
case into `ProofResult`s, and `audit` collects them as `Finding`s.
"""

from maskbench.audit.proofs import (
    density,
    draws,
    effect,
    gradients,
    paths,
    rows,
    shared,
    support,
)
from maskbench.audit.report import Finding, audit, is_sound

__all__ = [
    "Finding",
    "audit",
    "density",
    "draws",
    "effect",
    "gradients",
    "is_sound",
    "paths",
    "rows",
    "shared",
    "support",
]
