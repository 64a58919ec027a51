"""Texts of plug-ins for the tests, right and broken, and the line of a piece of them."""

from __future__ import annotations

from pathlib import Path

HEAD = '''"""A plug-in."""
from __future__ import annotations

import os
import sys

import torch

from maskbench.masks.base import *
from maskbench.masks.base import StrategyOptions
from maskbench.masks.context import TokenInput
from maskbench.registry import CORPORA, MASKS, METRICS


class OwnOptions(StrategyOptions):
    """Nothing to set."""


'''

FIRST_KEY = (
    HEAD
    + '''@MASKS.register("first_key")
class First(AttentionMask):
    """Every query sees the first key and itself."""

    sites = frozenset({"encoder_self"})
    source = "a test, 2026"
    Options = OwnOptions
    example = OwnOptions()

    def mask_mod(self, options, ctx):
        return lambda b, h, q_idx, kv_idx: (kv_idx == 0) | (kv_idx == q_idx)
'''
)

SAME_LENGTH = (
    HEAD
    + '''from maskbench.metrics.base import TranslationMetric


@METRICS.register("same_length")
class SameLength(TranslationMetric):
    """The share of translations that are as long as their reference."""

    higher_is_better = True
    unit = "share of sentences"
    high = 1.0
    description = "share of translations as long as their reference"
    source = "a test, 2026"

    def count(self, hypothesis, reference):
        return int(len(hypothesis) == len(reference)), 1
'''
)

EXPERIMENT = """\
name: first
seeds: 1
corpus: {name: copy, pairs: 60, valid: 9, test: 7, max_length: 6}
model: {d_model: 12, n_heads: 3, d_ff: 20, encoder_layers: 1, decoder_layers: 1}
train: {steps: 4, batch_tokens: 96, valid_every: 2, save_every: 2, warmup_steps: 1}
evaluate: {splits: [test], metrics: [nll, exact_match]}
arms: {none: [], first: [{site: encoder_self, mask: first_key}]}
"""


def strategy(base: str, site: str, method: str, body: str, declared: str = "") -> str:
    """Return a plug-in with one strategy, whose one method has one line."""
    return (
        f'{HEAD}@MASKS.register("own")\nclass Own({base}):\n    """Its own."""\n\n'
        f'    sites = frozenset({{"{site}"}})\n    source = "a test, 2026"\n    Options = OwnOptions\n'
        f"    example = OwnOptions()\n{declared}\n    def {method}:\n        {body}\n"
    )


def line_of(text: str, piece: str) -> int:
    """Return the number of the only line that holds a piece of a text."""
    (number,) = [i for i, line in enumerate(text.splitlines(), 1) if piece in line]
    return number


def save(folder: Path, text: str, name: str = "own.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
