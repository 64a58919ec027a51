"""Searching for translations: greedily, or with a beam."""

from maskbench.decoding.beam import Hypothesis, beam_search
from maskbench.decoding.greedy import greedy
from maskbench.decoding.prefixes import NEVER, evaluating, length_limits

__all__ = ["NEVER", "Hypothesis", "beam_search", "evaluating", "greedy", "length_limits"]
