"""The subject of an encoder-decoder model of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from maskbench.model_audit.adapters.hugging_face.model import HuggingFaceModel, generated, labels_of
from maskbench.model_audit.door import Door
from maskbench.model_audit.inputs import Inputs, PaddedTokens


class Seq2SeqLanguageModel(HuggingFaceModel):
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
        return generated(
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
                lambda inputs: whole(inputs, decoder_input_ids=None, labels=labels_of(inputs.target)),
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
        found: Tensor = shift(labels=labels_of(tokens))
        return found
