"""memformer, whose decoder returns a loss alone."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "memformer",
    "0.3.1",
    "https://github.com/lucidrains/memformer",
    missing="its forward gives a loss of the target and no scores",
)
