"""OpenNMT-py, which cannot be installed beside this torch."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "OpenNMT-py",
    "3.5.1",
    "https://opennmt.net/OpenNMT-py/",
    missing="it requires torch below 2.3, and all entries are computed by torch 2.13.0",
)
