"""The audit: proofs that an arm hides what it says it hides, lets no future in, and keeps its other promises.

Importing this package enters every proof into `maskbench.audit.proofs.registry.PROOFS`. Data flows one way: a `Subject` (an arm
and sentences to try it on) becomes two `Case`s (float64, and what the run computes in), the proofs turn a case into
`Verdict`s, and `audit` collects them as `Finding`s.
"""

from maskbench.audit.proofs import decoding, density, draws, gradients, invariance, leaks, rows, support
from maskbench.audit.report import Finding, audit, is_sound

__all__ = [
    "Finding",
    "audit",
    "decoding",
    "density",
    "draws",
    "gradients",
    "invariance",
    "is_sound",
    "leaks",
    "rows",
    "support",
]
