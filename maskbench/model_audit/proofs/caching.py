"""Proofs that decoding with a cache is the same model as one pass over the whole target."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.changes import with_shifted_start
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.locate import first_module_of_step
from maskbench.model_audit.proofs.padding import NOT_ON_THE_LEFT
from maskbench.model_audit.proofs.registry import ProofResult, model_proof, not_able
from maskbench.model_audit.rounding import apart_at

GENERATED = 6
"""Number of tokens that a generation appends."""


def in_steps(case: ModelCase, pieces: Sequence[tuple[int, int]]) -> Callable[[Inputs], Tensor]:
    """Return a function that computes scores piece by piece from a cache; a piece is its first column and its end."""
    subject = case.subject

    def decode(whole: Inputs) -> Tensor:
        found, state = [], None
        for start, end in pieces:
            so_far = whole.change("target", whole.target.columns(0, end))
            returned = subject.step(so_far, start, state)
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise TypeError("`step` returns scores and the next state")
            scores, state = returned
            if scores.ndim != 3 or scores.shape[1] != end - start:
                raise TypeError(
                    f"`step` returned scores of shape {list(scores.shape)} for {end - start} new columns"
                )
            found.append(scores)
        return torch.cat(found, 1)

    return decode


def _pieces(length: int, size: int, first: int = 1) -> list[tuple[int, int]]:
    """Return pieces of `size` columns after one of `first` columns."""
    edges = [0, *range(first, length, size), length]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def compare_steps(
    case: ModelCase, inputs: Inputs, pieces: Sequence[tuple[int, int]], what: str
) -> ProofResult:
    """Return whether scores of a target from a cache, piece by piece, are those of the whole pass."""
    whole = case.scores(inputs)
    try:
        found = case.scores(inputs, compute=in_steps(case, pieces))
    except (AssertionError, NotImplementedError, ValueError) as error:
        # The library refuses more than one new token; a wrong shape is another error.
        return not_able(what, error)
    real, limit = inputs.target.real, case.limit(whole)
    apart = apart_at(found, whole, real)
    value = float(apart.max())
    if value > limit:
        first = int((apart > limit).any(0).nonzero()[0])
        what += f": from position {first} on, scores from the cache differ, by up to {value:.2g}"
        so_far = [piece for piece in pieces if piece[0] <= first]
        module = first_module_of_step(case, inputs, so_far[-1], in_steps(case, so_far), limit)
        return ProofResult(False, value, limit, what, module=module)
    return ProofResult.at_most(value, limit, what)


def _not_cached(case: ModelCase) -> str:
    return "" if case.subject.has_step else "no decoding with a cache is known (`step` of its subject)"


@model_proof("cached decoding", "cache", needs="no draws")
def cached_decoding(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores from a cache, token by token, those of the whole pass?"""
    if reason := _not_cached(case):
        yield ProofResult.skipped(reason)
        return
    length = case.inputs.target.length
    yield compare_steps(case, case.inputs, _pieces(length, 1), "token by token")


@model_proof("several tokens a step", "cache", needs="no draws")
def several_tokens(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores from a cache those of the whole pass after a prompt, and with several tokens a step?"""
    if reason := _not_cached(case):
        yield ProofResult.skipped(reason)
        return
    length = case.inputs.target.length
    for size, first, what in (
        (1, length // 2, "after a prompt"),
        (2, 1, "two tokens a step"),
        (3, 2, "three tokens a step"),
        (4, 3, "four tokens a step"),
    ):
        yield compare_steps(case, case.inputs, _pieces(length, size, first=first), what)


@model_proof("prompts padded on the left", "cache", needs="no draws")
def left_padded_prompts(case: ModelCase) -> Iterable[ProofResult]:
    """Are prompts of several lengths, padded on the left, continued from the cache as by the whole pass?"""
    if reason := _not_cached(case):
        yield ProofResult.skipped(reason)
        return
    if not case.subject.left_padding or "target" not in case.subject.padding:
        yield ProofResult.skipped(NOT_ON_THE_LEFT)
        return
    shifted = with_shifted_start(case.inputs, "target")
    prompt = int((~shifted.target.real).sum(1).max()) + 1
    pieces = _pieces(shifted.target.length, 1, first=prompt)
    yield compare_steps(case, shifted, pieces, "prompts padded on the left")


@model_proof("generation", "cache", needs="no draws")
def generation(case: ModelCase) -> Iterable[ProofResult]:
    """Does the library's own greedy generation say the tokens with the greatest scores of the whole pass?"""
    prompt = case.inputs
    prompt = prompt.change("target", _as_prompt(prompt.target.columns(0, 3)))
    count = min(GENERATED, case.subject.max_length - prompt.target.length)
    said: list[Tensor] = []

    def generate(inputs: Inputs) -> Tensor:
        found = case.subject.generate(inputs, count)
        if found is not None:
            said.append(found)
        return torch.zeros(1)

    case.scores(prompt, compute=generate)
    if not said:
        yield ProofResult.skipped("the library's own generation is not known (`generate`)")
        return
    ids = torch.cat((prompt.target.ids, said[0]), 1)
    whole = case.scores(prompt.change("target", PaddedTokens(ids, torch.ones_like(ids, dtype=torch.bool))))
    scores = whole[:, prompt.target.length - 1 : -1]
    # A token within rounding of the greatest score is as good.
    short = scores.amax(-1) - scores.gather(-1, said[0][..., None])[..., 0]
    value, limit = float(short.max()), case.limit(scores)
    first = int((short > limit).any(0).nonzero()[0]) if value > limit else 0
    detail = (
        f"generated token {first} scores {value:.2g} less than the best of the whole pass"
        if value > limit
        else ""
    )
    yield ProofResult.at_most(value, limit, detail)


def _as_prompt(tokens: PaddedTokens) -> PaddedTokens:
    """Return the tokens without padding and with one first token, as every decoder prompt begins."""
    ids = tokens.ids.clone()
    ids[:, 0] = ids[0, 0]
    return PaddedTokens(ids, torch.ones_like(tokens.real))
