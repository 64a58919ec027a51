"""mambapy: Mamba in plain torch, as a parallel scan or step by step."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import MaskedDecoder, WithWords
from maskbench.model_audit.subject import ModelSubject


def mamba(**options: Any) -> Build:
    """Return the build of a `Mamba` between a table of words and a head."""

    def build() -> ModelSubject:
        from mambapy.mamba import Mamba, MambaConfig

        layers = Mamba(MambaConfig(d_model=32, n_layers=2, d_state=8, **options))
        return MaskedDecoder(WithWords(layers, 32), padding=())

    return build


PACKAGE = Package(
    "mambapy",
    "1.2.0",
    "https://github.com/alxndrTL/mamba.py",
    entries=(
        Entry("Mamba", "package", mamba()),
        Entry("Mamba, sequential scan", "package", mamba(pscan=False)),
        Entry("Mamba, inner norms", "package", mamba(inner_layernorms=True)),
    ),
    not_tried=(("mambapy.lm", "needs mamba-ssm, which needs a CUDA device"),),
)
