"""Makes audit subjects from the catalogue: every strategy and preset at every site, in a tiny model.

The model has a few thousand weights. A strategy uses the options of its example, acts in training and
evaluation, and comes with the placements it requires. The second number format is bfloat16, the lowest that
a run may use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from maskbench.audit.subject import Subject
from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.data.batches import Batch, collate
from maskbench.data.corpus import Ragged, Split
from maskbench.data.vocabulary import EOS, N_SPECIAL
from maskbench.errors import ConfigError
from maskbench.masks.catalogue import example_arm
from maskbench.masks.context import Sizes
from maskbench.masks.corpus_statistics import CorpusStatistics, edges_of_starts
from maskbench.registry import MASKS, PRESETS, did_you_mean

MODEL = ModelConfig(d_model=12, n_heads=3, encoder_layers=2, decoder_layers=2, d_ff=20, dropout=0.2)
VOCABULARY = 23
"""Number of tokens in the vocabulary."""
POSITIONS = 24
"""Largest sentence length of the model, in tokens."""
_LENGTHS = ((7, 5), (4, 8), (6, 3))
"""Source and target lengths of the three sentence pairs, in tokens, end marks included."""


def list_names() -> list[str]:
    """Return all names that can be audited: strategies, then presets."""
    return [*MASKS.names(), *sorted(PRESETS)]


def make_catalogue_subjects(wanted: Sequence[str]) -> Iterator[Subject]:
    """Yield one subject per site of every named strategy and preset.

    Raises:
        ConfigError: a name is neither a strategy nor a preset.
    """
    for name in wanted:
        if name not in list_names():
            hint = did_you_mean(name, list_names())
            raise ConfigError(
                f"no mask strategy, preset or experiment file named {name!r}{hint} "
                "(`maskbench audit --all` goes through the catalogue)"
            )
    for name in wanted:
        sites = PRESETS[name].sites if name in PRESETS else MASKS.lookup(name).sites
        for site in sorted(sites):
            placement, *companions = example_arm(name, site)
            yield make_catalogue_subject(name, placement, companions)


def make_catalogue_subject(
    name: str, placement: PlacementConfig, companions: Sequence[PlacementConfig] = ()
) -> Subject:
    """Return the subject of a placement in the small model, active in training and evaluation."""
    both = placement.model_copy(update={"phases": ("train", "eval")})
    return Subject(
        kind="strategy",
        name=name,
        site=placement.site,
        placements=(both,),
        companions=tuple(companions),
        model=MODEL,
        sizes=catalogue_sizes(),
        batch=catalogue_batch(),
        own_dtype=torch.bfloat16,
    )


@cache
def catalogue_sizes() -> Sizes:
    """Return the sizes and corpus statistics of the small model; its token `w7` has id 7."""
    split = _split()
    seen = np.concatenate((split.src.values, split.tgt.values))
    starts = edges_of_starts(torch.tensor([i < N_SPECIAL or i % 3 != 1 for i in range(VOCABULARY)]))
    facts = CorpusStatistics(
        source_words=starts,
        target_words=starts,
        counts=torch.bincount(torch.as_tensor(seen, dtype=torch.int64), minlength=VOCABULARY),
        length_ratio=len(split.tgt.values) / len(split.src.values),
        pairs=lambda: (split.src, split.tgt),
        annotations=frozenset({"junk", "links"}),
    )
    return Sizes(
        n_heads=MODEL.n_heads,
        d_model=MODEL.d_model,
        encoder_layers=MODEL.encoder_layers,
        decoder_layers=MODEL.decoder_layers,
        vocab_size=VOCABULARY,
        max_length=POSITIONS,
        id_of=_id_of,
        facts=facts,
    )


def _id_of(token: str) -> int:
    """Return 7 for `w7`, and a fixed ordinary token id for any other string."""
    known = token[:1] == "w" and token[1:].isdigit()
    return int(token[1:]) if known else N_SPECIAL + sum(token.encode()) % (VOCABULARY - N_SPECIAL)


@cache
def catalogue_batch() -> Batch:
    """Return three sentence pairs of different lengths, with junk and link annotations."""
    return replace(collate(_split(), np.arange(len(_LENGTHS))), ids=torch.tensor([31, 12, 77]))


@cache
def _split() -> Split:
    """Return the three pairs: fixed words, every third source token junk, links along the diagonal."""
    n_words = VOCABULARY - N_SPECIAL

    def side(which: int, step: int) -> list[list[int]]:
        return [
            [*(N_SPECIAL + (3 + 5 * row + step * i) % n_words for i in range(pair[which] - 1)), EOS]
            for row, pair in enumerate(_LENGTHS)
        ]

    junk = [[int(i % 3 == 2 and i < s - 1) for i in range(s)] for s, _ in _LENGTHS]
    links = [[t * s + min(t, s - 1) for t in range(n)] for s, n in _LENGTHS]
    rows = [Ragged.from_rows(part) for part in (side(0, 7), side(1, 4), junk, links)]
    texts = ["" for _ in _LENGTHS]
    return Split("audit", rows[0], rows[1], texts, texts, junk=rows[2], links=rows[3])
