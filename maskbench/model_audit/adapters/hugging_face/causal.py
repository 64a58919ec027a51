"""The subject of a decoder-only model of transformers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from maskbench.model_audit.adapters.hugging_face.model import HuggingFaceModel, generated, labels_of
from maskbench.model_audit.adapters.hugging_face.other_inputs import FROM_ENCODER
from maskbench.model_audit.door import Door
from maskbench.model_audit.inputs import Inputs, PaddedTokens


class CausalLanguageModel(HuggingFaceModel):
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
        return generated(
            self.module, count, self.pad, input_ids=tokens.ids, attention_mask=tokens.real.long()
        )

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return the scores with a cache that is filled but not read, from embeddings, with labels, and checkpointed."""

        def from_vectors(inputs: Inputs) -> Tensor:
            return self._call(inputs.target, inputs_embeds=self._vectors(inputs.target.ids))

        def with_labels(inputs: Inputs) -> Tensor:
            self._require("labels")
            return self._call(inputs.target, input_ids=inputs.target.ids, labels=labels_of(inputs.target))

        return {
            "use_cache": lambda inputs: self._call(
                inputs.target, input_ids=inputs.target.ids, use_cache=True
            ),
            "inputs_embeds": from_vectors,
            "labels": with_labels,
            "gradient checkpointing": self._checkpointed(),
        }
