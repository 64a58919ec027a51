"""torchscale, which cannot be imported here."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "torchscale",
    "0.3.0",
    "https://github.com/microsoft/torchscale",
    missing="its timm needs torchvision, which fails to import beside the CPU build of torch 2.13.0",
)
