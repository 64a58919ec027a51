"""How the proofs on any model call an arm: its model at the moments of its audit, under teacher forcing and from a cache.

What is hidden by a mask does not enter an arm's scores at all, so passes of one shape are bit-identical. Only `renormalise`,
which computes with hidden values and divides them out, is allowed its rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskbench.audit.subject import BLOCKED, EXACT, AuditCase, with_loss_weights
from maskbench.data.batches import Batch
from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import EOS, N_SPECIAL, PAD
from maskbench.masks.context import LogitContext
from maskbench.model.attention import CrossAttention, SelfAttention
from maskbench.model.attention_path import DENSE_ONLY, PathRules
from maskbench.model.cache import DecoderCache
from maskbench.model.transformer import EncoderDecoder
from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.inputs import Inputs, PaddedTokens, Side
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.subject import ModelSubject


class ArmModel(ModelSubject):
    """The model of an audited arm."""

    kind = "encoder-decoder"
    enlargements = (1000.0,)
    follows_default_dtype = False

    def __init__(self, case: AuditCase) -> None:
        """Build the model of a case anew; no other proof has run it."""
        sizes, subject = case.subject.sizes, case.subject
        super().__init__(
            case.build(),
            vocab_size=sizes.vocab_size,
            name=subject.name,
            pad=PAD,
            first_word=N_SPECIAL,
            max_length=sizes.max_length,
        )
        self.case = case
        train, evaluation = Mode("train", moment=subject.train), Mode("eval", moment=subject.evaluation)
        self.modes = (replace(train, training=True), evaluation)
        self.settled_modes = (train, evaluation)
        later = replace(subject.evaluation, epoch=subject.evaluation.epoch + 7)
        self.repeated = replace(evaluation, moment=later)
        self.clock = subject.evaluation
        self.test_inputs = inputs_of(subject.batch)

    @property
    def model(self) -> EncoderDecoder:
        """The module."""
        assert isinstance(self.module, EncoderDecoder)
        return self.module

    def converted(self, dtype: torch.dtype) -> ArmModel:
        """Return the same arm in a number format, with a model of its own."""
        return ArmModel(AuditCase(self.case.subject, dtype))

    def embeddings(self) -> Mapping[Side, Sequence[nn.Module]]:
        """Return the modules after which words have their positions, before any mask."""
        return {"source": [self.model.encoder.positions], "target": [self.model.decoder.positions]}

    def set_mode(self, mode: Mode) -> None:
        """Bring the model into a mode and to its moment."""
        super().set_mode(mode)
        self.clock = mode.moment  # type: ignore[assignment]

    def batch_of(self, inputs: Inputs, *, known_targets: bool = False) -> Batch:
        """Return the inputs as a batch on the model's device, with the annotations of the audited sentences.

        Words in padding are junk and linked to every target token, so that a mask that reads annotations there is seen.

        Args:
            known_targets: whether links are those of the whole audited targets, as decoding knows them from its start.
        """
        assert inputs.source is not None
        known, source, target = self.case.subject.batch, inputs.source, inputs.target
        linked = max(target.length, known.tgt_in.shape[1]) if known_targets else target.length
        visit, row = inputs.sentences // len(known.ids), inputs.sentences % len(known.ids)
        filled = ~source.real & (source.ids != PAD)
        following = torch.cat((target.ids[:, 1:], torch.full_like(target.ids[:, :1], EOS)), 1)
        last = torch.arange(target.length) == target.lengths[:, None] - 1

        def fit(annotation: Tensor, *lengths: int) -> Tensor:
            part = annotation[row]
            for axis, n in enumerate(lengths, 1):
                missing = n - part.shape[axis]
                part = F.pad(part.movedim(axis, -1), (0, missing)).movedim(-1, axis)
            return part

        return Batch(
            ids=known.ids[row] + 1000 * visit,
            src=source.ids,
            src_lengths=source.lengths,
            tgt_in=target.ids,
            tgt_out=torch.where(target.real, torch.where(last, EOS, following), PAD),
            tgt_lengths=target.lengths,
            junk=None if known.junk is None else fit(known.junk, source.length) | filled,
            links=None if known.links is None else fit(known.links, linked, source.length) | filled[:, None],
        ).to(self.case.subject.device)

    def logits(self, inputs: Inputs) -> Tensor:
        """Return `[batch tgt vocab]` scores under teacher forcing, gates applied and banned tokens at -inf."""
        return self.case.scores(self.model, self.batch_of(inputs), self.clock)

    def outputs(self, inputs: Inputs) -> Tensor:
        """Return `[batch tgt vocab+1]`: the scores, and last the weight of every token in the loss."""
        batch = self.batch_of(inputs)
        logits = self.case.scores(self.model, batch, self.clock)
        return with_loss_weights(self.model, logits, batch, self.clock)

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return `[batch new vocab]` scores of the columns from `start` on, and the memory, source and cache."""
        model, batch, clock = self.model, self.batch_of(inputs, known_targets=True), self.clock
        if state is None:
            masked, source = model.read(batch, clock)
            cache = DecoderCache(self.case.subject.sizes.decoder_layers, self.max_length)
            state = model.encode(masked, source, clock), source, cache
        memory, source, cache = state
        end = inputs.target.length
        so_far = torch.full_like(batch.tgt_lengths, end)
        new = batch.tgt_in[:, start:]
        tokens = model.masks.corrupt("decoder_input", new, so_far, batch.ids, clock, start=start)
        hidden = model.decode(tokens, memory, source, clock, cache=cache)
        gated = model.masks.gate_logits(model.logits(hidden), clock, batch.ids, start)
        places = torch.arange(start, end, device=batch.src.device)
        context = LogitContext(batch.tgt_in, places, batch.src, batch.src_lengths, clock)
        return model.masks.mask_logits(gated, context, None, batch.ids), state

    def implementations(self) -> Mapping[str, Callable[[], ArmModel]]:
        """Return the arm computed with one matrix of weights a layer, and with all layers in blocks."""

        def build(rules: PathRules) -> ArmModel:
            subject = replace(self.case.subject, attention_paths=rules)
            return ArmModel(AuditCase(subject, self.case.dtype))

        return {"one matrix": partial(build, DENSE_ONLY), "blocks": partial(build, BLOCKED)}

    def enlarge(self, factor: float) -> None:
        """Multiply all queries and keys by `factor`: attention scores of 0.1 become 100,000 for 1,000."""
        with torch.no_grad():
            for module in self.model.modules():
                if isinstance(module, SelfAttention):
                    module.qkv.weight[: 2 * module.qkv.in_features] *= factor
                elif isinstance(module, CrossAttention):
                    module.query.weight *= factor
                    module.key_value.weight[: module.key_value.in_features] *= factor

    def rounding(self, largest: float, *, same_shape: bool) -> float:
        """Return how far rounding may move scores."""
        if same_shape:
            return self.case.hidden_rounding(largest)
        return EXACT * largest if self.case.dtype == torch.float64 else self.case.low_rounding(largest)

    @property
    def width_depends_on_rows(self) -> bool:
        """Whether a mask replaces spans of the source by fewer tokens, as many as it draws for the sentence."""

        def ask() -> bool:
            case, width = self.case, self.case.batch.src.shape[1]
            return any(self.model.read(case.batch, clock)[0].ids.shape[1] != width for clock in case.clocks)

        return self.case.once("width depends on rows", ask)

    def pass_bytes(self, inputs: Inputs, scores: Tensor) -> int:
        """Return about how many bytes a pass without gradients takes."""
        source = 0 if inputs.source is None else inputs.source.length
        return inputs.batch * self.case.bytes_of_pair(source, inputs.target.length)


def inputs_of(batch: Batch) -> Inputs:
    """Return a batch as inputs of an `ArmModel`, on the CPU."""

    def tokens(ids: Tensor, lengths: Tensor) -> PaddedTokens:
        return PaddedTokens(ids.cpu(), real_tokens(lengths, ids.shape[1]).cpu())

    return Inputs(tokens(batch.tgt_in, batch.tgt_lengths), tokens(batch.src, batch.src_lengths))


def make_model_case(case: AuditCase) -> ModelCase:
    """Return the case of an arm for the proofs on any model; computed once."""
    return case.once("model case", lambda: ModelCase(ArmModel(case), case.dtype))
