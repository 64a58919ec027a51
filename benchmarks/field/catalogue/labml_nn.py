"""labml-nn, which was not entered."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "labml-nn",
    "0.5.1",
    "https://nn.labml.ai",
    missing="it can be installed and was not entered yet",
)
