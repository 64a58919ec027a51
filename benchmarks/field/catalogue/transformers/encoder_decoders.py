"""Encoder-decoder models of transformers, and why some of their cells fail."""

from __future__ import annotations

from benchmarks.field.catalogue.transformers.decoders import MODELS
from benchmarks.field.entry import Edit, Entry, Judgement, hugging_face

CLASSES = (
    "BartForConditionalGeneration",
    "BigBirdPegasusForConditionalGeneration",
    "BlenderbotForConditionalGeneration",
    "BlenderbotSmallForConditionalGeneration",
    "EncoderDecoderModel",
    "FSMTForConditionalGeneration",
    "LEDForConditionalGeneration",
    "LongT5ForConditionalGeneration",
    "M2M100ForConditionalGeneration",
    "MBartForConditionalGeneration",
    "MT5ForConditionalGeneration",
    "MarianMTModel",
    "MvpForConditionalGeneration",
    "NllbMoeForConditionalGeneration",
    "PLBartForConditionalGeneration",
    "PegasusForConditionalGeneration",
    "PegasusXForConditionalGeneration",
    "ProphetNetForConditionalGeneration",
    "SeamlessM4TForTextToText",
    "SeamlessM4Tv2ForTextToText",
    "SwitchTransformersForConditionalGeneration",
    "T5ForConditionalGeneration",
    "T5Gemma2ForConditionalGeneration",
    "T5GemmaForConditionalGeneration",
    "UMT5ForConditionalGeneration",
)
"""Built as `hf:ClassName` builds them."""

ENTRIES: tuple[Entry, ...] = (*(Entry(name, "encoder-decoder", hugging_face(name)) for name in CLASSES),)

JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "design effect",
        "BigBird-Pegasus switches its encoder's attention to full for a short sentence, and stays so",
        ("BigBirdPegasusForConditionalGeneration",),
        ("long sentences", "no trace"),
        "A batch that is padded to at most (5 + 2 * num_random_blocks) * block_size columns cannot be cut into blocks, and the encoder sets full "
        "attention on itself, for good. So a short sentence has other scores alone than beside a long one, and later passes of long sentences "
        "differ from those before.",
        "models/bigbird_pegasus/modeling_bigbird_pegasus.py:1554",
        "evaluation, in which no random blocks are drawn; float64; in training they are drawn from a fixed seed; with full attention from the "
        "start nothing differs",
        source="the warning that the model gives when it switches says that the attention type is changed; docs/source/en/model_doc/"
        "bigbird_pegasus.md advises full attention below 1024 tokens. That it stays so is not written there (huggingface/transformers issue "
        "20031 reports it of BigBird)",
        control={
            "BigBirdPegasusForConditionalGeneration": hugging_face(
                "BigBirdPegasusForConditionalGeneration", attention_type="original_full"
            )
        },
        control_is='`attention_type="original_full"`',
        mend_is="none is tried: it is announced",
    ),
    Judgement(
        "design effect",
        "EncoderDecoderModel holds the pooler of its encoder, which its scores do not need",
        ("EncoderDecoderModel",),
        ("every part works",),
        "The encoder is built as a base model, with its pooler. The decoder reads the hidden states alone.",
        "models/encoder_decoder/modeling_encoder_decoder.py:116",
        "the parameters named are those of the pooler alone",
        source="the encoder is documented to be any model that `AutoModel` builds, and BERT's base model has a pooler by default",
        control_is="no setting of the configuration leaves the pooler out",
        mend_is="none is tried: no score would change",
    ),
    Judgement(
        "defect",
        "FSMT has no causal mask when it fills a cache, which it does by default",
        ("FSMTForConditionalGeneration",),
        ("one function, many doors", "long sentences", "several tokens a step"),
        "The mask of later target tokens is made where `use_cache` is False. It is True in the configuration, so a call with several target tokens "
        "and nothing else reads later ones; so does one that is given `encoder_outputs` in place of source ids, which the condition asks for as well, with or without a "
        "cache. A call with labels and source ids has the mask. Generation with a cache passes one token at a time; a decoder prompt, or "
        "generation without a cache, has no mask.",
        "models/fsmt/modeling_fsmt.py:857",
        "the same call with `use_cache=False` keeps every promise; with one new token a step the cache is exact; a comment at the head of the "
        "file says that the cache is not that of BART, and does not speak of the mask, while the documentation of `decoder_attention_mask` (line "
        "842) says that a causal mask is used by default",
        control_is="`use_cache=False` in the call, which all other proofs pass",
        mend=(
            Edit(
                f"{MODELS}.fsmt.modeling_fsmt",
                857,
                866,
                "        past = 0 if cache is None else cache.get_seq_length()\n"
                "        decoder_padding_mask, causal_mask = None, None\n"
                "        if input_ids is not None or decoder_input_ids is not None:\n"
                "            kind = self.decoder.embed_tokens.weight.dtype\n"
                "            decoder_input_ids, decoder_padding_mask, causal_mask = _prepare_fsmt_decoder_inputs(\n"
                "                self.config, input_ids, decoder_input_ids, decoder_attention_mask, kind\n"
                "            )\n"
                "            causal_mask = torch.cat((causal_mask.new_zeros(len(causal_mask), past), causal_mask), 1)\n"
                "            if past and decoder_attention_mask is None:\n"
                "                decoder_padding_mask = None",
                "952afc46b01b",
            ),
        ),
        mend_is="the masks are made for every call with target ids, and reach over the cache",
        report="transformers-fsmt-mask-with-cache",
    ),
)

NOT_TRIED: tuple[tuple[str, str], ...] = ()
