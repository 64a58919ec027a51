"""rwkv, which makes no model without trained weights."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "rwkv",
    "0.8.32",
    "https://github.com/BlinkDL/ChatRWKV",
    missing="its models are made from a file of trained weights alone (rwkv/model.py:642, :245)",
)
