"""xlstm, which was not entered."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "xlstm",
    "2.0.6",
    "https://github.com/NX-AI/xlstm",
    missing="it can be installed and was not entered yet",
)
