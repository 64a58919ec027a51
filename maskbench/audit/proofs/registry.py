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
from maskbench.model_audit.proofs.registry import ProofResult, add_proof, order_by_family, question_of

__all__ = ["PROOFS", "Formats", "Proof", "ProofFamily", "ProofResult", "proof", "proofs_in_order"]

ProofFamily = Literal["leaks", "reach", "invariance", "rows", "gradients", "decoding", "draws", "density"]
"""Families of proofs; the columns of the audit table."""
Formats = Literal["exact", "both", "own"]
"""Number formats of a proof: float64 only, float64 and the run's own, or the run's own only."""


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
    return order_by_family(PROOFS, get_args(ProofFamily))


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
        add_proof(PROOFS, Proof(name, family, formats, question_of(ask), ask))
        return ask

    return enter
