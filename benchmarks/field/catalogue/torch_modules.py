"""torch: `nn.Transformer`, its parts and `nn.MultiheadAttention`, with the settings that choose another path through the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.field.entry import Build, Entry, Judgement, Package
from maskbench.model_audit.subject import ModelSubject
from maskbench.model_audit.target import subject_for

WIDTH, HEADS, INNER = 16, 4, 32


def of(module: Callable[[], nn.Module], **further: Any) -> Build:
    """Return the build of a module's subject."""

    def build() -> ModelSubject:
        return subject_for(module().eval(), **further)

    return build


def transformer(**options: Any) -> Build:
    """Return the build of an `nn.Transformer`."""
    sizes = {"num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": INNER, "batch_first": True}
    return of(lambda: nn.Transformer(WIDTH, HEADS, **{**sizes, **options}))


def encoder_layer(**options: Any) -> nn.TransformerEncoderLayer:
    """Return an encoder layer."""
    return nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, **{"batch_first": True, **options})


def decoder_layer(**options: Any) -> nn.TransformerDecoderLayer:
    """Return a decoder layer."""
    return nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, **{"batch_first": True, **options})


def encoder(causal: bool = False, nested: bool = True, **options: Any) -> Build:
    """Return the build of an `nn.TransformerEncoder`, held to be causal or not."""
    return of(
        lambda: nn.TransformerEncoder(encoder_layer(**options), 2, enable_nested_tensor=nested), causal=causal
    )


def attention(causal: bool = True, **options: Any) -> Build:
    """Return the build of an `nn.MultiheadAttention`."""
    return of(lambda: nn.MultiheadAttention(WIDTH, HEADS, **{"batch_first": True, **options}), causal=causal)


def without_fast_path() -> ModelSubject:
    """Return an `nn.Transformer` with `norm_first` while torch's fast path is switched off for this process."""
    torch.backends.mha.set_fastpath_enabled(False)
    return transformer(norm_first=True)()


NORM_FIRST = Judgement(
    "defect",
    "torch: a row of padding alone is NaN in the fast path of an encoder with norm_first",
    ("nn.Transformer, norm_first",),
    ("empty rows",),
    "Without gradients an encoder layer runs one compiled function. With `norm_first` no nested tensor is made, the function gets a row in "
    "which every key is hidden, and the softmax of that row is NaN; so are all outputs that read it. The same call with gradients "
    "recorded, or after the encoder with `norm_first=False`, is finite.",
    "torch/nn/modules/transformer.py:917",
    "float32 and float64; masks of True and False; rows with one real token are finite; nothing else of the batch moves",
    control={"nn.Transformer, norm_first": without_fast_path},
    control_is="`torch.backends.mha.set_fastpath_enabled(False)`",
    mend_is="none tried: the function is compiled into torch; switching it off is the way round",
    report="torch-norm-first-row-of-padding",
)

PACKAGE = Package(
    "torch",
    "2.13.0",
    "https://docs.pytorch.org/docs/stable/nn.html#transformer-layers",
    entries=(
        Entry("nn.Transformer", "torch", transformer()),
        Entry("nn.Transformer, batch second", "torch", transformer(batch_first=False)),
        Entry("nn.Transformer, norm_first", "torch", transformer(norm_first=True)),
        Entry("nn.Transformer, bias=False", "torch", transformer(bias=False)),
        Entry("nn.Transformer, activation=gelu", "torch", transformer(activation="gelu")),
        Entry("nn.TransformerEncoder", "torch", encoder()),
        Entry("nn.TransformerEncoder, enable_nested_tensor=False", "torch", encoder(nested=False)),
        Entry("nn.TransformerEncoder, norm_first", "torch", encoder(norm_first=True, nested=False)),
        Entry("nn.TransformerEncoder, batch second", "torch", encoder(batch_first=False, nested=False)),
        Entry("nn.TransformerEncoder, causal mask", "torch", encoder(causal=True)),
        Entry(
            "nn.TransformerEncoder, causal mask, norm_first",
            "torch",
            encoder(causal=True, norm_first=True, nested=False),
        ),
        Entry("nn.TransformerEncoderLayer", "torch", of(encoder_layer)),
        Entry("nn.TransformerEncoderLayer, causal mask", "torch", of(encoder_layer, causal=True)),
        Entry("nn.TransformerDecoder", "torch", of(lambda: nn.TransformerDecoder(decoder_layer(), 2))),
        Entry(
            "nn.TransformerDecoder, norm_first",
            "torch",
            of(lambda: nn.TransformerDecoder(decoder_layer(norm_first=True), 2)),
        ),
        Entry("nn.TransformerDecoderLayer", "torch", of(decoder_layer)),
        Entry("nn.MultiheadAttention, causal mask", "torch", attention()),
        Entry("nn.MultiheadAttention, padding mask alone", "torch", attention(causal=False)),
        Entry("nn.MultiheadAttention, add_bias_kv", "torch", attention(add_bias_kv=True)),
        Entry("nn.MultiheadAttention, add_zero_attn", "torch", attention(add_zero_attn=True)),
        Entry("nn.MultiheadAttention, batch second", "torch", attention(batch_first=False)),
    ),
    judgements=(NORM_FIRST,),
)
