"""simple-hierarchical-transformer, which cannot be copied."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "simple-hierarchical-transformer",
    "0.4.0",
    "https://github.com/lucidrains/simple-hierarchical-transformer",
    missing="its model cannot be copied (a static method among its attributes), and the proofs change copies",
)
