"""native-sparse-attention-pytorch, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "native-sparse-attention-pytorch",
    "0.2.3",
    "https://github.com/lucidrains/native-sparse-attention-pytorch",
    missing="it was built; formats failed through a fault of maskbench, which puts a cached table of rotary positions back to zeros between passes and not the number beside it, so passes after the first had no positions; to be asked again when that is mended",
)
