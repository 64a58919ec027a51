"""Subjects for `torch.nn.Transformer`, its encoder and decoder, their layers, and plain modules."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.subject import ModelSubject

TABLE = 40
"""Number of tokens of the table that turns ids into vectors for modules without one."""


class _WithTable(nn.Module):
    """A module that reads vectors, with a table of them in front."""

    def __init__(self, inner: nn.Module, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(TABLE, width)
        self.inner = inner
        with torch.no_grad():
            # Fixed values that differ in every direction, without drawing from a generator.
            place = torch.arange(TABLE * width, dtype=torch.float64).view(TABLE, width)
            self.words.weight.copy_((place * 0.7391 + place.square() * 0.0173).sin())

    def forward(self, *_inputs: object) -> Tensor:
        """Not called: the subject calls `inner`."""
        raise NotImplementedError

    def vectors(self, tokens: PaddedTokens) -> Float[Tensor, "batch len width"]:
        """Return the vectors of tokens, each plus a part that depends on its position."""
        found: Tensor = self.words(tokens.ids)
        place = torch.arange(tokens.length, dtype=found.dtype)[:, None]
        wave = (place * torch.linspace(0.9, 0.1, found.shape[-1], dtype=found.dtype)).sin()
        return found + wave


def width_of(module: nn.Module) -> int | None:
    """Return the width of the vectors that a module reads; None if it cannot be told."""
    for part in module.modules():
        if isinstance(part, nn.MultiheadAttention):
            return int(part.embed_dim)
        if isinstance(part, nn.LayerNorm):
            return int(part.normalized_shape[-1])
        if isinstance(part, nn.Linear):
            return int(part.in_features)
        if isinstance(part, nn.Conv1d):
            return int(part.in_channels)
    return None


def _hidden_later(n: int) -> Tensor:
    """Return torch's mask of later positions: True at pairs that are hidden."""
    return torch.ones(n, n, dtype=torch.bool).triu(1)


class TorchTransformer(ModelSubject):
    """`torch.nn.Transformer` with a causal target mask and all three padding masks."""

    kind = "encoder-decoder"

    def __init__(self, module: nn.Transformer, **further: Any) -> None:
        super().__init__(
            _WithTable(module, module.d_model), vocab_size=TABLE, **{"name": "nn.Transformer", **further}
        )

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the decoder's output vectors."""
        whole, source = self.module, inputs.of("source")
        assert isinstance(whole, _WithTable)
        inner: Any = whole.inner
        vectors = [whole.vectors(tokens) for tokens in (source, inputs.target)]
        if not inner.batch_first:
            vectors = [part.transpose(0, 1) for part in vectors]
        out: Tensor = inner(
            *vectors,
            tgt_mask=_hidden_later(inputs.target.length),
            src_key_padding_mask=~source.real,
            tgt_key_padding_mask=~inputs.target.real,
            memory_key_padding_mask=~source.real,
        )
        return out if inner.batch_first else out.transpose(0, 1)


class TorchEncoder(ModelSubject):
    """`torch.nn.TransformerEncoder` or its layer, with a padding mask; causal where asked for."""

    kind = "encoder"

    def __init__(self, module: nn.Module, *, causal: bool = False, **further: Any) -> None:
        width = width_of(module)
        if width is None:
            raise ValueError("the width of the encoder's vectors cannot be told from its parts")
        super().__init__(_WithTable(module, width), vocab_size=TABLE, causal=causal, **further)

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the encoder's output vectors."""
        whole = self.module
        assert isinstance(whole, _WithTable)
        inner: Any = whole.inner
        first = next(m for m in inner.modules() if isinstance(m, nn.MultiheadAttention))
        x = whole.vectors(inputs.target)
        x = x if first.batch_first else x.transpose(0, 1)
        how: dict[str, Any] = {"src_key_padding_mask": ~inputs.target.real}
        if self.causal:
            name = "mask" if isinstance(inner, nn.TransformerEncoder) else "src_mask"
            how[name] = _hidden_later(inputs.target.length)
        out: Tensor = inner(x, **how)
        return out if first.batch_first else out.transpose(0, 1)


class Layer(ModelSubject):
    """A layer that reads and returns vectors `[batch len width]`, causal unless said otherwise."""

    kind = "layer"

    def __init__(self, module: nn.Module, *, width: int | None = None, **further: Any) -> None:
        """Describe a layer.

        Raises:
            ValueError: the width of its vectors is not given and cannot be told from its parts.
        """
        width = width_of(module) if width is None else width
        if width is None:
            raise ValueError("the width of the layer's vectors cannot be told from its parts; give `width`")
        further = {"name": type(module).__name__, "padding": (), **further}
        super().__init__(_WithTable(module, width), vocab_size=TABLE, **further)

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the layer's output vectors."""
        whole = self.module
        assert isinstance(whole, _WithTable)
        return first_tensor(whole.inner(whole.vectors(inputs.target)))


def first_tensor(output: Any) -> Tensor:
    """Return the tensor of scores of a module's output: itself, the field `logits`, or the first one of a tuple.

    Raises:
        TypeError: there is none.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict) and isinstance(output.get("logits"), Tensor):
        found: Tensor = output["logits"]
        return found
    if isinstance(getattr(output, "logits", None), Tensor):
        found = output.logits
        return found
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        found = output[0]
        return found
    raise TypeError(f"a model must return its scores as a tensor; this one returns {type(output).__name__}")


class PlainDecoder(ModelSubject):
    """A module that maps token ids `[batch len]` to scores `[batch len outputs]` and is not told what is padding."""

    kind = "decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        super().__init__(module, **{"padding": (), **further})
        names = list(inspect.signature(module.forward).parameters)
        self._targets = next((n for n in names[1:] if n in ("targets", "labels", "target")), None)

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        ids = inputs.target.ids
        found = first_tensor(self.module(ids))
        if found.ndim == 3 and found.shape[1] != ids.shape[1] and self._targets is not None:
            # Some decoders compute the last position alone unless they get the targets of a loss.
            found = first_tensor(self.module(ids, **{self._targets: ids}))
        if found.ndim != 3 or found.shape[:2] != ids.shape:
            raise TypeError(
                f"for ids of shape {tuple(ids.shape)} the model returns scores of shape {tuple(found.shape)}; the proofs "
                "need [batch, length, outputs]. Return a ModelSubject from your function to say how it is called"
            )
        return found

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        further = "" if self._targets is None else f", {self._targets}=target"
        return ("def scores(target, target_real):", f"    found = model(target{further})", _FIRST)


_FIRST = "    return found if isinstance(found, torch.Tensor) else found.logits if hasattr(found, 'logits') else found[0]"


class PlainEncoderDecoder(ModelSubject):
    """A module that maps source and target ids to scores `[batch tgt outputs]` and is not told what is padding."""

    kind = "encoder-decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        super().__init__(module, **{"padding": (), **further})

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position of the target."""
        return first_tensor(self.module(inputs.of("source").ids, inputs.target.ids))

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        head = "def scores(target, target_real, source, source_real):"
        return (head, "    found = model(source, target)", _FIRST)
