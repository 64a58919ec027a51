"""The subject of an encoder-only model of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from maskbench.model_audit.adapters.hugging_face.model import HuggingFaceModel, labels_of
from maskbench.model_audit.door import Door
from maskbench.model_audit.inputs import Inputs


class MaskedLanguageModel(HuggingFaceModel):
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
            return self._call(inputs, input_ids=inputs.target.ids, labels=labels_of(inputs.target))

        return {
            "inputs_embeds": lambda inputs: self._call(
                inputs, inputs_embeds=self._vectors(inputs.target.ids)
            ),
            "labels": with_labels,
            "gradient checkpointing": self._checkpointed(),
        }
