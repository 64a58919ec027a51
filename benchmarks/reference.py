"""What the benchmarks that use the reference run share: its corpus's place and its sizes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pooch

BATCH_TOKENS = 4096
DROPOUT = 0.15


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Add --multi30k: where the text of the reference run is."""
    parser.add_argument(
        "--multi30k",
        metavar="DIR",
        help="a folder with the files of Multi30k (default: downloaded when it is first used, 1.3 MB)",
    )


def cache_folder() -> Path:
    """Return the folder in which the benchmarks keep built corpora."""
    return Path(pooch.os_cache("maskbench")) / "benchmark-corpora"
