"""Subjects for models of Hugging Face transformers: seq2seq, causal and masked language models."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from maskbench.model_audit.case import quiet
from maskbench.model_audit.door import Door
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.subject import ModelSubject

CACHES = ("cache", "past_key_values", "cache_params", "state")
"""Names under which models take and return a cache, by the version of transformers."""
KERNELS = ("eager", "sdpa")
"""Kernels that run on every device; flex attention compiles for half a minute and is for the asking."""
UNMASKED = ("cpmant", "rwkv", "xlstm")
"""Families that take no notice of `attention_mask`, and say so."""
OTHER_INPUTS: Mapping[str, tuple[str, ...]] = {
    "runs for a `global_attention_mask`": ("query_global", "key_global", "value_global"),
    "runs for images or sound": (
        "vision_tower",
        "vision_model",
        "multi_modal_projector",
        "connector",
        "audio_tower",
        "embed_vision",
        "embed_audio",
        "image_embed",
        "audio_embed",
        "vision_embed_tokens",
        "patch_embeddings",
    ),
    "runs for entities": (
        "entity_embeddings",
        "w2e_query",
        "e2w_query",
        "e2e_query",
        "entity_predictions",
    ),
    "runs for contacts of a protein": ("contact_head",),
    "chooses keys by rank, through which no gradient passes": ("indexer",),
    "reads blocks that are longer than the test sentences": ("compressor",),
    "runs for `token_type_ids`": ("r_s_bias", "seg_embed"),
    "runs for `target_mapping`": ("mask_emb",),
}
"""By what runs them: submodules and parameters that plain calls of text do not run, by the last part of their names."""
FROM_ENCODER = ("encoder_attn", "encoder_attn_layer_norm", "cross_attn", "cross_attn_layer_norm")
"""Submodules that read the output of an encoder."""


class _HuggingFace(ModelSubject):
    """What all kinds share."""

    def __init__(self, module: nn.Module, **further: Any) -> None:
        config: Any = module.config
        pad = getattr(config, "pad_token_id", None)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        longest = getattr(text, "max_position_embeddings", None) or 512
        if longest < 0:  # XLNet's word for: any
            longest = 512
        given: dict[str, Any] = {
            "vocab_size": int(text.vocab_size),
            "pad": 0 if pad is None else int(pad),
            "max_length": min(64, int(longest) - 4),
            "multiple": _multiple(config),
        }
        takes = inspect.signature(module.forward).parameters
        if "attention_mask" not in takes or getattr(config, "model_type", "") in UNMASKED:
            given |= {"padding": (), "left_padding": False}
        super().__init__(module, **{**given, **further})
        self._takes = set(takes)
        self._cache = next((name for name in CACHES if name in self._takes), None)

    @property
    def has_step(self) -> bool:
        """Whether the model takes a cache."""
        return super().has_step and self._cache is not None

    def _continue(self, cache: Any, **how: Any) -> tuple[Tensor, Any]:
        """Return the scores of a call with a cache, and the cache after it.

        Raises:
            NotImplementedError: the model neither got a cache nor returned one.
        """
        assert self._cache is not None
        out: Any = self.module(use_cache=True, **{self._cache: cache}, **how)
        after = getattr(out, self._cache, cache)
        if after is None:
            raise NotImplementedError(f"{type(self.module).__name__} returns no {self._cache}")
        return out.logits, after

    def _with(self, **wanted: Any) -> dict[str, Any]:
        """Return those arguments that the model's forward takes."""
        return {name: value for name, value in wanted.items() if name in self._takes}

    def idle_parts(self) -> Mapping[str, str]:
        """Return the parts that read what plain calls of text do not give."""
        return self._named(OTHER_INPUTS)

    def _named(self, parts: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
        """Return the reasons of `parts` by the full names of the parts that the model has."""
        reasons = {part: reason for reason, ends in parts.items() for part in ends}
        names = [name for name, _ in (*self.module.named_modules(), *self.module.named_parameters())]
        ends = {name: name.rpartition(".")[2] for name in names}
        return {name: reasons[end] for name, end in ends.items() if end in reasons}

    def _vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors of tokens.

        Raises:
            NotImplementedError: the model takes no vectors.
        """
        self._require("inputs_embeds")
        found: Tensor = self.module.get_input_embeddings()(ids)  # type: ignore[operator]
        return found

    def _require(self, argument: str) -> None:
        if argument not in self._takes:
            raise NotImplementedError(f"{type(self.module).__name__} takes no {argument}")

    def _trained(self, inputs: Inputs, checkpointing: bool) -> Tensor:
        """Return the scores in training mode without dropout, and the gradient of their sum in the target's vectors.

        Args:
            checkpointing: whether layers are computed again on the way back instead of kept.

        Raises:
            ValueError: the model has no gradient checkpointing.
        """
        model: Any = self.module
        ids, real = inputs.target.ids, inputs.target.real
        table = model.get_input_embeddings().weight
        model.train()
        # Older versions of transformers have the name `gradient_checkpointing_enable` alone.
        kept = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
        if checkpointing:
            getattr(model, f"{kept}_checkpointing_enable")({"use_reentrant": False})
        try:
            with quiet(model), torch.enable_grad():
                scores = self.logits(inputs)
                (gradient,) = torch.autograd.grad(scores[real].square().sum(), table)
        finally:
            if checkpointing:
                getattr(model, f"{kept}_checkpointing_disable")()
            model.eval()
        return torch.cat((scores, gradient[ids]), -1)

    def _checkpointed(self) -> Door:
        """Return the door of gradient checkpointing."""
        return Door(partial(self._trained, checkpointing=True), partial(self._trained, checkpointing=False))

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
        takes = inspect.signature(module.forward).parameters
        # Positions that are not given and are looked up in a table count the padding before the tokens.
        tables = [name for name, part in module.named_modules() if isinstance(part, nn.Embedding)]
        counts_padding = "position_ids" not in takes and any("position" in name for name in tables)
        super().__init__(module, **{"left_padding": not counts_padding, **further})

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
        # Without attention, the mask is that of the new tokens: the state has left out what was padding before.
        alone = getattr(self.module, "_is_stateful", False) and "position_ids" not in self._takes
        first = start if alone else 0
        mask = {"attention_mask": tokens.real[:, first:].long()} if self.padding else {}
        further = self._with(position_ids=tokens.positions[:, start:], **mask)
        config: Any = self.module.config
        if state is None and config.model_type == "recurrent_gemma":
            from transformers import DynamicCache

            # It does not return the cache that it makes.
            state = DynamicCache(config=config)
        return self._continue(state, input_ids=tokens.ids[:, start:], **further)

    def idle_parts(self) -> Mapping[str, str]:
        """Return further the parts that read an encoder's output, which a decoder alone does not get."""
        return {**super().idle_parts(), **self._named({"runs for the output of an encoder": FROM_ENCODER})}

    def generate(self, inputs: Inputs, count: int) -> Tensor | None:
        """Return the tokens of `generate`, greedily."""
        tokens = inputs.target
        return _generated(
            self.module, count, self.pad, input_ids=tokens.ids, attention_mask=tokens.real.long()
        )

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return the scores with a cache that is filled but not read, from embeddings, with labels, and checkpointed."""

        def from_vectors(inputs: Inputs) -> Tensor:
            return self._call(inputs.target, inputs_embeds=self._vectors(inputs.target.ids))

        def with_labels(inputs: Inputs) -> Tensor:
            self._require("labels")
            return self._call(inputs.target, input_ids=inputs.target.ids, labels=_labels(inputs.target))

        return {
            "use_cache": lambda inputs: self._call(
                inputs.target, input_ids=inputs.target.ids, use_cache=True
            ),
            "inputs_embeds": from_vectors,
            "labels": with_labels,
            "gradient checkpointing": self._checkpointed(),
        }


def _labels(tokens: PaddedTokens) -> Tensor:
    """Return the ids with -100, the mark of no label, at padding."""
    return torch.where(tokens.real, tokens.ids, -100)


def _hides_later(config: Any) -> bool:
    """Whether a model with a language model's head is called causally.

    The attention of XLNet and XLM goes both ways, and for CPM-Ant the whole input is a prefix that all tokens read.
    """
    both_ways = {"xlnet": getattr(config, "attn_type", "") == "bi", "cpmant": True}
    both_ways |= dict.fromkeys(("xlm", "flaubert"), not getattr(config, "causal", False))
    return not both_ways.get(getattr(config, "model_type", ""), False)


class MaskedLanguageModel(_HuggingFace):
    """An encoder-only model of transformers."""

    kind = "encoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        return self._call(inputs, input_ids=inputs.target.ids)

    def _call(self, inputs: Inputs, **how: Any) -> Tensor:
        mask = {"attention_mask": inputs.target.real.long()} if self.padding else {}
        found: Tensor = self.module(**mask, **how).logits
        return found

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        mask = ", attention_mask=target_real.long()" if self.padding else ""
        return ("def scores(target, target_real):", f"    return model(input_ids=target{mask}).logits")

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return the scores from embeddings, with labels, and checkpointed."""

        def with_labels(inputs: Inputs) -> Tensor:
            self._require("labels")
            return self._call(inputs, input_ids=inputs.target.ids, labels=_labels(inputs.target))

        return {
            "inputs_embeds": lambda inputs: self._call(
                inputs, inputs_embeds=self._vectors(inputs.target.ids)
            ),
            "labels": with_labels,
            "gradient checkpointing": self._checkpointed(),
        }


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

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return the scores with a cache, from an encoder output, from embeddings, from labels, and checkpointed."""

        def whole(inputs: Inputs, **how: Any) -> Tensor:
            source = {"input_ids": inputs.of("source").ids, "decoder_input_ids": inputs.target.ids}
            return self._call(inputs, **{**source, **how})

        def from_vectors(inputs: Inputs) -> Tensor:
            return whole(inputs, input_ids=None, inputs_embeds=self._vectors(inputs.of("source").ids))

        def from_target_vectors(inputs: Inputs) -> Tensor:
            self._require("decoder_inputs_embeds")
            table = self.module.get_decoder().get_input_embeddings()  # type: ignore[operator]
            return whole(inputs, decoder_input_ids=None, decoder_inputs_embeds=table(inputs.target.ids))

        return {
            "use_cache": lambda inputs: whole(inputs, use_cache=True),
            "encoder_outputs": lambda inputs: whole(
                inputs, input_ids=None, encoder_outputs=self._encoded(inputs)
            ),
            "inputs_embeds": from_vectors,
            "decoder_inputs_embeds": from_target_vectors,
            "labels": Door(
                lambda inputs: whole(inputs, decoder_input_ids=None, labels=_labels(inputs.target)),
                lambda inputs: whole(inputs, decoder_input_ids=self._shifted(inputs.target)),
            ),
            "gradient checkpointing": self._checkpointed(),
        }

    def _shifted(self, tokens: PaddedTokens) -> Tensor:
        """Return the decoder's ids for labels, as the library's collators make them.

        Raises:
            NotImplementedError: the model does not say how.
        """
        shift = getattr(self.module, "prepare_decoder_input_ids_from_labels", None)
        if shift is None:
            raise NotImplementedError(
                f"{type(self.module).__name__} does not say how labels become decoder ids"
            )
        found: Tensor = shift(labels=_labels(tokens))
        return found


def subject_of(module: nn.Module, **further: Any) -> ModelSubject:
    """Return the subject of a model of transformers, by what its configuration and class say."""
    config: Any = module.config
    if getattr(config, "is_encoder_decoder", False):
        return Seq2SeqLanguageModel(module, **further)
    if "ForMaskedLM" in type(module).__name__ or not _hides_later(config):
        return MaskedLanguageModel(module, **further)
    return CausalLanguageModel(module, **further)
