"""linformer: an encoder whose keys and values are projected along the sequence."""

from __future__ import annotations

from benchmarks.field.entry import Entry, Package
from benchmarks.field.subjects import WORDS, MaskedEncoder
from maskbench.model_audit.subject import ModelSubject

LENGTH = 16


def language_model() -> ModelSubject:
    """Return a `LinformerLM`, which takes sentences of one length and no mask."""
    from linformer import LinformerLM

    model = LinformerLM(num_tokens=WORDS, dim=32, seq_len=LENGTH, depth=2, heads=4, k=8)
    return MaskedEncoder(model, padding=(), multiple=LENGTH, max_length=LENGTH)


PACKAGE = Package(
    "linformer",
    "0.2.3",
    "https://github.com/lucidrains/linformer",
    entries=(
        Entry("LinformerLM", "package", language_model, limits="no mask of padding, one length (README)"),
    ),
)
