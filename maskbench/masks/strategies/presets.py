"""Named settings of strategies, each as its source describes it."""

from __future__ import annotations

from typing import Any

from maskbench.masks.base import ATTENTION_SITES, INPUT_SITES
from maskbench.registry import Preset, register_preset

_ENCODER = frozenset({"encoder_input"})
_DECODER = frozenset({"decoder_input"})
_BERT_MIX = {"mask": 0.8, "random": 0.1, "keep": 0.1}


def _preset(
    name: str, mask: str, sites: frozenset[str], description: str, source: str, **options: Any
) -> None:
    register_preset(name, Preset(mask, options, sites, description, source))


_preset(
    "bert",
    "tokens",
    INPUT_SITES,
    "15 % of the tokens: of those 80 % masked, 10 % replaced by a random word, 10 % kept; counts rounded without bias.",
    "Devlin et al. 2019 (BERT, arXiv:1810.04805)",
    ratio=0.15,
    replace=_BERT_MIX,
)
_preset(
    "whole_word",
    "tokens",
    INPUT_SITES,
    "BERT's mix on 15 % of the words, all pieces of a word together.",
    "Devlin et al. 2019 (BERT, arXiv:1810.04805), whole-word release of the code",
    ratio=0.15,
    unit="word",
    replace=_BERT_MIX,
)
_preset(
    "span",
    "tokens",
    INPUT_SITES,
    "BERT's mix on 15 % of the words in spans of 1 to 10 words (geometric, p = 0.2: 3.8 on average), one fate a span.",
    "Joshi et al. 2020 (SpanBERT, arXiv:1907.10529)",
    ratio=0.15,
    unit="span",
    span={"lengths": "geometric", "mean": 5.0, "max": 10, "of": "word"},
    replace=_BERT_MIX,
)
_preset(
    "infill",
    "tokens",
    _ENCODER,
    "30 % of the words in spans (Poisson, mean 3), each span one mask token; without the paper's inserted mask tokens.",
    "Lewis et al. 2020 (BART, arXiv:1910.13461)",
    ratio=0.3,
    unit="span",
    span={"lengths": "poisson", "mean": 3.0, "max": 10, "of": "word"},
    collapse=True,
)
_preset(
    "span_corruption",
    "tokens",
    _ENCODER,
    "15 % of the tokens in spans of 3, each span one mask token; all spans get the same mark and may touch.",
    "Raffel et al. 2020 (T5, arXiv:1910.10683)",
    ratio=0.15,
    unit="span",
    span={"lengths": "fixed", "mean": 3.0, "max": 3, "of": "token"},
    collapse=True,
)
_preset(
    "token_deletion",
    "tokens",
    _ENCODER,
    "15 % of the tokens taken out of the source, so that the model must find where something is missing.",
    "Lewis et al. 2020 (BART, arXiv:1910.13461); the ratio is maskbench's",
    ratio=0.15,
    replace="delete",
)
_preset(
    "word_dropout",
    "tokens",
    INPUT_SITES,
    "Every word by itself loses its embedding, all pieces of it, with probability 0.1; its position stays.",
    "Sennrich & Zhang 2019 (arXiv:1905.11901); Gal & Ghahramani 2016 (arXiv:1512.05287)",
    ratio=0.1,
    unit="word",
    count="bernoulli",
    replace="zero",
)
_preset(
    "decoder_word_dropout",
    "tokens",
    _DECODER,
    "A quarter of the words the decoder has read become the mask token, so that it must listen to the source.",
    "Bowman et al. 2016 (arXiv:1511.06349)",
    ratio=0.25,
    replace="mask",
)
_preset(
    "switchout",
    "tokens",
    INPUT_SITES,
    "10 % of the tokens replaced by random words, each by itself (the paper draws the number from a tempered law).",
    "Wang et al. 2018 (SwitchOut, arXiv:1808.07512)",
    ratio=0.1,
    count="bernoulli",
    replace="random",
)
_preset(
    "rate_decay",
    "tokens",
    INPUT_SITES,
    "Masks 30 % of the tokens at first, 15 % at the end, falling linearly.",
    "Ankner et al. 2023 (dynamic masking rate schedules, arXiv:2305.15096)",
    ratio={"linear": [0.3, 0.15]},
)
_preset(
    "cutoff",
    "feature_dropout",
    INPUT_SITES,
    "10 % of the positions in spans (geometric, mean 3): word and position embedding zero (the paper cuts one span).",
    "Shen et al. 2020 (span cutoff, arXiv:2009.13818)",
    ratio=0.1,
    granularity="span",
    span={"lengths": "geometric", "mean": 3.0, "max": 10, "of": "token"},
)
_preset(
    "token_cutoff",
    "feature_dropout",
    INPUT_SITES,
    "10 % of the positions: word and position embedding zero.",
    "Shen et al. 2020 (token cutoff, arXiv:2009.13818)",
    ratio=0.1,
    granularity="token",
)
_preset(
    "feature_cutoff",
    "feature_dropout",
    INPUT_SITES,
    "10 % of the features zero in every token of a sentence.",
    "Shen et al. 2020 (feature cutoff, arXiv:2009.13818)",
    ratio=0.1,
    granularity="channel",
)
_preset(
    "loss_truncation",
    "loss_tokens",
    frozenset({"loss"}),
    "The hardest 10 % of each sentence's tokens are left out of the loss (the paper leaves out whole sentences).",
    "Kang & Hashimoto 2020 (arXiv:2004.14589)",
    ratio=0.1,
    choose="highest",
)
_preset(
    "sparsemax",
    "entmax",
    ATTENTION_SITES,
    "Weights are the projection of the scores onto the simplex: many are exactly zero.",
    "Martins & Astudillo 2016 (arXiv:1602.02068)",
    alpha=2.0,
)
_preset(
    "entmax15",
    "entmax",
    ATTENTION_SITES,
    "Half-way between softmax and sparsemax: some weights are exactly zero.",
    "Peters et al. 2019 (arXiv:1905.05702); Correia et al. 2019 (arXiv:1909.00015)",
    alpha=1.5,
)
_preset(
    "dilated_window",
    "window",
    ATTENTION_SITES,
    "Every other position up to 4 before and after the query's own.",
    "Beltagy et al. 2020 (Longformer, arXiv:2004.05150)",
    radius=4,
    dilation=2,
)
