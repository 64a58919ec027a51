"""Defines the proofs on any model and their answers, and keeps the list of all of them.

A proof is a function from a `ModelCase` to `Answer`s, decorated with `@model_proof`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from maskbench.model_audit.case import EVALUATION, Mode, ModelCase
from maskbench.model_audit.inputs import Inputs

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


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one check of a proof."""

    passed: bool | None
    """None: the check was not made; `detail` says why."""
    value: float | None = None
    """Measured number."""
    limit: float | None = None
    """Largest allowed value."""
    detail: str = ""
    change: Change | None = None
    """What to change to see it, where a change shows it."""

    @classmethod
    def at_most(cls, value: float, limit: float, detail: str = "", change: Change | None = None) -> Answer:
        """Return an answer that passes if value <= limit."""
        passed = value <= limit
        return cls(passed, value, limit, detail, None if passed else change)

    @classmethod
    def not_made(cls, reason: str) -> Answer:
        """Return the answer of a check that was not made."""
        return cls(None, detail=reason)


@dataclass(frozen=True, slots=True)
class ModelProof:
    """A registered proof: one yes/no question about a model."""

    name: str
    family: Family
    question: str
    """First docstring line of the function `ask`."""
    ask: Callable[[ModelCase], Iterable[Answer]]


MODEL_PROOFS: Final[list[ModelProof]] = []
"""All proofs on any model, in the order of registration."""


def model_proofs_in_order() -> list[ModelProof]:
    """Return all proofs on any model, ordered by family."""
    families = get_args(Family)
    return sorted(MODEL_PROOFS, key=lambda proof: families.index(proof.family))


Ask = Callable[[ModelCase], Iterable[Answer]]


def model_proof(name: str, family: Family) -> Callable[[Ask], Ask]:
    """Return a decorator that registers a function in `MODEL_PROOFS`.

    Raises:
        ValueError: another proof has the name.
    """

    def enter(ask: Ask) -> Ask:
        if any(other.name == name for other in MODEL_PROOFS):
            raise ValueError(f"two proofs are called {name!r}")
        MODEL_PROOFS.append(ModelProof(name, family, (ask.__doc__ or "").strip().split("\n")[0], ask))
        return ask

    return enter
