"""What all kinds of models of transformers share: their arguments, cache, kernels, gradient checkpointing and generation."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from maskbench.model_audit.adapters.hugging_face.other_inputs import OTHER_INPUTS
from maskbench.model_audit.case import quiet
from maskbench.model_audit.door import Door
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.subject import ModelSubject

LONGEST = 64
"""Longest sentence that is tried unless the user says otherwise, in tokens: these models take milliseconds a pass."""
CACHES = ("cache", "past_key_values", "cache_params", "state")
"""Names under which models take and return a cache, by the version of transformers."""
KERNELS = ("eager", "sdpa")
"""Kernels that run on every device; flex attention compiles for half a minute and is for the asking."""
UNMASKED = ("cpmant", "rwkv", "xlstm")
"""Families that take no notice of `attention_mask`, and say so."""


class HuggingFaceModel(ModelSubject):
    """What all kinds share."""

    def __init__(self, module: nn.Module, **further: Any) -> None:
        config: Any = module.config
        pad = getattr(config, "pad_token_id", None)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        given: dict[str, Any] = {
            "vocab_size": int(text.vocab_size),
            "pad": 0 if pad is None else int(pad),
            "max_length": min(LONGEST, _positions(config, text) - 4),
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
        """Return the same model with the other kernels of attention that its class says it has."""
        config: Any = self.module.config
        now = getattr(config, "_attn_implementation", None)
        missing = () if getattr(self.module, "_supports_sdpa", True) else ("sdpa",)
        return {name: partial(self._built_with, name) for name in KERNELS if name not in (now, *missing)}

    def _built_with(self, kernel: str) -> Self:
        other: Any = copy.deepcopy(self.module)
        other.set_attn_implementation(kernel)
        return self.with_module(other)


def _positions(*configs: Any) -> int:
    """Return the least number of positions that a setting names, such as `max_decoder_position_embeddings`; 512 if none does."""
    named = [(name, value) for config in configs for name, value in config.to_dict().items()]
    found = [value for name, value in named if "position" in name and type(value) is int and value >= 8]
    return min(found, default=512)


def _multiple(config: Any) -> int:
    """Return the number of which every length must be a multiple: Reformer trains on whole chunks alone."""
    if getattr(config, "model_type", "") != "reformer":
        return 1
    return math.lcm(config.lsh_attn_chunk_length, config.local_attn_chunk_length)


def generated(model: Any, count: int, pad: int, start: int | None = None, **how: Any) -> Tensor:
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


def labels_of(tokens: PaddedTokens) -> Tensor:
    """Return the ids with -100, the mark of no label, at padding."""
    return torch.where(tokens.real, tokens.ids, -100)
