"""Asks some promises of a model by hand, on its public interface: plain torch, none of the code of the proofs.

It decides nothing by itself: `docs/field.md` holds its numbers against the cells.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

NOISE = 1e-10
"""A change of a score below this, relative to the largest score or 1, is rounding in float64."""
Call = Callable[..., Tensor]


def check(model: nn.Module, kind: str, vocabulary: range, longest: int, multiple: int) -> dict[str, float]:
    """Return, by the name of a proof, the largest change of a score, relative to the largest score or 1.

    Args:
        kind: as `ModelSubject.kind`.
        vocabulary: ids of ordinary tokens.
        longest: longest sentence that the model takes, in tokens.
        multiple: of which lengths are multiples.
    """
    model = model.double().eval()
    torch.set_default_dtype(torch.float64)
    n = min(12 if multiple == 1 else -(-12 // multiple) * multiple, longest // multiple * multiple)
    generator = torch.Generator().manual_seed(7)

    def words(rows: int, length: int) -> Tensor:
        return torch.randint(vocabulary.start, vocabulary.stop, (rows, length), generator=generator)

    call = _call_of(model, kind)
    ids, source = (
        words(2, n),
        words(2, n - multiple if n > multiple else n) if kind == "encoder-decoder" else None,
    )
    real = torch.ones_like(ids, dtype=torch.bool)
    source_real = None if source is None else torch.ones_like(source, dtype=torch.bool)
    plain = call(ids, real, source, source_real)
    size = max(1.0, float(plain.abs().max()))

    def apart(one: Tensor, other: Tensor) -> float:
        return float((one - other).abs().nan_to_num(nan=float("inf")).max()) / size

    found: dict[str, float] = {}
    if kind in ("decoder", "encoder-decoder"):
        found["causality"] = max(
            apart(
                call(_other(ids, slice(t, None), vocabulary), real, source, source_real)[:, :t], plain[:, :t]
            )
            for t in range(1, n)
        )
        cuts = range(max(2, multiple), n, multiple)
        found["truncation"] = max(
            (apart(call(ids[:, :t], real[:, :t], source, source_real), plain[:, :t]) for t in cuts),
            default=0.0,
        )
    mates = _other(ids, slice(None), vocabulary)
    mates[0] = ids[0]
    found["batch mates"] = apart(call(mates, real, source, source_real)[0], plain[0])
    hidden = source if source is not None else ids
    if _is_told(model, kind):
        mask = torch.ones_like(hidden, dtype=torch.bool)
        mask[1, -3:] = False
        changed = hidden.clone()
        changed[1, -3:] = _other(hidden, slice(-3, None), vocabulary)[1, -3:]
        if source is not None:
            one, two = call(ids, real, source, mask), call(ids, real, changed, mask)
        else:
            one, two = call(ids, mask, None, None)[mask], call(changed, mask, None, None)[mask]
        found["padding content"] = apart(one, two)
    return found


def _other(ids: Tensor, columns: slice, vocabulary: range) -> Tensor:
    """Return ids with other words in some columns."""
    changed = ids.clone()
    changed[:, columns] = (ids[:, columns] - vocabulary.start + 1) % len(vocabulary) + vocabulary.start
    return changed


def _is_told(model: nn.Module, kind: str) -> bool:
    """Whether the model's call takes a mask of padding."""
    library = type(model).__module__.split(".")[0]
    if library == "x_transformers":
        return kind != "decoder"
    return library == "transformers" and "attention_mask" in inspect.signature(model.forward).parameters


def _call_of(model: Any, kind: str) -> Call:
    """Return how the documentation of the model's library says that it is called."""
    library = type(model).__module__.split(".")[0]
    takes = inspect.signature(model.forward).parameters

    def transformers(ids: Tensor, real: Tensor, source: Tensor | None, source_real: Tensor | None) -> Tensor:
        if source is not None and source_real is not None:
            how = {"attention_mask": source_real.long(), "decoder_input_ids": ids}
            if "decoder_attention_mask" in takes:
                how["decoder_attention_mask"] = real.long()
            return model(input_ids=source, use_cache=False, **how).logits
        how = {"attention_mask": real.long()} if "attention_mask" in takes else {}
        return model(input_ids=ids, **how).logits

    def x_transformers(
        ids: Tensor, real: Tensor, source: Tensor | None, source_real: Tensor | None
    ) -> Tensor:
        if source is not None:
            context = model.encoder(source, mask=source_real, return_embeddings=True)
            return model.decoder.net(ids, context=context, context_mask=source_real)
        return model(ids) if kind == "decoder" else model(ids, mask=real)

    def other(ids: Tensor, real: Tensor, source: Tensor | None, source_real: Tensor | None) -> Tensor:
        found = model(ids) if source is None else model(source, ids)
        return found if isinstance(found, Tensor) else found[0]

    chosen = {"transformers": transformers, "x_transformers": x_transformers}.get(library, other)

    def call(*given: Any) -> Tensor:
        with torch.no_grad():
            torch.manual_seed(0)
            return chosen(*(None if x is None else x.clone() for x in given))

    return call
