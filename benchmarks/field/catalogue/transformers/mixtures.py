"""Pairs of an encoder and a decoder of transformers in an `EncoderDecoderModel`, and why some of their cells fail."""

from __future__ import annotations

from typing import Any

from benchmarks.field.entry import Build, Edit, Entry, Judgement
from maskbench.model_audit.subject import ModelSubject

ENCODERS = {
    "ALBERT": "albert",
    "BERT": "bert",
    "BertGeneration": "bert-generation",
    "BigBird": "big_bird",
    "CamemBERT": "camembert",
    "Data2VecText": "data2vec-text",
    "DeBERTa": "deberta",
    "DeBERTa-v2": "deberta-v2",
    "DistilBERT": "distilbert",
    "ELECTRA": "electra",
    "ERNIE": "ernie",
    "ESM": "esm",
    "Longformer": "longformer",
    "MPNet": "mpnet",
    "MegatronBERT": "megatron-bert",
    "ModernBERT": "modernbert",
    "RemBERT": "rembert",
    "RoBERTa": "roberta",
    "RoBERTa-PreLayerNorm": "roberta-prelayernorm",
    "RoFormer": "roformer",
    "SqueezeBERT": "squeezebert",
    "T5 encoder": "t5",
    "XLM-RoBERTa": "xlm-roberta",
    "XLM-RoBERTa-XL": "xlm-roberta-xl",
}
"""Encoders by the name that the page shows: their `model_type`."""
DECODERS = {
    "BART": "bart",
    "BERT": "bert",
    "BertGeneration": "bert-generation",
    "Blenderbot": "blenderbot",
    "BlenderbotSmall": "blenderbot-small",
    "CamemBERT": "camembert",
    "Data2VecText": "data2vec-text",
    "ELECTRA": "electra",
    "ERNIE": "ernie",
    "GPT-2": "gpt2",
    "MBart": "mbart",
    "MVP": "mvp",
    "Marian": "marian",
    "PLBart": "plbart",
    "Pegasus": "pegasus",
    "ProphetNet": "prophetnet",
    "RemBERT": "rembert",
    "RoBERTa": "roberta",
    "RoBERTa-PreLayerNorm": "roberta-prelayernorm",
    "RoFormer": "roformer",
    "TrOCR": "trocr",
    "XGLM": "xglm",
    "XLM-RoBERTa": "xlm-roberta",
    "XLM-RoBERTa-XL": "xlm-roberta-xl",
}
"""Decoders with cross-attention, the same way."""
PAIRS = (
    ("ALBERT", "BERT"),
    ("ALBERT", "GPT-2"),
    ("BERT", "BART"),
    ("BERT", "BERT"),
    ("BERT", "BertGeneration"),
    ("BERT", "GPT-2"),
    ("BERT", "Marian"),
    ("BERT", "ProphetNet"),
    ("BERT", "RoBERTa"),
    ("BERT", "RoFormer"),
    ("BertGeneration", "BertGeneration"),
    ("BertGeneration", "PLBart"),
    ("BigBird", "BERT"),
    ("BigBird", "Pegasus"),
    ("CamemBERT", "CamemBERT"),
    ("CamemBERT", "GPT-2"),
    ("Data2VecText", "Data2VecText"),
    ("DeBERTa", "BART"),
    ("DeBERTa-v2", "RoBERTa"),
    ("DistilBERT", "BERT"),
    ("DistilBERT", "GPT-2"),
    ("DistilBERT", "MVP"),
    ("ELECTRA", "ELECTRA"),
    ("ELECTRA", "BertGeneration"),
    ("ERNIE", "ERNIE"),
    ("ESM", "GPT-2"),
    ("MegatronBERT", "BERT"),
    ("Longformer", "BART"),
    ("Longformer", "RoBERTa"),
    ("MPNet", "MBart"),
    ("MPNet", "XGLM"),
    ("ModernBERT", "BERT"),
    ("ModernBERT", "GPT-2"),
    ("RemBERT", "RemBERT"),
    ("RoBERTa", "Blenderbot"),
    ("RoBERTa", "GPT-2"),
    ("RoBERTa", "RoBERTa"),
    ("RoBERTa", "TrOCR"),
    ("RoBERTa-PreLayerNorm", "RoBERTa-PreLayerNorm"),
    ("RoFormer", "RoFormer"),
    ("RoFormer", "BlenderbotSmall"),
    ("SqueezeBERT", "ELECTRA"),
    ("T5 encoder", "GPT-2"),
    ("T5 encoder", "BERT"),
    ("XLM-RoBERTa", "XLM-RoBERTa"),
    ("XLM-RoBERTa", "Marian"),
    ("XLM-RoBERTa-XL", "XLM-RoBERTa-XL"),
)
MARKS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
"""Marks that encoder and decoder share, as they share the words: RoBERTa counts positions from the tokens that are no padding."""


def small(kind: str, **further: Any) -> Any:
    """Return a small configuration."""
    from transformers import CONFIG_MAPPING

    from maskbench.model_audit.adapters.hugging_face.small_configurations import small_settings

    cls: Any = CONFIG_MAPPING[kind]
    return cls(**{**small_settings(cls()), **MARKS, **further})


def mixture(encoder: str, decoder: str, pooler: bool = True, **of_encoder: Any) -> Build:
    """Return the build of a pair.

    Args:
        encoder: its `model_type`.
        decoder: its `model_type`.
        pooler: whether the encoder has the pooler that its class adds by default.
        of_encoder: settings of the encoder.
    """

    def build() -> ModelSubject:
        import transformers
        from transformers import AutoModel, AutoModelForCausalLM, EncoderDecoderConfig, EncoderDecoderModel

        from maskbench.model_audit.target import subject_for

        without_pooler = {} if pooler else {"add_pooling_layer": False}
        configs = EncoderDecoderConfig.from_encoder_decoder_configs(
            small(encoder, **of_encoder),
            small(decoder, is_encoder_decoder=False),
            decoder_start_token_id=3,
            pad_token_id=0,
        )
        source: Any = AutoModel
        if encoder == "t5":  # the automatic class makes encoder and decoder
            first: Any = transformers.T5EncoderModel(configs.encoder)
        elif pooler:
            first = source.from_config(configs.encoder)
        else:
            first = source._model_mapping[type(configs.encoder)](configs.encoder, **without_pooler)
        second = AutoModelForCausalLM.from_config(configs.decoder)
        return subject_for(EncoderDecoderModel(config=configs, encoder=first, decoder=second).eval())

    return build


def name_of(encoder: str, decoder: str) -> str:
    """Return the name of a pair's entry."""
    return f"EncoderDecoderModel {encoder} + {decoder}"


ENTRIES: tuple[Entry, ...] = tuple(
    Entry(name_of(first, second), "encoder-decoder", mixture(ENCODERS[first], DECODERS[second]))
    for first, second in PAIRS
)
WITH_POOLER = {
    "ALBERT": "models/albert/modeling_albert.py",
    "BERT": "models/bert/modeling_bert.py",
    "BigBird": "models/big_bird/modeling_big_bird.py",
    "CamemBERT": "models/camembert/modeling_camembert.py",
    "Data2VecText": "models/data2vec/modeling_data2vec_text.py",
    "ERNIE": "models/ernie/modeling_ernie.py",
    "ESM": "models/esm/modeling_esm.py",
    "Longformer": "models/longformer/modeling_longformer.py",
    "MPNet": "models/mpnet/modeling_mpnet.py",
    "MegatronBERT": "models/megatron_bert/modeling_megatron_bert.py",
    "RemBERT": "models/rembert/modeling_rembert.py",
    "RoBERTa": "models/roberta/modeling_roberta.py",
    "RoBERTa-PreLayerNorm": "models/roberta_prelayernorm/modeling_roberta_prelayernorm.py",
    "SqueezeBERT": "models/squeezebert/modeling_squeezebert.py",
    "XLM-RoBERTa": "models/xlm_roberta/modeling_xlm_roberta.py",
    "XLM-RoBERTa-XL": "models/xlm_roberta_xl/modeling_xlm_roberta_xl.py",
}
"""Encoders that are built with a pooler unless they are told not to."""
CAN_LEAVE_OUT = tuple(name for name in WITH_POOLER if name != "SqueezeBERT")
BIG_BIRDS = tuple(pair for pair in PAIRS if pair[0] == "BigBird")
PROPHETNET = name_of("BERT", "ProphetNet")

JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "design effect",
        "An encoder holds a pooler, which a decoder does not read",
        entries=tuple(name_of(*pair) for pair in PAIRS if pair[0] in WITH_POOLER),
        proofs=("every part works",),
        cause="The encoder is a base model, which its class builds with a pooler. The decoder reads the vectors of all tokens, and"
        " nothing reads the pooler's output.",
        where="models/encoder_decoder/modeling_encoder_decoder.py:116",
        source="`add_pooling_layer`, whether a pooling layer is added, is documented with default true in the base models",
        ruled_out="A part that other inputs would run: no call of the pair reads it. The scores are those of a pair whose encoder"
        " was built without one.",
        control={
            name_of(*pair): mixture(ENCODERS[pair[0]], DECODERS[pair[1]], pooler=False)
            for pair in PAIRS
            if pair[0] in CAN_LEAVE_OUT
        },
        control_is="the encoder is built with `add_pooling_layer=False`, where its class has it",
        mend_is="none is tried: no score would change",
    ),
    Judgement(
        "design effect",
        "A BigBird encoder switches to full attention at a short sentence and stays so",
        entries=tuple(name_of(*pair) for pair in BIG_BIRDS),
        proofs=("long sentences", "no trace"),
        cause="Block-sparse attention needs a batch of a certain length; at a shorter one the model switches to full attention, for"
        " later calls as well. So a row's vectors depend on the length of its batch, and a later training pass on what was"
        " evaluated before.",
        where="models/big_bird/modeling_big_bird.py:1596, :1580",
        source="a warning of the class names the least length and says that the attention type is changed"
        " (modeling_big_bird.py:1596)",
        ruled_out="The decoder: with full attention in the encoder both proofs hold.",
        control={
            name_of(*pair): mixture("big_bird", DECODERS[pair[1]], attention_type="original_full")
            for pair in BIG_BIRDS
        },
        control_is='`attention_type="original_full"` of the encoder',
        mend_is="none is tried: sparse attention is the model's default",
    ),
    Judgement(
        "defect",
        "A ProphetNet decoder adds relative position scores of other positions in a pair as well",
        entries=(PROPHETNET,),
        proofs=(
            "causality",
            "truncation",
            "future gradients",
            "long sentences",
            "padding amount",
            "alone",
            "cached decoding",
            "several tokens a step",
            "large scores",
        ),
        cause="The cause is that of the plain class: the scores of the relative positions are in another order of axes than the"
        " table of buckets and the result.",
        where="models/prophetnet/modeling_prophetnet.py:806",
        ruled_out="The encoder: the first module that moves is the decoder's. See the plain class for the rest.",
        control_is="no setting switches the scores of relative positions off",
        mend=(
            Edit(
                "transformers.models.prophetnet.modeling_prophetnet",
                806,
                806,
                "        rel_pos_embeddings = rel_pos_embeddings.permute(0, 1, 4, 2, 3)",
                was="f0baaa053d70",
            ),
        ),
        mend_is="the axes are put in the order row, stream, head, position, bucket",
        report="transformers-prophetnet-relative-positions",
    ),
    Judgement(
        "defect",
        "An XGLM decoder cannot be computed in float64 in a pair either",
        entries=(name_of("MPNet", "XGLM"),),
        proofs=("no trace",),
        cause="The cause is that of the plain class: the smallest number of float64 is put into a tensor of float32, and torch"
        " raises.",
        where="models/xglm/modeling_xglm.py:213",
        ruled_out="The encoder: it runs before, in float64.",
        control_is="no setting leaves the comparison out",
        mend=(
            Edit(
                "transformers.models.xglm.modeling_xglm",
                213,
                213,
                "                attn_weights, attn_weights.new_full((), torch.finfo(attn_weights.dtype).min)",
                was="1a6b695ad22e",
            ),
        ),
        mend_is="the tensor has the format of the scores",
        report="transformers-xglm-float64",
    ),
)
NOT_TRIED: tuple[tuple[str, str], ...] = (
    (
        "EncoderDecoderModel BigBird + BigBird",
        "built; 13 proofs fail, those of reach, padding and generation among them; the cause was not found, so no entry stands here",
    ),
    (
        name_of("ESM", "GPTBigCode"),
        "its default attention with one key for all heads refuses cross-attention",
    ),
    (
        name_of("MegatronBERT", "MegatronBERT"),
        "the decoder's cross-attention raises where source and target have different lengths"
        " (models/megatron_bert/modeling_megatron_bert.py:160)",
    ),
)
