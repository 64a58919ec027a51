"""Decoding: greedy search and beam search."""

from maskbench.decoding.beam import Hypothesis, beam_search
from maskbench.decoding.decoding_state import FORBIDDEN_TOKENS, evaluation_mode, length_limits
from maskbench.decoding.greedy import greedy_search

__all__ = [
    "FORBIDDEN_TOKENS",
    "Hypothesis",
    "beam_search",
    "evaluation_mode",
    "greedy_search",
    "length_limits",
]
