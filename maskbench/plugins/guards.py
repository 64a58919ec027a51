"""Guards around the methods of a plug-in's classes: what they raise and return becomes one message with their line.

A guard calls the method as it is. What the method raises becomes a `PluginError`; so does a result of another type,
dtype, shape or device than the contract says. Classes of maskbench itself have no guards: its own tests check them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from torch import Tensor

from maskbench.data.corpus import Corpus, CorpusBuilder
from maskbench.errors import PluginError
from maskbench.masks.base import (
    AttentionMask,
    HeadGate,
    InputFeature,
    LogitMask,
    LossMask,
    MaskMod,
    Normaliser,
    ScoreBias,
    ScoreGate,
    Strategy,
    TensorGate,
    TokenMask,
    WeightMask,
)
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, TokenContext, TokenInput
from maskbench.metrics.base import Metric, TokenMetric, TranslationMetric
from maskbench.plugins.answers import (
    Axis,
    expect_number,
    expect_numbers_of_sentence,
    expect_tensor,
    expect_values,
    show_value,
)
from maskbench.plugins.faults import (
    ContractBreach,
    definition_of,
    describe_fault,
    is_from_outside,
    place_of,
    plugin_line,
)

Check = Callable[[Any, Any, tuple[Any, ...]], str | None]
"""`(instance or class, result, arguments) -> what is wrong with the result`, None if it is right."""


def guarded_methods(cls: type) -> dict[str, tuple[str, ...]]:
    """Return the methods of a strategy, corpus or metric that are guarded, and with which arguments they are called."""
    return {
        method: arguments
        for kind, methods in _METHODS.items()
        if issubclass(cls, kind)
        for method, (arguments, _) in methods.items()
    }


def guard_class(what: str, name: str, cls: type) -> None:
    """Put a guard around every method that maskbench calls; a class that has guards keeps them.

    Args:
        what: what the class is, in messages: "strategy".
        name: its registered name.
    """
    for kind, methods in _METHODS.items():
        if issubclass(cls, kind):
            for method, (_, check) in methods.items():
                _guard_method(what, name, cls, method, check)


def _guard_method(what: str, name: str, cls: type, method: str, check: Check | None) -> None:
    owner_class = next(base for base in cls.__mro__ if method in base.__dict__)
    if owner_class.__module__.partition(".")[0] == "maskbench":
        return  # inherited from maskbench: what it calls of the plug-in has a guard
    written = owner_class.__dict__[method]
    is_classmethod = isinstance(written, classmethod)
    original = getattr(written, "__func__", written)
    original = getattr(original, "unguarded", original)

    @functools.wraps(original)
    def guarded(owner: Any, *arguments: Any, **options: Any) -> Any:
        site = getattr(owner, "site", "") if method != "__init__" else arguments[-1]
        subject = f"{what} {name!r}{f' at {site}' if site else ''}: {method}"
        if options:
            arguments, options = inspect.signature(original).bind(owner, *arguments, **options).args[1:], {}
        if method in ("mask_mod", "keep") and owner.sliceable:
            arguments = (arguments[0], _without_clock(arguments[1]))
        try:
            result = original(owner, *arguments)
        except BaseException as error:
            if is_from_outside(error):
                raise
            _raise(subject, describe_fault(error), plugin_line(error) or _line_of(original, cls), error)
        if method == "mask_mod" and callable(result):
            return _guard_mod(result, subject, cls)
        wrong = check and check(owner, result, arguments)
        if wrong:
            _raise(subject, wrong, _line_of(original, cls))
        return _widened(result, arguments) if method == "keep" else result

    guarded.unguarded = original  # type: ignore[attr-defined]
    setattr(cls, method, classmethod(guarded) if is_classmethod else guarded)


class _HiddenClock(Clock):
    """The clock that a sliceable strategy gets: reading it is an error, since its pattern is computed once and kept."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        """Raise for everything that a clock says."""
        if not name.startswith("_"):
            raise ContractBreach(
                f"reads the clock ({name}) and declares sliceable = True, so its pattern would be computed once and kept "
                "for the whole run; leave sliceable out"
            )
        return super().__getattribute__(name)


_HIDDEN_CLOCK = _HiddenClock("train", 0, 0)


def _without_clock(ctx: AttentionContext) -> AttentionContext:
    return replace(ctx, request=replace(ctx.request, clock=_HIDDEN_CLOCK))


def _line_of(function: Any, cls: type) -> tuple[str, int]:
    """Return the file and first line of a function of a plug-in, or of the class where it inherits the function."""
    found = definition_of(function)
    if found is not None:
        return found
    return inspect.getsourcefile(cls) or cls.__module__, inspect.getsourcelines(cls)[1]


def _raise(subject: str, wrong: str, place: tuple[str, int], error: BaseException | None = None) -> NoReturn:
    raise PluginError(f"{place_of(*place)}{subject}: {wrong}") from error


def _guard_mod(mod: MaskMod, subject: str, cls: type) -> MaskMod:
    """Return the function that `mask_mod` returned, with its results checked."""

    def guarded(*indices: Tensor) -> Tensor:
        try:
            keep = mod(*indices)
        except BaseException as error:
            if is_from_outside(error):
                raise
            place = plugin_line(error) or _line_of(mod, cls)
            _raise(f"{subject} returned a function", describe_fault(error), place, error)
        sizes = tuple(max(axis) for axis in zip(*(index.shape for index in indices), strict=True))
        wrong = expect_tensor(keep, "Bool", _axes(("batch", "heads", "query", "key"), sizes), indices[0])
        if wrong:
            _raise(f"{subject}'s function", wrong, _line_of(mod, cls))
        return keep.expand(*keep.shape[:-2], *sizes[-2:])

    return guarded


def _axes(names: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[Axis, ...]:
    return tuple(Axis(name, size, may_be_one=True) for name, size in zip(names, sizes, strict=True))


def _attention_axes(ctx: AttentionContext) -> tuple[Axis, ...]:
    r = ctx.request
    return _axes(
        ("batch", "heads", "query", "key"), (len(r.examples), ctx.n_heads, len(r.q_idx), len(r.kv_idx))
    )


def _widened(keep: Any, arguments: tuple[Any, ...]) -> Any:
    """Return a pattern with every query and key, as the cache of patterns slices it."""
    r = arguments[1].request
    return keep.expand(*keep.shape[:-2], len(r.q_idx), len(r.kv_idx))


def _check_init(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    if hasattr(owner, "site") and hasattr(owner, "sizes"):
        return None
    return "does not call super().__init__(options, sizes, site)"


def _check_mod(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str:
    return (
        f"returned {show_value(result)}, and returns a function of (b, h, q_idx, kv_idx) whose result is "
        "Bool[batch|1, heads|1, query, key], True = may attend"
    )


def _check_pairs(dtype: str) -> Check:
    def check(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
        ctx = arguments[1]
        return expect_tensor(result, dtype, _attention_axes(ctx), ctx.request.q_idx)

    return check


def _check_head_gate(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    ctx = arguments[1]
    return expect_tensor(result, "Float", _attention_axes(ctx)[:2], ctx.request.q_idx)


def _check_weights(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    scores = arguments[1]
    names = ("batch", "heads", "query", "key")
    return expect_tensor(result, "Float", tuple(map(Axis, names, scores.shape, [False] * len(names))), scores)


def _check_change(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    ctx: TokenContext = arguments[1]
    before = ctx.current.ids
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], TokenInput)):
        return f"returned {show_value(result)}, and returns (TokenInput, Bool[batch, len]): the input, and what was picked"
    changed, picked = result
    batch, length = before.shape
    moved = changed.origin is not ctx.current.origin
    columns = Axis("len", changed.ids.shape[-1] if moved and changed.ids.ndim else length)
    return (
        expect_tensor(changed.ids, "Int64", (Axis("batch", batch), columns), before, "ids of ")
        or expect_tensor(picked, "Bool", (Axis("batch", batch), Axis("len", length)), before, "picks of ")
        or _check_ids(changed.ids, owner.sizes.vocab_size)
    )


def _check_ids(ids: Tensor, vocabulary: int) -> str | None:
    if not ids.numel() or (int(ids.min()) >= 0 and int(ids.max()) < vocabulary):
        return None
    return f"returned ids from {int(ids.min())} to {int(ids.max())}, and the vocabulary has ids from 0 to {vocabulary - 1}"


def _check_feature(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    x = arguments[1]
    axes = tuple(Axis(name, size) for name, size in zip(("batch", "len", "d_model"), x.shape, strict=True))
    return expect_tensor(result, "Float", axes, x)


def _check_gate(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    tensor = arguments[1]
    return expect_tensor(result, "Float", _axes(("batch", "len", "width"), tuple(tensor.shape)), tensor)


def _check_allowed(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    ctx = arguments[1]
    sizes = (len(ctx.prefix), len(ctx.positions))
    axes = (*_axes(("batch", "len"), sizes), Axis("vocab", owner.sizes.vocab_size))
    return expect_tensor(result, "Bool", axes, ctx.prefix)


def _check_loss(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    real = arguments[1].real
    axes = tuple(Axis(name, size) for name, size in zip(("batch", "len"), real.shape, strict=True))
    return expect_tensor(result, "Float", axes, real)


def _check_penalty(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if result is None else expect_tensor(result, "Float", (), None)


def _check_density(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if result is None else expect_number(result)


def _check_measured(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    return expect_values(result)


def _check_token_values(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    expected = arguments[0].gold.shape
    shape, dtype = getattr(result, "shape", None), getattr(result, "dtype", None)
    if shape == expected and dtype is not None and getattr(dtype, "kind", "") in "bifu":
        return None
    return f"returned {show_value(result)}, and returns Float64[{expected[0]}] or Bool[{expected[0]}], one value a token"


def _check_count(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    return expect_numbers_of_sentence(result, 2)


def _check_score(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    return expect_number(result)


def _check_corpus(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    if not isinstance(result, Corpus):
        return f"returned {show_value(result)}, and returns a Corpus"
    missing = [name for name in ("train", "valid") if name not in result.splits]
    return f"returned a Corpus without the split {' and '.join(missing)}" if missing else None


def _check_names(owner: Any, result: Any, arguments: tuple[Any, ...]) -> str | None:
    if isinstance(result, list | tuple) and all(isinstance(name, str) for name in result):
        return None
    return f"returned {show_value(result)}, and returns a list of the names of splits"


_PAIR = ("options", "ctx")
_NO_CHECK: Check | None = None
_METHODS: Mapping[type, Mapping[str, tuple[tuple[str, ...], Check | None]]] = {
    Strategy: {
        "__init__": (("options", "sizes", "site"), _check_init),
        "penalty": (("acts",), _check_penalty),
        "density": (("options", "q_len", "kv_len"), _check_density),
    },
    AttentionMask: {"mask_mod": (_PAIR, _check_mod), "keep": (_PAIR, _check_pairs("Bool"))},
    ScoreBias: {"bias": (_PAIR, _check_pairs("Float"))},
    ScoreGate: {"log_gate": (_PAIR, _check_pairs("Float"))},
    WeightMask: {"factors": (_PAIR, _check_pairs("Float"))},
    HeadGate: {"head_gate": (_PAIR, _check_head_gate)},
    Normaliser: {"weights": (("options", "scores", "keep", "ctx"), _check_weights)},
    TokenMask: {"change": (_PAIR, _check_change)},
    InputFeature: {"feature": (("options", "x", "tokens"), _check_feature)},
    TensorGate: {"gate": (("options", "tensor", "ctx"), _check_gate)},
    LogitMask: {"allowed": (_PAIR, _check_allowed)},
    LossMask: {"weights": (_PAIR, _check_loss)},
    Metric: {
        "measure": (("outputs", "split"), _check_measured),
        "count_sentences": (("outputs", "split"), _NO_CHECK),
        "score_counts": (("counts",), _NO_CHECK),
    },
    TokenMetric: {"token_values": (("tokens",), _check_token_values)},
    TranslationMetric: {
        "count": (("hypothesis", "reference"), _check_count),
        "count_texts": (("hypotheses", "references", "lowercase"), _NO_CHECK),
        "score": (("hypotheses", "references", "lowercase"), _check_score),
        "signature": (("lowercase",), _NO_CHECK),
    },
    CorpusBuilder: {
        "build": (("options",), _check_corpus),
        "split_names": (("options",), _check_names),
        "annotations": (("options",), _NO_CHECK),
        "tags": (("options",), _NO_CHECK),
        "origins": (("options",), _NO_CHECK),
        "versions": (("options",), _NO_CHECK),
        "inputs": (("options",), _NO_CHECK),
    },
}
"""By kind of class: the methods that maskbench calls, with which arguments, and how their result is checked."""
