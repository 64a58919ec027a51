"""retnet, whose release is empty."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "retnet",
    "0.0.1.dev0",
    "https://pypi.org/project/retnet/",
    missing="the release holds no code: its one module is empty",
)
