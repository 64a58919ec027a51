"""Subjects for models of Hugging Face transformers: seq2seq, causal and masked language models."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from torch import Tensor, nn

from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.subject import ModelSubject

CACHES = ("cache", "past_key_values", "cache_params")
"""Names under which models take and return a cache, by the version of transformers."""
KERNELS = ("eager", "sdpa")
"""Kernels that run on every device; flex attention compiles for half a minute and is for the asking."""


class _HuggingFace(ModelSubject):
    """What all kinds share."""

    def __init__(self, module: nn.Module, **further: Any) -> None:
        config: Any = module.config
        pad = getattr(config, "pad_token_id", None)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        longest = getattr(text, "max_position_embeddings", None) or 512
        given = {
            "vocab_size": int(text.vocab_size),
            "pad": 0 if pad is None else int(pad),
            "max_length": min(64, int(longest) - 4),
            "multiple": _multiple(config),
        }
        super().__init__(module, **{**given, **further})
        self._takes = set(inspect.signature(module.forward).parameters)
        self._cache = next((name for name in CACHES if name in self._takes), None)

    @property
    def has_step(self) -> bool:
        """Whether the model takes a cache."""
        return super().has_step and self._cache is not None

    def _continue(self, cache: Any, **how: Any) -> tuple[Tensor, Any]:
        """Return the scores of a call with a cache, and the cache after it."""
        assert self._cache is not None
        out: Any = self.module(use_cache=True, **{self._cache: cache}, **how)
        return out.logits, getattr(out, self._cache)

    def _with(self, **wanted: Any) -> dict[str, Any]:
        """Return those arguments that the model's forward takes."""
        return {name: value for name, value in wanted.items() if name in self._takes}

    def implementations(self) -> Mapping[str, Callable[[], Self]]:
        """Return the same model with the other kernels of attention that it may be built with."""
        config: Any = self.module.config
        now = getattr(config, "_attn_implementation", None)
        return {name: partial(self._built_with, name) for name in KERNELS if name != now}

    def _built_with(self, kernel: str) -> Self:
        other: Any = copy.deepcopy(self.module)
        other.set_attn_implementation(kernel)
        return self.with_module(other)


def _multiple(config: Any) -> int:
    """Return the number of which every length must be a multiple: Reformer trains on whole chunks alone."""
    if getattr(config, "model_type", "") != "reformer":
        return 1
    return math.lcm(config.lsh_attn_chunk_length, config.local_attn_chunk_length)


def _generated(model: Any, count: int, pad: int, start: int | None = None, **how: Any) -> Tensor:
    """Return `count` tokens of a greedy generation; no end mark ends it, and nothing else of the model's settings acts.

    Args:
        start: the token with which every decoder prompt begins.
    """
    from transformers import GenerationConfig

    settings: Any = GenerationConfig
    plain = settings(pad_token_id=pad, decoder_start_token_id=start, do_sample=False, num_beams=1)
    model.generation_config = plain
    found: Tensor = model.generate(**how, max_new_tokens=count)
    return found[:, -count:]


class CausalLanguageModel(_HuggingFace):
    """A decoder-only model of transformers."""

    kind = "decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        super().__init__(module, **{"left_padding": True, **further})

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        return self._call(inputs.target, input_ids=inputs.target.ids)

    def _call(self, tokens: PaddedTokens, **how: Any) -> Tensor:
        mask = {"attention_mask": tokens.real.long()} if self.padding else {}
        further = self._with(position_ids=tokens.positions, use_cache=False, **mask)
        found: Tensor = self.module(**{**further, **how}).logits
        return found

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        further = self._with(position_ids="(target_real.cumsum(1) - 1).clamp(min=0)", use_cache="False")
        if self.padding:
            further["attention_mask"] = "target_real.long()"
        how = ", ".join(f"{name}={value}" for name, value in further.items())
        return ("def scores(target, target_real):", f"    return model(input_ids=target, {how}).logits")

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of the positions from `start` on, computed from the cache."""
        tokens = inputs.target
        # Attention needs to know what is padding in the cache; a recurrent state has left it out already.
        first = start if getattr(self.module, "_is_stateful", False) else 0
        mask = {"attention_mask": tokens.real[:, first:].long()} if self.padding else {}
        further = self._with(position_ids=tokens.positions[:, start:], **mask)
        return self._continue(state, input_ids=tokens.ids[:, start:], **further)

    def generate(self, inputs: Inputs, count: int) -> Tensor | None:
        """Return the tokens of `generate`, greedily."""
        tokens = inputs.target
        return _generated(
            self.module, count, self.pad, input_ids=tokens.ids, attention_mask=tokens.real.long()
        )

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the scores with a cache that is filled but not read, and from embeddings."""
        table = self.module.get_input_embeddings()  # type: ignore[operator]
        ways: dict[str, Callable[[Inputs], Tensor]] = {
            "use_cache": lambda inputs: self._call(inputs.target, input_ids=inputs.target.ids, use_cache=True)
        }
        if "inputs_embeds" in self._takes:
            ways["inputs_embeds"] = lambda inputs: self._call(
                inputs.target, inputs_embeds=table(inputs.target.ids)
            )
        if "labels" in self._takes:
            ways["labels"] = lambda inputs: self._call(
                inputs.target, input_ids=inputs.target.ids, labels=inputs.target.ids
            )
        return ways


class MaskedLanguageModel(_HuggingFace):
    """An encoder-only model of transformers."""

    kind = "encoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        tokens = inputs.target
        found: Tensor = self.module(input_ids=tokens.ids, attention_mask=tokens.real.long()).logits
        return found

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        return (
            "def scores(target, target_real):",
            "    return model(input_ids=target, attention_mask=target_real.long()).logits",
        )

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the scores from embeddings."""
        if "inputs_embeds" not in self._takes:
            return {}
        table = self.module.get_input_embeddings()  # type: ignore[operator]

        def from_vectors(inputs: Inputs) -> Tensor:
            mask = inputs.target.real.long()
            found: Tensor = self.module(inputs_embeds=table(inputs.target.ids), attention_mask=mask).logits
            return found

        return {"inputs_embeds": from_vectors}


class Seq2SeqLanguageModel(_HuggingFace):
    """An encoder-decoder model of transformers."""

    kind = "encoder-decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position of the target."""
        return self._call(inputs, input_ids=inputs.of("source").ids, decoder_input_ids=inputs.target.ids)

    def _call(self, inputs: Inputs, **how: Any) -> Tensor:
        source = inputs.of("source")
        masks = self._with(
            attention_mask=source.real.long(),
            decoder_attention_mask=inputs.target.real.long(),
            use_cache=False,
        )
        found: Tensor = self.module(**{**masks, **how}).logits
        return found

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        masks = self._with(
            attention_mask="source_real.long()",
            decoder_attention_mask="target_real.long()",
            use_cache="False",
        )
        how = ", ".join(f"{name}={value}" for name, value in masks.items())
        return (
            "def scores(target, target_real, source, source_real):",
            f"    return model(input_ids=source, decoder_input_ids=target, {how}).logits",
        )

    def _encoded(self, inputs: Inputs) -> Any:
        source = inputs.of("source")
        return self.module.get_encoder()(input_ids=source.ids, attention_mask=source.real.long())  # type: ignore[operator]

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of the positions from `start` on, computed from the cache."""
        encoded, past = (self._encoded(inputs), None) if state is None else state
        scores, past = self._continue(
            past,
            encoder_outputs=encoded,
            attention_mask=inputs.of("source").real.long(),
            decoder_input_ids=inputs.target.ids[:, start:],
            **self._with(decoder_attention_mask=inputs.target.real.long()),
        )
        return scores, (encoded, past)

    def generate(self, inputs: Inputs, count: int) -> Tensor | None:
        """Return the tokens of `generate`, greedily."""
        source = inputs.of("source")
        return _generated(
            self.module,
            count,
            self.pad,
            int(inputs.target.ids[0, 0]),
            input_ids=source.ids,
            attention_mask=source.real.long(),
            decoder_input_ids=inputs.target.ids,
        )

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        """Return the scores with a cache that is filled, from an encoder output, and from embeddings."""
        table = self.module.get_input_embeddings()  # type: ignore[operator]

        def whole(inputs: Inputs, **how: Any) -> Tensor:
            source = {"input_ids": inputs.of("source").ids, "decoder_input_ids": inputs.target.ids}
            return self._call(inputs, **{**source, **how})

        ways: dict[str, Callable[[Inputs], Tensor]] = {
            "use_cache": lambda inputs: whole(inputs, use_cache=True),
            "encoder_outputs": lambda inputs: whole(
                inputs, input_ids=None, encoder_outputs=self._encoded(inputs)
            ),
        }
        if "inputs_embeds" in self._takes:
            ways["inputs_embeds"] = lambda inputs: whole(
                inputs, input_ids=None, inputs_embeds=table(inputs.of("source").ids)
            )
        return ways


def subject_of(module: nn.Module, **further: Any) -> ModelSubject:
    """Return the subject of a model of transformers, by what its configuration and class say."""
    config: Any = module.config
    if getattr(config, "is_encoder_decoder", False):
        return Seq2SeqLanguageModel(module, **further)
    if "ForMaskedLM" in type(module).__name__:
        return MaskedLanguageModel(module, **further)
    return CausalLanguageModel(module, **further)
