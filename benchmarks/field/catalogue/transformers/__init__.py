"""Hugging Face transformers: every class for text that builds from a small configuration, and options of some."""

from __future__ import annotations

from benchmarks.field.catalogue.transformers import decoders, encoder_decoders, encoders, mixtures, settings
from benchmarks.field.entry import Package

PARTS = (encoder_decoders, mixtures, decoders, encoders, settings)
PACKAGE = Package(
    "transformers",
    "5.24.0",
    "https://huggingface.co/docs/transformers",
    entries=tuple(entry for part in PARTS for entry in part.ENTRIES),
    judgements=tuple(judgement for part in PARTS for judgement in part.JUDGEMENTS),
    not_tried=tuple(pair for part in PARTS for pair in part.NOT_TRIED),
    further=("sentencepiece==0.2.1",),
    before="4.57.1",
    preload="transformers",
)
