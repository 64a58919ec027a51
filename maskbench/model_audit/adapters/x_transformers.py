"""Subjects for models of x-transformers: `XTransformer`, and `TransformerWrapper` around a decoder or an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from maskbench.model_audit.adapters.outputs import scores_for
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject


def can_cache(wrapper: nn.Module) -> bool:
    """Whether the library itself decodes a `TransformerWrapper` with a cache; not with memory tokens, for instance."""
    return bool(getattr(wrapper, "can_cache_kv", True))


class XDecoder(ModelSubject):
    """A `TransformerWrapper` around a `Decoder`; it is not told what is padding, as padding follows the tokens."""

    kind = "decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        wrapper: Any = module
        given = {"vocab_size": wrapper.num_tokens, "max_length": wrapper.max_seq_len, "padding": ()}
        super().__init__(module, **{**given, **further})

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        return scores_for(inputs.target.ids, self.module(inputs.target.ids))

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        return ("def scores(target, target_real):", "    return model(target)")

    @property
    def has_step(self) -> bool:
        """Whether the library decodes the model with a cache."""
        return can_cache(self.module)

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of the positions from `start` on; the wrapper takes all ids and reads the new ones."""
        return step_of(self.module, inputs, start, state)


def step_of(wrapper: nn.Module, inputs: Inputs, start: int, state: Any, **how: Any) -> tuple[Tensor, Any]:
    """Return the new positions' scores of a `TransformerWrapper`, and its cache."""
    new = inputs.target.length - start
    age = {"cache_age": new} if state is not None else {}
    scores, cache = wrapper(inputs.target.ids, cache=state, return_intermediates=True, **age, **how)
    return scores[:, -new:], cache


class XEncoder(ModelSubject):
    """A `TransformerWrapper` around an `Encoder`."""

    kind = "encoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        wrapper: Any = module
        given = {"vocab_size": wrapper.num_tokens, "max_length": wrapper.max_seq_len}
        super().__init__(module, **{**given, **further})

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        tokens = inputs.target
        return scores_for(tokens.ids, self.module(tokens.ids, mask=tokens.real))

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        return ("def scores(target, target_real):", "    return model(target, mask=target_real)")


class XEncoderDecoder(ModelSubject):
    """An `XTransformer`; its decoder is not told what is padding in the target, as padding follows the tokens."""

    kind = "encoder-decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        parts: Any = module
        net = parts.decoder.net
        longest = min(net.max_seq_len, parts.encoder.max_seq_len)
        given = {"vocab_size": net.num_tokens, "max_length": longest, "padding": ("source",)}
        super().__init__(module, **{**given, **further})

    def _encoded(self, inputs: Inputs) -> Tensor:
        parts: Any = self.module
        source = inputs.of("source")
        found: Tensor = parts.encoder(source.ids, mask=source.real, return_embeddings=True)
        return found

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position of the target."""
        parts: Any = self.module
        context = {"context": self._encoded(inputs), "context_mask": inputs.of("source").real}
        found: Tensor = parts.decoder.net(inputs.target.ids, **context)
        return found

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        return (
            "def scores(target, target_real, source, source_real):",
            "    context = model.encoder(source, mask=source_real, return_embeddings=True)",
            "    return model.decoder.net(target, context=context, context_mask=source_real)",
        )

    @property
    def has_step(self) -> bool:
        """Whether the library decodes the model with a cache."""
        parts: Any = self.module
        return can_cache(parts.decoder.net)

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of the positions from `start` on, computed from the decoder's cache."""
        parts: Any = self.module
        context, cache = (self._encoded(inputs), None) if state is None else state
        how = {"context": context, "context_mask": inputs.of("source").real}
        scores, cache = step_of(parts.decoder.net, inputs, start, cache, **how)
        return scores, (context, cache)


def subject_of(module: nn.Module, **further: Any) -> ModelSubject:
    """Return the subject of a model of x-transformers.

    Raises:
        ValueError: another kind of module.
    """
    found: Any = module
    if hasattr(found, "encoder") and hasattr(found, "decoder") and hasattr(found.decoder, "net"):
        return XEncoderDecoder(module, **further)
    if hasattr(found, "net") and hasattr(found.net, "attn_layers"):
        inner = subject_of(found.net, **further)
        inner.unwrap_lines = ("model = model.net",)
        return inner
    if hasattr(found, "attn_layers"):
        return (XDecoder if found.attn_layers.causal else XEncoder)(module, **further)
    raise ValueError(
        f"{type(module).__name__} of x-transformers is not known here; return a ModelSubject from your function"
    )
