"""labml-nn: transformers of many papers, with notes beside their code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.field.entry import Build, Entry, Judgement, Package
from benchmarks.field.subjects import LONGEST, WORDS
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject

WIDTH, HEADS, INNER = 32, 4, 64


def layer(attention: Callable[[], nn.Module], cross: bool = False, **feed_forward: Any) -> Any:
    """Return a layer of the package without dropout."""
    from labml_nn.transformers.feed_forward import FeedForward
    from labml_nn.transformers.mha import MultiHeadAttention
    from labml_nn.transformers.models import TransformerLayer

    return TransformerLayer(
        d_model=WIDTH,
        self_attn=attention(),
        src_attn=MultiHeadAttention(HEADS, WIDTH) if cross else None,
        feed_forward=FeedForward(WIDTH, INNER, **feed_forward),
        dropout_prob=0.1,
    )


def visible(real: Tensor, causal: bool) -> Tensor:
    """Return the package's mask `[query key batch]`: which keys are tokens, and none that is later."""
    keys = real.T[None].expand(real.shape[1], -1, -1)
    return keys & torch.ones(keys.shape[:2], dtype=torch.bool).tril()[..., None] if causal else keys


class Layers(nn.Module):
    """The package's layers `[len batch width]` between a table of words and a head."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.words, self.layers, self.head = nn.Embedding(WORDS, WIDTH), layers, nn.Linear(WIDTH, WORDS)

    def forward(self, ids: Tensor, *how: Any) -> Tensor:
        """Return the scores at every position."""
        found = self.layers(self.words(ids).transpose(0, 1), *how)
        return self.head((found[0] if isinstance(found, tuple) else found).transpose(0, 1))


class DecoderSubject(ModelSubject):
    """Layers with a causal mask, and with a mask of padding where they take one for each row."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        real = inputs.target.real
        mask = visible(real, True) if self.padding else visible(torch.ones_like(real), True)[..., :1]
        found: Tensor = self.module(inputs.target.ids, *self.before_mask, mask)
        return found

    before_mask: tuple[Any, ...] = ()


class EncoderSubject(ModelSubject):
    """Layers with a mask of padding, or with none."""

    kind = "encoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        found: Tensor = self.module(
            inputs.target.ids, visible(inputs.target.real, False) if self.padding else None
        )
        return found


class BothSubject(ModelSubject):
    """An `EncoderDecoder`."""

    kind = "encoder-decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position of the target."""
        source, target, model = inputs.of("source"), inputs.target, self.module
        keys = source.real.T[None]
        found = model(source.ids.T, target.ids.T, keys, visible(target.real, True))
        scores: Tensor = model.generator(found).transpose(0, 1)
        return scores


class PlainSubject(ModelSubject):
    """A model that takes nothing but the sequence."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        found: Tensor = self.module(inputs.target.ids)
        return found


class InSegments(ModelSubject):
    """Layers with a memory: the whole sentence in one pass, or new tokens after the memory of all before."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        return self.step(inputs, 0, None)[0]

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores of new tokens after the memory."""
        model: Any = self.module
        ids = inputs.target.ids
        mask = torch.ones(ids.shape[1], ids.shape[1], 1, dtype=torch.bool)[..., 0].tril()[start:, :, None]
        found, new = model.layers(
            model.words(ids[:, start:]).transpose(0, 1), state or [], *self.further, mask
        )
        state = [torch.cat(both) for both in zip(state, new, strict=True)] if state else new
        return model.head(found.transpose(0, 1)), state

    further: tuple[Any, ...] = ()


class CompressiveSubject(InSegments):
    """The same with a second, compressed memory, which is left empty."""

    further = ([],)

    def idle_parts(self) -> Mapping[str, str]:
        """Return the compressions, which a training loop calls with old memories."""
        return {
            f"layers.layers.{number}.compress": "a training loop compresses old memories"
            for number in range(2)
        }


class AFTSubject(DecoderSubject):
    """The same with a parameter that is no number."""

    def enlarge(self, factor: float) -> None:
        """Multiply matrices of numbers; the package keeps its local mask as a parameter of True and False."""
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if parameter.ndim >= 2 and "embed" not in name and parameter.is_floating_point():
                    parameter.mul_(factor)


class RetroSubject(ModelSubject):
    """A `RetroModel` that retrieves the same neighbours for every chunk."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        ids = inputs.target.ids
        neighbours = (torch.arange(12) + 5).view(1, 1, 2, 6).expand(len(ids), ids.shape[1] // 4, -1, -1)
        found: Tensor = self.module(ids, neighbours)
        return found


def decoder(
    attention: str, module: str, padding: bool = True, feed_forward: Any = None, sizes: Any = None
) -> Build:
    """Return the build of causal layers with one of the package's attentions."""

    def build() -> ModelSubject:
        import importlib

        from labml_nn.transformers.models import Encoder

        kind = getattr(importlib.import_module(f"labml_nn.transformers.{module}"), attention)
        further = feed_forward() if feed_forward else {}
        model = Layers(
            Encoder(layer(lambda: kind(**(sizes or {"heads": HEADS, "d_model": WIDTH})), **further), 2)
        )
        settings = {} if padding else {"padding": ()}
        kind_of = AFTSubject if attention == "AFTLocal" else DecoderSubject
        return kind_of(model.eval(), vocab_size=WORDS, max_length=LONGEST, **settings)

    return build


def squared_relu() -> dict[str, Any]:
    """Return the activation of Primer."""
    from labml_nn.transformers.primer_ez import SquaredReLU

    return {"activation": SquaredReLU()}


def encoder() -> ModelSubject:
    """Return an `Encoder`."""
    from labml_nn.transformers.mha import MultiHeadAttention
    from labml_nn.transformers.models import Encoder

    model = Layers(Encoder(layer(lambda: MultiHeadAttention(HEADS, WIDTH)), 2))
    return EncoderSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST)


def fnet() -> ModelSubject:
    """Return layers that mix by a Fourier transform."""
    from labml_nn.transformers.fnet import FNetMix
    from labml_nn.transformers.models import Encoder

    model = Layers(Encoder(layer(FNetMix), 2))
    return EncoderSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST, padding=())


def gmlp() -> ModelSubject:
    """Return blocks with a gate over positions, which take a causal mask that is the same for all rows."""
    from labml_nn.transformers.gmlp import GMLPBlock

    class Blocks(nn.Module):
        """Two blocks."""

        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(GMLPBlock(WIDTH, INNER, LONGEST) for _ in range(2))

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            """Return the vectors."""
            for block in self.blocks:
                x = block(x=x, mask=mask)
            return x

    return DecoderSubject(Layers(Blocks()).eval(), vocab_size=WORDS, max_length=LONGEST, padding=())


def encoder_decoder() -> ModelSubject:
    """Return the `EncoderDecoder` of Vaswani et al."""
    from labml_nn.transformers import models
    from labml_nn.transformers.mha import MultiHeadAttention

    def self_attention() -> nn.Module:
        found: nn.Module = MultiHeadAttention(HEADS, WIDTH)
        return found

    model = models.EncoderDecoder(
        models.Encoder(layer(self_attention), 2),
        models.Decoder(layer(self_attention, cross=True), 2),
        models.EmbeddingsWithPositionalEncoding(WIDTH, WORDS),
        models.EmbeddingsWithLearnedPositionalEncoding(WIDTH, WORDS),
        models.Generator(WORDS, WIDTH),
    )
    return BothSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST)


def transformer_xl() -> ModelSubject:
    """Return a `TransformerXL`."""
    from labml_nn.transformers.feed_forward import FeedForward
    from labml_nn.transformers.xl import RelativeMultiHeadAttention, TransformerXL, TransformerXLLayer

    one = TransformerXLLayer(
        d_model=WIDTH,
        self_attn=RelativeMultiHeadAttention(HEADS, WIDTH, 0.1),
        feed_forward=FeedForward(WIDTH, INNER),
        dropout_prob=0.1,
    )
    return InSegments(Layers(TransformerXL(one, 2)).eval(), vocab_size=WORDS, max_length=LONGEST, padding=())


def compressive() -> ModelSubject:
    """Return a `CompressiveTransformer`."""
    from labml_nn.transformers.compressive import (
        CompressiveTransformer,
        CompressiveTransformerLayer,
        Conv1dCompression,
    )
    from labml_nn.transformers.feed_forward import FeedForward
    from labml_nn.transformers.xl import RelativeMultiHeadAttention

    one = CompressiveTransformerLayer(
        d_model=WIDTH,
        self_attn=RelativeMultiHeadAttention(HEADS, WIDTH, 0.1),
        feed_forward=FeedForward(WIDTH, INNER),
        dropout_prob=0.1,
        compress=Conv1dCompression(2, WIDTH),
    )
    model = Layers(CompressiveTransformer(one, 2)).eval()
    return CompressiveSubject(model, vocab_size=WORDS, max_length=LONGEST, padding=())


def feedback(with_keys: bool) -> Build:
    """Return the build of a `FeedbackTransformer`, which reads its own higher layers at earlier positions."""

    def build() -> ModelSubject:
        from labml_nn.transformers import feedback as part
        from labml_nn.transformers.feed_forward import FeedForward

        one = part.FeedbackTransformerLayer(
            d_model=WIDTH,
            attn=part.FeedbackAttention(HEADS, WIDTH, is_kv_precomputed=with_keys),
            feed_forward=FeedForward(WIDTH, INNER),
            dropout_prob=0.1,
        )
        layers = (
            part.FeedbackTransformerKV(one, 2, WIDTH, HEADS)
            if with_keys
            else part.FeedbackTransformer(one, 2)
        )
        return PlainSubject(Layers(layers).eval(), vocab_size=WORDS, max_length=LONGEST, padding=())

    return build


def retro() -> ModelSubject:
    """Return a `RetroModel`."""
    from labml_nn.transformers.retro.model import NearestNeighborEncoder, RetroModel

    sizes = {"d_model": WIDTH, "n_heads": HEADS, "d_k": 8, "d_ff": INNER, "chunk_len": 4}
    neighbours = NearestNeighborEncoder(n_layers=2, ca_layers={1}, **sizes)
    model = RetroModel(WORDS, n_layers=3, ca_layers={1, 2}, encoder=neighbours, **sizes)
    return RetroSubject(model.eval(), vocab_size=WORDS, max_length=LONGEST, padding=(), multiple=4)


NO_KEY = Judgement(
    "design effect",
    "A softmax over no visible key is not a number",
    ("EncoderDecoder",),
    ("empty rows",),
    "Hidden scores are minus infinity. Where a row's source has no token, every key is hidden, and the softmax of that row is NaN. Other rows "
    "are not affected.",
    "labml_nn/transformers/mha.py:183",
    "A leak into other rows: only the scores of the row without a source are NaN.",
    source="the documentation of the class gives the softmax of the paper, which is defined over at least one key (transformers/mha.py, MultiHeadAttention)",
    control_is="no setting",
    mend_is="none is needed: a source of no token is not a case of the published model",
)

PACKAGE = Package(
    "labml-nn",
    "0.5.1",
    "https://nn.labml.ai/transformers/",
    entries=(
        Entry("EncoderDecoder", "package", encoder_decoder),
        Entry("Encoder", "package", encoder),
        Entry("Encoder, causal mask", "package", decoder("MultiHeadAttention", "mha")),
        Entry(
            "Encoder, RotaryPEMultiHeadAttention", "package", decoder("RotaryPEMultiHeadAttention", "rope")
        ),
        Entry(
            "Encoder, AlibiMultiHeadAttention",
            "package",
            decoder("AlibiMultiHeadAttention", "alibi", padding=False),
            limits="the mask is the same for all rows (alibi/__init__.py, forward)",
        ),
        Entry(
            "Encoder, MultiDConvHeadAttention and SquaredReLU",
            "package",
            decoder("MultiDConvHeadAttention", "primer_ez", feed_forward=squared_relu),
        ),
        Entry(
            "Encoder, RelativeMultiHeadAttention",
            "package",
            decoder("RelativeMultiHeadAttention", "xl.relative_mha"),
        ),
        Entry(
            "Encoder, AFTLocal",
            "package",
            limits="the mask is the same for all rows",
            build=decoder(
                "AFTLocal",
                "aft",
                padding=False,
                sizes={"d_model": WIDTH, "seq_len": LONGEST, "local_window_size": 4},
            ),
        ),
        Entry("TransformerXL", "package", transformer_xl),
        Entry("CompressiveTransformer", "package", compressive, limits="the compressed memory is left empty"),
        Entry("FeedbackTransformer", "package", feedback(False)),
        Entry("FeedbackTransformerKV", "package", feedback(True)),
        Entry("RetroModel", "package", retro),
        Entry("Encoder, FNetMix", "package", fnet, limits="takes no mask (fnet/__init__.py, forward)"),
        Entry(
            "GMLPBlock",
            "package",
            gmlp,
            limits="the mask is the same for all rows (gmlp/__init__.py, forward)",
        ),
    ),
    judgements=(NO_KEY,),
    further=("labml==0.4.168",),
)
