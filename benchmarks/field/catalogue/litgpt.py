"""litgpt, which cannot be imported here."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "litgpt",
    "0.5.13",
    "https://github.com/Lightning-AI/litgpt",
    missing="pip installs it with a huggingface_hub in which it does not find a name that it imports",
)
