"""Subjects for `torch.nn.Transformer`, its encoder and decoder, their layers, its attention, and plain modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.model_audit.adapters.outputs import first_tensor
from maskbench.model_audit.door import Door
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
        """Return the vectors of tokens, each plus a part that depends on its position among the tokens of its row."""
        found: Tensor = self.words(tokens.ids)
        place = tokens.positions[..., None].to(found.dtype)
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
        if isinstance(part, nn.RNNBase):
            return int(part.input_size)
    return None


def _hidden_later(n: int) -> Tensor:
    """Return torch's mask of later positions: True at pairs that are hidden."""
    return torch.ones(n, n, dtype=torch.bool).triu(1)


class _TorchModule(ModelSubject):
    """What torch's own modules share: vectors in the order of axes of the module, and masks by the name of the argument."""

    causal_argument: ClassVar[str]
    """The argument that says that the mask of target positions is causal; the mask is given as well."""

    def __init__(self, module: nn.Module, **further: Any) -> None:
        """Describe a module.

        Raises:
            ValueError: the width of its vectors cannot be told from its parts.
        """
        width = width_of(module)
        if width is None:
            raise ValueError(
                f"the width of the vectors of {type(module).__name__} cannot be told from its parts"
            )
        # With a causal mask, padding before the tokens has no key, and torch's fast path makes it NaN.
        bidirectional = not further.get("causal", self.kind != "encoder")
        given = {"name": f"nn.{type(module).__name__}", "vocab_size": TABLE, "left_padding": bidirectional}
        super().__init__(_WithTable(module, width), **{**given, **further})
        attention = next((part for part in module.modules() if isinstance(part, nn.MultiheadAttention)), None)
        self._batch_first = attention is None or attention.batch_first

    def _read(self, inputs: Inputs) -> Sequence[PaddedTokens]:
        """Return the tokens whose vectors are the first arguments."""
        raise NotImplementedError

    def _hidden(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return the masks, True where something is hidden."""
        raise NotImplementedError

    def _call(self, inputs: Inputs, *, numbers: bool = False, **further: Any) -> Tensor:
        """Return the module's output.

        Args:
            numbers: whether masks are given as numbers to add, 0 and minus infinity.
        """
        whole = self.module
        assert isinstance(whole, _WithTable)
        vectors = [whole.vectors(tokens) for tokens in self._read(inputs)]
        dtype, masks = vectors[0].dtype, self._hidden(inputs)
        if numbers:
            masks = {
                name: torch.zeros_like(mask, dtype=dtype).masked_fill(mask, -torch.inf)
                for name, mask in masks.items()
            }
        if not self._batch_first:
            vectors = [part.transpose(0, 1) for part in vectors]
        out = first_tensor(whole.inner(*vectors, **masks, **further))
        return out if self._batch_first else out.transpose(0, 1)

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the module's output vectors."""
        return self._call(inputs)

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return the calls with masks of numbers, and with the word that the mask is causal."""
        ways: dict[str, Callable[[Inputs], Tensor] | Door] = {
            "masks of numbers": partial(self._call, numbers=True)
        }
        if self.causal:
            hint: dict[str, Any] = {self.causal_argument: True}
            ways[self.causal_argument] = partial(self._call, **hint)
        return ways


class TorchTransformer(_TorchModule):
    """`torch.nn.Transformer` with a causal target mask and all three padding masks."""

    kind = "encoder-decoder"
    causal_argument = "tgt_is_causal"

    def _read(self, inputs: Inputs) -> Sequence[PaddedTokens]:
        return inputs.of("source"), inputs.target

    def _hidden(self, inputs: Inputs) -> dict[str, Tensor]:
        source = inputs.of("source")
        return {
            "tgt_mask": _hidden_later(inputs.target.length),
            "src_key_padding_mask": ~source.real,
            "tgt_key_padding_mask": ~inputs.target.real,
            "memory_key_padding_mask": ~source.real,
        }


class TorchDecoder(_TorchModule):
    """`torch.nn.TransformerDecoder` or its layer; its memory is the vectors of the source tokens."""

    kind = "encoder-decoder"
    causal_argument = "tgt_is_causal"

    def _read(self, inputs: Inputs) -> Sequence[PaddedTokens]:
        return inputs.target, inputs.of("source")

    def _hidden(self, inputs: Inputs) -> dict[str, Tensor]:
        return {
            "tgt_mask": _hidden_later(inputs.target.length),
            "tgt_key_padding_mask": ~inputs.target.real,
            "memory_key_padding_mask": ~inputs.of("source").real,
        }


class TorchEncoder(_TorchModule):
    """`torch.nn.TransformerEncoder` or its layer, with a padding mask; causal where asked for."""

    kind = "encoder"
    causal_argument = "is_causal"

    def _read(self, inputs: Inputs) -> Sequence[PaddedTokens]:
        return (inputs.target,)

    def _hidden(self, inputs: Inputs) -> dict[str, Tensor]:
        masks = {"src_key_padding_mask": ~inputs.target.real}
        if self.causal:
            whole = self.module
            assert isinstance(whole, _WithTable)
            name = "mask" if isinstance(whole.inner, nn.TransformerEncoder) else "src_mask"
            masks[name] = _hidden_later(inputs.target.length)
        return masks


class TorchAttention(_TorchModule):
    """`torch.nn.MultiheadAttention` of a sequence to itself, with a padding mask; causal where asked for."""

    kind = "encoder"
    causal_argument = "is_causal"

    def __init__(self, module: nn.MultiheadAttention, **further: Any) -> None:
        """Describe an attention.

        Raises:
            ValueError: its keys or values have another width than its queries.
        """
        if not module.embed_dim == module.kdim == module.vdim:
            raise ValueError(
                f"an attention from vectors of width {module.embed_dim} to keys of width {module.kdim} and values of width "
                f"{module.vdim} cannot read one sequence; return a ModelSubject from your function to say how it is called"
            )
        super().__init__(module, **further)

    def _read(self, inputs: Inputs) -> Sequence[PaddedTokens]:
        return (inputs.target,) * 3

    def _hidden(self, inputs: Inputs) -> dict[str, Tensor]:
        later = {"attn_mask": _hidden_later(inputs.target.length)} if self.causal else {}
        return {"key_padding_mask": ~inputs.target.real, **later}

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return further the call that does not ask for the weights, which runs another kernel."""
        return {**super().doors(), "need_weights=False": partial(self._call, need_weights=False)}


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
        self.width = width

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the layer's output vectors."""
        whole = self.module
        assert isinstance(whole, _WithTable)
        vectors = whole.vectors(inputs.target)
        if isinstance(whole.inner, nn.RNNBase) and not whole.inner.batch_first:
            return first_tensor(whole.inner(vectors.transpose(0, 1))).transpose(0, 1)
        return first_tensor(whole.inner(vectors))
