"""gated-state-spaces-pytorch: a state space as a long convolution, with a gate."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import MaskedDecoder, WithWords
from maskbench.model_audit.subject import ModelSubject


def gss(**options: Any) -> Build:
    """Return the build of a `GSS` layer between a table of words and a head."""

    def build() -> ModelSubject:
        from gated_state_spaces_pytorch import GSS

        layers = GSS(dim=32, dim_expansion_factor=2, dss_kernel_N=16, dss_kernel_H=16, **options)
        return MaskedDecoder(WithWords(layers, 32), padding=())

    return build


PACKAGE = Package(
    "gated-state-spaces-pytorch",
    "0.1.0",
    "https://github.com/lucidrains/gated-state-spaces-pytorch",
    entries=(Entry("GSS", "package", gss()),),
)
