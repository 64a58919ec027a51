"""Subjects for models of Hugging Face transformers: seq2seq, causal and masked language models."""

from __future__ import annotations

from typing import Any

from torch import nn

from maskbench.model_audit.adapters.hugging_face.causal import CausalLanguageModel
from maskbench.model_audit.adapters.hugging_face.masked import MaskedLanguageModel
from maskbench.model_audit.adapters.hugging_face.seq2seq import Seq2SeqLanguageModel
from maskbench.model_audit.subject import ModelSubject

__all__ = ["CausalLanguageModel", "MaskedLanguageModel", "Seq2SeqLanguageModel", "subject_of"]


def subject_of(module: nn.Module, **further: Any) -> ModelSubject:
    """Return the subject of a model of transformers, by what its configuration and class say."""
    config: Any = module.config
    if getattr(config, "is_encoder_decoder", False):
        return Seq2SeqLanguageModel(module, **further)
    if "ForMaskedLM" in type(module).__name__ or not _hides_later(config):
        return MaskedLanguageModel(module, **further)
    return CausalLanguageModel(module, **further)


def _hides_later(config: Any) -> bool:
    """Whether a model with a language model's head is called causally.

    The attention of XLNet and XLM goes both ways, and for CPM-Ant the whole input is a prefix that all tokens read.
    """
    both_ways = {"xlnet": getattr(config, "attn_type", "") == "bi", "cpmant": True}
    both_ways |= dict.fromkeys(("xlm", "flaubert"), not getattr(config, "causal", False))
    return not both_ways.get(getattr(config, "model_type", ""), False)
