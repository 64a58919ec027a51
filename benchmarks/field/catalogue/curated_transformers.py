"""curated-transformers, which was not entered."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "curated-transformers",
    "2.0.1",
    "https://curated-transformers.readthedocs.io",
    missing="it can be installed and was not entered yet",
)
