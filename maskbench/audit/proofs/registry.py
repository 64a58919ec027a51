"""What a proof is, what it finds, and the list of all of them.

A proof is a function that takes a `AuditCase` (an arm in one number format) and returns verdicts. To add one, write it in
the file of its family, or in a new file that `maskbench.audit` imports, and enter it with `@proof`; the audit, the
table and the JSON read the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from maskbench.audit.subject import AuditCase

ProofFamily = Literal["leaks", "reach", "invariance", "rows", "gradients", "decoding", "draws", "density"]
"""The columns of the table."""
Formats = Literal["exact", "both", "own"]
"""In which number formats a proof is run: float64 alone, float64 and the run's own, the run's own alone."""


@dataclass(frozen=True, slots=True)
class ProofResult:
    """What a proof says of a case."""

    passed: bool | None
    """None: the question does not arise, and `detail` says why."""
    value: float | None = None
    """What was measured."""
    limit: float | None = None
    """What it may be at most (at least, where `detail` says so)."""
    detail: str = ""

    @classmethod
    def at_most(cls, value: float, limit: float, detail: str = "") -> ProofResult:
        """Return the verdict on a number that may be `limit` at most."""
        return cls(value <= limit, value, limit, detail)

    @classmethod
    def skipped(cls, reason: str) -> ProofResult:
        """Return the verdict on a question that does not arise."""
        return cls(None, detail=reason)


@dataclass(frozen=True, slots=True)
class Proof:
    """A question that is put to every arm."""

    name: str
    family: ProofFamily
    formats: Formats
    question: str
    """Its first docstring line."""
    ask: Callable[[AuditCase], Iterable[ProofResult]]


PROOFS: Final[list[Proof]] = []
"""Every proof, in the order in which they were entered."""


def proofs_in_order() -> list[Proof]:
    """Return every proof, family by family."""
    families = get_args(ProofFamily)
    return sorted(PROOFS, key=lambda proof: families.index(proof.family))


def proof(
    name: str, family: ProofFamily, formats: Formats
) -> Callable[[Callable[[AuditCase], Iterable[ProofResult]]], Callable[[AuditCase], Iterable[ProofResult]]]:
    """Return a decorator that enters a function into the list of proofs.

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
