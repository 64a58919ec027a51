"""Reads scores from what a model returns."""

from __future__ import annotations

from typing import Any

from torch import Tensor

HINT = "Return a ModelSubject from your function to say how it is called (docs/audit-any-model.md)"


def first_tensor(output: Any) -> Tensor:
    """Return the tensor of scores of a module's output: itself, the field `logits`, or the first one of a tuple.

    Raises:
        TypeError: there is none.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict) and isinstance(output.get("logits"), Tensor):
        found: Tensor = output["logits"]
        return found
    if isinstance(getattr(output, "logits", None), Tensor):
        found = output.logits
        return found
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        found = output[0]
        return found
    raise TypeError(f"a model must return its scores as a tensor; this one returns {type(output).__name__}")


def scores_for(ids: Tensor, found: Tensor) -> Tensor:
    """Return scores that stand at the positions of ids `[batch len]`.

    Raises:
        TypeError: their shape is not [batch, length, outputs].
    """
    if found.ndim != 3 or found.shape[:2] != ids.shape:
        raise TypeError(
            f"for ids of shape {tuple(ids.shape)} the model returns scores of shape {tuple(found.shape)}; the proofs "
            f"need [batch, length, outputs]. {HINT}"
        )
    return found
