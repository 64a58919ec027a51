"""mixture-of-attention, which raises here."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "mixture-of-attention",
    "0.0.25",
    "https://github.com/lucidrains/mixture-of-attention",
    missing="its Transformer raises for three sentences of 11 tokens (mixture_of_attention.py:580); it was not looked into",
)
