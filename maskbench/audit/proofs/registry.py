"""Defines proofs and their results, and keeps the list of all proofs.

A proof is a function that takes an `AuditCase` (an arm in one number format) and returns `ProofResult`s. To
add one, write it in the file of its family, or in a new file that `maskbench.audit` imports, and decorate it
with `@proof`; the audit, the table and the JSON read the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from maskbench.audit.subject import AuditCase

ProofFamily = Literal["leaks", "reach", "invariance", "rows", "gradients", "decoding", "draws", "density"]
"""Families of proofs; the columns of the audit table."""
Formats = Literal["exact", "both", "own"]
"""Number formats of a proof: float64 only, float64 and the run's own, or the run's own only."""


@dataclass(frozen=True, slots=True)
class ProofResult:
    """Result of one check of a proof on a case."""

    passed: bool | None
    """None: the proof does not apply; `detail` gives the reason."""
    value: float | None = None
    """Measured number."""
    limit: float | None = None
    """Largest allowed value (smallest, if `detail` says so)."""
    detail: str = ""

    @classmethod
    def at_most(cls, value: float, limit: float, detail: str = "") -> ProofResult:
        """Return a result that passes if value <= limit."""
        return cls(value <= limit, value, limit, detail)

    @classmethod
    def skipped(cls, reason: str) -> ProofResult:
        """Return the result of a proof that does not apply."""
        return cls(None, detail=reason)


@dataclass(frozen=True, slots=True)
class Proof:
    """A registered proof: one yes/no question about an arm."""

    name: str
    family: ProofFamily
    formats: Formats
    question: str
    """First docstring line of the function `ask`."""
    ask: Callable[[AuditCase], Iterable[ProofResult]]


PROOFS: Final[list[Proof]] = []
"""All proofs, in the order of registration."""


def proofs_in_order() -> list[Proof]:
    """Return all proofs, ordered by family."""
    families = get_args(ProofFamily)
    return sorted(PROOFS, key=lambda proof: families.index(proof.family))


def proof(
    name: str, family: ProofFamily, formats: Formats
) -> Callable[[Callable[[AuditCase], Iterable[ProofResult]]], Callable[[AuditCase], Iterable[ProofResult]]]:
    """Return a decorator that registers a function in `PROOFS`.

    Raises:
        ValueError: another proof has the name.
    """

    def enter(
        ask: Callable[[AuditCase], Iterable[ProofResult]],
    ) -> Callable[[AuditCase], Iterable[ProofResult]]:
        if any(other.name == name for other in PROOFS):
            raise ValueError(f"two proofs are called {name!r}")
        question = (ask.__doc__ or "").strip().split("\n")[0]
        PROOFS.append(Proof(name, family, formats, question, ask))
        return ask

    return enter
