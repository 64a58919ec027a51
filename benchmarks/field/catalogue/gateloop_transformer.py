"""gateloop-transformer: a linear recurrence with gates that depend on the data."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder
from maskbench.model_audit.subject import ModelSubject


def transformer(**options: Any) -> Build:
    """Return the build of a `Transformer` of gate loops."""

    def build() -> ModelSubject:
        from gateloop_transformer import Transformer

        sizes = {"dim": 32, "depth": 2, "heads": 4, "dim_head": 8}
        return MaskedDecoder(Transformer(num_tokens=WORDS, **{**sizes, **options}), padding=())

    return build


PACKAGE = Package(
    "gateloop-transformer",
    "0.2.5",
    "https://github.com/lucidrains/gateloop-transformer",
    entries=(
        Entry("Transformer", "package", transformer(use_gate_looped_attn=True)),
        Entry("Transformer, softmax attention", "package", transformer(use_gate_looped_attn=False)),
        Entry(
            "Transformer, softmax attention, data dependent positions",
            "package",
            transformer(use_gate_looped_attn=False, data_dependent_rel_pos=True),
        ),
        Entry("Transformer, real gates", "package", transformer(ablate_complex=True)),
    ),
)
