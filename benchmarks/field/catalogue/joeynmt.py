"""joeynmt: encoder-decoder models for translation, of attention or of recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.field.entry import Build, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS
from maskbench.model_audit.inputs import Inputs, Side
from maskbench.model_audit.subject import ModelSubject


class JoeySubject(ModelSubject):
    """A `Model`, encoded and decoded as its search does."""

    sorts = False

    kind = "encoder-decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position of the target."""
        return self._decoded(inputs, 0, (*self._encoded(inputs), None, None))[0]

    def _encoded(self, inputs: Inputs) -> tuple[Tensor, Tensor | None]:
        source = inputs.of("source")
        lengths = source.real.sum(1)
        order = lengths.argsort(descending=True, stable=True) if self.sorts else torch.arange(len(lengths))
        vectors, last, _, _ = self.module(
            return_type="encode",
            src=source.ids[order],
            src_length=lengths[order],
            src_mask=source.real[order][:, None],
        )
        back = order.argsort()
        return vectors[back], None if last is None else last[back]

    def _decoded(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        vectors, last, hidden, attended = state
        target = inputs.target
        scores, hidden, _, attended = self.module(
            return_type="decode",
            encoder_output=vectors,
            encoder_hidden=last,
            src_mask=inputs.of("source").real[:, None],
            trg_input=target.ids[:, start:],
            unroll_steps=target.ids.shape[1] - start,
            decoder_hidden=hidden,
            att_vector=attended,
            trg_mask=target.real[:, None, start:],
        )
        return scores, (vectors, last, hidden, None if attended is None else attended[:, -1:])


class RecurrentSubject(JoeySubject):
    """The same with a state between the tokens; rows are sorted by length, as the encoder asks."""

    sorts = True

    def embeddings(self) -> Mapping[Side, Sequence[nn.Module]]:
        """Return the target's table: the source's vectors come in the order of lengths, not in that of the rows."""
        model: Any = self.module
        return {"target": [model.trg_embed.lut]}

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of new tokens after a state."""
        return self._decoded(inputs, start, state or (*self._encoded(inputs), None, None))


def model(encoder: dict[str, Any], decoder: dict[str, Any], **further: Any) -> Any:
    """Return a `Model`."""
    from joeynmt.model import build_model
    from joeynmt.vocabulary import Vocabulary

    marks = {"unk": 0, "pad": 1, "bos": 2, "eos": 3}
    names = {f"{name}_token": f"<{name}>" for name in marks}
    ids = {f"{name}_id": number for name, number in marks.items()}
    special = SimpleNamespace(**names, **ids, sep_token=None, sep_id=None, lang_tags=[])
    words = Vocabulary([f"w{number}" for number in range(WORDS - len(marks))], special)
    vectors = {"embedding_dim": 32, "scale": True, "dropout": 0.1}
    settings = {"encoder": {**encoder, "embeddings": vectors}, "decoder": {**decoder, "embeddings": vectors}}
    return build_model({**settings, **further}, src_vocab=words, trg_vocab=words)


def transformer(**options: Any) -> Build:
    """Return the build of a `Model` of attention."""

    def build() -> ModelSubject:
        layers = {"type": "transformer", "num_layers": 2, "num_heads": 4, "hidden_size": 32, "ff_size": 64}
        layers |= {"dropout": 0.1, **options}
        built = model(layers, layers, tied_softmax=True)
        return JoeySubject(built.eval(), vocab_size=WORDS, max_length=LONGEST, pad=1)

    return build


def recurrent(kind: str, attention: str, **options: Any) -> Build:
    """Return the build of a `Model` of recurrent layers."""

    def build() -> ModelSubject:
        layers = {"type": "recurrent", "rnn_type": kind, "num_layers": 2, "hidden_size": 32, "dropout": 0.1}
        encoder = {**layers, "bidirectional": True}
        decoder = {
            **layers,
            "attention": attention,
            "init_hidden": "bridge",
            "hidden_dropout": 0.1,
            **options,
        }
        built = model(encoder, decoder)
        settings = {"vocab_size": WORDS, "max_length": LONGEST, "pad": 1, "padding": ("source",)}
        return RecurrentSubject(built.eval(), **settings)

    return build


TRANSFORMERS = {
    "Transformer": transformer(),
    "Transformer, layer_norm before": transformer(layer_norm="pre", activation="gelu"),
}
RECURRENTS = {
    "LSTM with Bahdanau's attention": recurrent("lstm", "bahdanau", input_feeding=True),
    "GRU with Luong's attention": recurrent("gru", "luong", input_feeding=False),
    "LSTM with the encoder's last state": recurrent("lstm", "luong", input_feeding=True, init_hidden="last"),
}

NO_SOURCE = Judgement(
    "design effect",
    "joeynmt translates no empty sentence",
    tuple(TRANSFORMERS) + tuple(RECURRENTS),
    ("empty rows",),
    "Attention over no visible key is NaN, and a recurrent encoder refuses a length of 0. Other rows are not affected.",
    "joeynmt/transformer_layers.py:91, joeynmt/encoders.py:127",
    "A leak into other rows: only the scores of the row without a source are NaN.",
    source="data without a source token is left out, and an empty input is refused (joeynmt/datasets.py:599, :801)",
    control_is="no setting",
    mend_is="none is needed: such rows do not come",
)

PACKAGE = Package(
    "joeynmt",
    "2.3.0",
    "https://joeynmt.readthedocs.io/",
    entries=tuple(Entry(name, "package", build) for name, build in {**TRANSFORMERS, **RECURRENTS}.items()),
    judgements=(NO_SOURCE,),
    further=("importlib-metadata==8.7.0",),
)
