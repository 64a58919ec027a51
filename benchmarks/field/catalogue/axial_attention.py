"""axial-attention: attention along each axis of an image, of which a sentence has one."""

from __future__ import annotations

from benchmarks.field.entry import Entry, Package
from benchmarks.field.subjects import MaskedEncoder, WithWords
from maskbench.model_audit.subject import ModelSubject


def attention() -> ModelSubject:
    """Return an `AxialAttention` of one axis between a table of words and a head."""
    from axial_attention import AxialAttention

    layer = AxialAttention(dim=32, num_dimensions=1, heads=4, dim_index=2)
    return MaskedEncoder(WithWords(layer, 32), padding=())


PACKAGE = Package(
    "axial-attention",
    "0.6.1",
    "https://github.com/lucidrains/axial-attention",
    entries=(
        Entry(
            "AxialAttention, one axis", "package", attention, limits="no mask (axial_attention.py, forward)"
        ),
    ),
    not_tried=(("AxialImageTransformer", "an image model with convolutions; it promises no mask"),),
)
