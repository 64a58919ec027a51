"""x-clip, which cannot be imported here."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "x-clip",
    "0.14.4",
    "https://github.com/lucidrains/x-clip",
    missing="it imports torchvision, whose build from the package index needs CUDA libraries and fails to load beside the CPU build of torch 2.13.0",
)
