"""Defines the proofs on any model and their answers, and keeps the list of all of them.

A proof is a function from a `ModelCase` to `ProofResult`s, decorated with `@model_proof`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar, get_args

from maskbench.model_audit.case import ModelCase, said_by
from maskbench.model_audit.comparable import DIFFERENT_AGAIN, DRAWS_ANYWAY, draws_numbers, is_repeatable
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.mode import EVALUATION, Mode

Family = Literal["future", "padding", "batch", "cache", "modes", "doors", "reach", "numbers", "parts"]
"""Families of proofs, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Change:
    """Two inputs that must give the same score somewhere, and do not."""

    before: Inputs
    after: Inputs
    row: int
    position: int
    """Where the score moved the most."""
    what: str
    """The change in words, such as "changing target token 5"."""
    mode: Mode = EVALUATION
    kept: tuple[int, ...] | None = None
    """Columns of the target that the change must not move; None: those up to the position."""


@dataclass(frozen=True, slots=True)
class ProofResult:
    """Result of one check of a proof."""

    passed: bool | None
    """None: the check was not made, as the proof does not apply; `detail` gives the reason."""
    value: float | None = None
    """Measured number."""
    limit: float | None = None
    """Largest allowed value (smallest, if `detail` says so)."""
    detail: str = ""
    verdict: str = ""
    """A word in place of `holds`, where something is to be known that is no broken promise."""
    change: Change | None = None
    """What to change in a model's inputs to see it, where a change shows it."""
    module: str | None = None
    """The first module whose output differs, where two ways to compute the same inputs do."""
    unable: bool = False
    """Whether the check was not made because the model raises."""

    @classmethod
    def at_most(
        cls, value: float, limit: float, detail: str = "", change: Change | None = None
    ) -> ProofResult:
        """Return a result that passes if value <= limit."""
        passed = value <= limit
        return cls(passed, value, limit, detail, change=None if passed else change)

    @classmethod
    def skipped(cls, reason: str) -> ProofResult:
        """Return the result of a check that was not made."""
        return cls(None, detail=reason)


def not_able(what: str, error: Exception) -> ProofResult:
    """Return the result of a check that a model cannot take part in, because it raises."""
    return ProofResult(None, detail=f"{what}: {said_by(error)}", unable=True)


class RegisteredProof(Protocol):
    """What the proofs of both audits have."""

    @property
    def name(self) -> str:
        """The name by which users ask for it."""

    @property
    def family(self) -> str:
        """The column or part of the report in which it stands."""


P = TypeVar("P", bound=RegisteredProof)


def add_proof(proofs: list[P], entry: P) -> None:
    """Add a proof to a list.

    Raises:
        ValueError: another proof has the name.
    """
    if any(other.name == entry.name for other in proofs):
        raise ValueError(f"two proofs are called {entry.name!r}")
    proofs.append(entry)


def question_of(ask: Callable[..., object]) -> str:
    """Return the question of a proof: the first docstring line of its function."""
    return (ask.__doc__ or "").strip().split("\n")[0]


def order_by_family(proofs: Sequence[P], families: Sequence[str]) -> list[P]:
    """Return proofs in the order of their families, then of registration."""
    return sorted(proofs, key=lambda proof: families.index(proof.family))


@dataclass(frozen=True, slots=True)
class ModelProof:
    """A registered proof: one yes/no question about a model."""

    name: str
    family: Family
    question: str
    """First docstring line of the function `ask`."""
    ask: Callable[[ModelCase], Iterable[ProofResult]]


MODEL_PROOFS: Final[list[ModelProof]] = []
"""All proofs on any model, in the order of registration."""


def model_proofs_in_order() -> list[ModelProof]:
    """Return all proofs on any model, ordered by family."""
    return order_by_family(MODEL_PROOFS, get_args(Family))


Ask = Callable[[ModelCase], Iterable[ProofResult]]


Need = Literal["", "repeats", "no draws"]
"""What an evaluation must do so that a proof can compare its passes: give the same scores again; and draw nothing, so that the
scores of other shapes are the same."""


def model_proof(name: str, family: Family, *, needs: Need = "") -> Callable[[Ask], Ask]:
    """Return a decorator that registers a function in `MODEL_PROOFS`.

    Raises:
        ValueError: another proof has the name.
    """

    def enter(ask: Ask) -> Ask:
        def ask_if_able(case: ModelCase) -> Iterable[ProofResult]:
            reason = _why_not(case, needs)
            return [ProofResult.skipped(reason)] if reason else ask(case)

        add_proof(MODEL_PROOFS, ModelProof(name, family, question_of(ask), ask_if_able))
        return ask

    return enter


def _why_not(case: ModelCase, needs: Need) -> str:
    if needs and not is_repeatable(case, case.evaluation):
        return f"{case.evaluation.name}: {DIFFERENT_AGAIN}"
    if needs == "no draws" and case.once("evaluation draws", lambda: draws_numbers(case, case.evaluation)):
        return DRAWS_ANYWAY
    return ""
