"""Proofs that decoding with a cache is the same model as one pass over the whole target."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskbench.model_audit.case import EVALUATION, ModelCase
from maskbench.model_audit.changes import with_shifted_start
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.proofs.registry import Answer, model_proof


def in_steps(case: ModelCase, inputs: Inputs, pieces: Sequence[tuple[int, int]]) -> Tensor:
    """Return the scores of a target computed piece by piece from a cache; a piece is its first column and its end."""
    subject, found, state = case.subject, [], None

    def decode(whole: Inputs) -> Tensor:
        nonlocal state
        for start, end in pieces:
            so_far = whole.change("target", whole.target.columns(0, end))
            scores, state = subject.step(so_far, start, state)
            found.append(scores)
        return torch.cat(found, 1)

    return case.scores(inputs, EVALUATION, decode)


def _pieces(length: int, size: int, first: int = 1) -> list[tuple[int, int]]:
    """Return pieces of `size` columns after one of `first` columns."""
    edges = [0, *range(first, length, size), length]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _compare(case: ModelCase, inputs: Inputs, pieces: Sequence[tuple[int, int]], what: str) -> Answer:
    whole = case.scores(inputs, EVALUATION)
    found: Any = in_steps(case, inputs, pieces)
    real, limit = inputs.target.real, case.limit(whole)
    apart = (found - whole).abs().amax(-1).nan_to_num(nan=torch.inf, posinf=torch.inf)
    apart = torch.where(real, apart, 0.0)
    value = float(apart.max())
    if value > limit:
        first = (apart > limit).any(0).nonzero()[0].item()
        what += f": from position {first} on, scores from the cache differ, by up to {value:.2g}"
    return Answer.at_most(value, limit, what)


def _not_cached(case: ModelCase) -> str:
    return "" if case.subject.has_step else "the model has no decoding with a cache that is known (`step`)"


@model_proof("cached decoding", "cache")
def cached_decoding(case: ModelCase) -> Iterable[Answer]:
    """Are scores from a cache, token by token, those of the whole pass?"""
    if reason := _not_cached(case):
        yield Answer.not_made(reason)
        return
    length = case.inputs.target.length
    yield _compare(case, case.inputs, _pieces(length, 1), "token by token")


@model_proof("several tokens a step", "cache")
def several_tokens(case: ModelCase) -> Iterable[Answer]:
    """Are scores from a cache those of the whole pass after a prompt, and with several tokens a step?"""
    if reason := _not_cached(case):
        yield Answer.not_made(reason)
        return
    length = case.inputs.target.length
    yield _compare(case, case.inputs, _pieces(length, 1, first=length // 2), "after a prompt")
    yield _compare(case, case.inputs, _pieces(length, 3, first=2), "three tokens a step")


@model_proof("prompts padded on the left", "cache")
def left_padded_prompts(case: ModelCase) -> Iterable[Answer]:
    """Are prompts of several lengths, padded on the left, continued from the cache as by the whole pass?"""
    if reason := _not_cached(case):
        yield Answer.not_made(reason)
        return
    if not case.subject.left_padding or "target" not in case.subject.padding:
        yield Answer.not_made("the model does not take padding before the tokens")
        return
    shifted = with_shifted_start(case.inputs, "target")
    prompt = int((~shifted.target.real).sum(1).max()) + 1
    pieces = _pieces(shifted.target.length, 1, first=prompt)
    yield _compare(case, shifted, pieces, "prompts padded on the left")
