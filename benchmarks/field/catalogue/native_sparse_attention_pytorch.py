"""native-sparse-attention-pytorch, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "native-sparse-attention-pytorch",
    "0.2.3",
    "https://github.com/lucidrains/native-sparse-attention-pytorch",
    missing="it was built, and no proof of a mask failed; formats did, and why was not found out, so no entry stands here",
)
