"""pytorch-fast-transformers: attention with linear and clustered kernels."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "pytorch-fast-transformers",
    "0.4.0",
    "https://fast-transformers.github.io",
    missing="it has no wheel, and its setup.py imports torch, which the isolated build of pip does not have; a build without "
    "isolation was not tried",
)
