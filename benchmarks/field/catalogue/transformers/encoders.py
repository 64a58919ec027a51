"""Encoder-only models of transformers, and why some of their cells fail."""

from __future__ import annotations

from benchmarks.field.catalogue.transformers.decoders import MODELS
from benchmarks.field.entry import Edit, Entry, Judgement, hugging_face

CLASSES = (
    "AlbertForMaskedLM",
    "BertForMaskedLM",
    "BigBirdForMaskedLM",
    "CamembertForMaskedLM",
    "ConvBertForMaskedLM",
    "CpmAntForCausalLM",
    "Data2VecTextForMaskedLM",
    "DebertaForMaskedLM",
    "DebertaV2ForMaskedLM",
    "DistilBertForMaskedLM",
    "ElectraForMaskedLM",
    "ErnieForMaskedLM",
    "EsmForMaskedLM",
    "EsmcForMaskedLM",
    "EuroBertForMaskedLM",
    "FNetForMaskedLM",
    "FlaubertWithLMHeadModel",
    "FunnelForMaskedLM",
    "GteForMaskedLM",
    "IBertForMaskedLM",
    "JinaEmbeddingsV3ForMaskedLM",
    "LayoutLMForMaskedLM",
    "LongformerForMaskedLM",
    "LukeForMaskedLM",
    "MPNetForMaskedLM",
    "MegatronBertForMaskedLM",
    "MobileBertForMaskedLM",
    "ModernBertForMaskedLM",
    "ModernVBertForMaskedLM",
    "MraForMaskedLM",
    "NeoMMEForMaskedLM",
    "NomicBertForMaskedLM",
    "NystromformerForMaskedLM",
    "ReformerForMaskedLM",
    "RemBertForMaskedLM",
    "RoCBertForMaskedLM",
    "RoFormerForMaskedLM",
    "RobertaForMaskedLM",
    "RobertaPreLayerNormForMaskedLM",
    "SqueezeBertForMaskedLM",
    "TapasForMaskedLM",
    "UltraVBertForMaskedLM",
    "UltrabertForMaskedLM",
    "XLMRobertaForMaskedLM",
    "XLMRobertaXLForMaskedLM",
    "XLMWithLMHeadModel",
    "XLNetLMHeadModel",
    "XmodForMaskedLM",
    "YosoForMaskedLM",
)
"""Built as `hf:ClassName` builds them."""

LIMITS = {
    "FNetForMaskedLM": "it takes no attention mask: its documentation says that it was trained without one, padding included, and advises"
    " inputs of 512 tokens (docs/source/en/model_doc/fnet.md), so padding is not asked",
}

ENTRIES: tuple[Entry, ...] = (
    *(Entry(name, "encoder", hugging_face(name), limits=LIMITS.get(name, "")) for name in CLASSES),
)

PADDING = ("long sentences", "padding content", "padding amount", "padding gradients", "alone")

JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "design effect",
        "Language models of encoders hold the pooler of their base model, which their scores do not need",
        (
            "BigBirdForMaskedLM",
            "FNetForMaskedLM",
            "LayoutLMForMaskedLM",
            "LukeForMaskedLM",
            "SqueezeBertForMaskedLM",
        ),
        ("every part works",),
        "The base model is built with its pooler, whose output the head of the language model does not take. Other classes, such as "
        "BERT's, leave it out.",
        "models/big_bird/modeling_big_bird.py:1881, models/fnet/modeling_fnet.py:612, models/layoutlm/modeling_layoutlm.py:537, "
        "models/luke/modeling_luke.py:1027, models/squeezebert/modeling_squeezebert.py:511",
        "the parameters named are those of the pooler alone; all other parts have a gradient",
        source="the pooler's output is a documented output of the base model, and the head is documented to read the hidden states",
        control_is="no setting of the configuration leaves the pooler out",
        mend_is="none is tried: no score would change",
    ),
    Judgement(
        "design effect",
        "BigBird's encoder switches its attention to full for a short sentence, and stays so",
        ("BigBirdForMaskedLM",),
        ("long sentences", "no trace"),
        "A batch that is padded to at most (5 + 2 * num_random_blocks) * block_size columns cannot be cut into blocks, and the model sets full "
        "attention on itself, for good. So a short sentence has other scores alone than beside a long one, and later passes of long "
        "sentences differ from those before.",
        "models/big_bird/modeling_big_bird.py:1580",
        "evaluation, in which no random blocks are drawn; float64; in training they are drawn from a fixed seed; with full attention from the "
        "start nothing differs",
        source="the warning that the model gives when it switches says that the attention type is changed; docs/source/en/model_doc/big_bird.md "
        "advises full attention below 1024 tokens. That it stays so is not written there (huggingface/transformers issue 20031 reports it)",
        control={"BigBirdForMaskedLM": hugging_face("BigBirdForMaskedLM", attention_type="original_full")},
        control_is='`attention_type="original_full"`',
        mend_is="none is tried: it is announced",
    ),
    Judgement(
        "design effect",
        "ConvBERT's convolutions read the padding beside the last tokens",
        ("ConvBertForMaskedLM",),
        (*PADDING, "large scores"),
        "Half of each layer is a convolution over neighbouring positions, with kernels made from the queries and another convolution over the "
        "hidden states. Neither has a mask, so the last tokens of a row read the padding that follows them, up to half a kernel away in each.",
        "models/convbert/modeling_convbert.py:208",
        "the mask is passed, and the attention heads keep it; a kernel of one position reads no neighbour and every proof holds",
        source="Jiang et al. 2020, ConvBERT (arXiv:2008.02496): span-based dynamic convolution; `attention_mask` is documented for "
        "attention alone. The authors' code has no mask in either convolution (github.com/yitu-opensource/ConvBert, model/modeling.py:930-985). "
        "That padding is read is not written anywhere",
        control={"ConvBertForMaskedLM": hugging_face("ConvBertForMaskedLM", conv_kernel_size=1)},
        control_is="`conv_kernel_size=1`",
        mend_is="none is tried: published weights were trained so",
    ),
    Judgement(
        "defect",
        "Nystromformer's convolution of values reads padding, which its authors' code hides from it",
        ("NystromformerForMaskedLM",),
        (*PADDING, "large scores"),
        "A convolution over neighbouring positions of the values is added to the attention. The attention has the mask, the convolution "
        "has not, so tokens read padding up to half a kernel away: 32 positions a layer at the default kernel of 65.",
        "models/nystromformer/modeling_nystromformer.py:212",
        "the mask is passed, and the attention keeps it; with a convolution of one position every proof holds; training with padding that "
        "is read: the authors' code (github.com/mlpen/Nystromformer, code/attention_nystrom.py) multiplies the values by the mask before "
        "this convolution, as YOSO does in this library (modeling_yoso.py:348)",
        control={"NystromformerForMaskedLM": hugging_face("NystromformerForMaskedLM", conv_kernel_size=1)},
        control_is="`conv_kernel_size=1`, a convolution of one position",
        mend=(
            Edit(
                f"{MODELS}.nystromformer.modeling_nystromformer",
                212,
                212,
                "            real = 1 if attention_mask is None else (attention_mask[:, :, -1:] == 0).transpose(-1, -2)\n"
                "            context_layer += self.conv(value_layer * real)",
                "04018fa17fb1",
            ),
        ),
        mend_is="the values of padding are 0 before the convolution",
        report="transformers-nystromformer-convolution",
    ),
    Judgement(
        "design effect",
        "MobileBERT's input joins the vectors of three neighbours, padding included",
        ("MobileBertForMaskedLM",),
        ("padding content", "padding gradients", "padding amount", "alone", "long sentences"),
        "The vector of a token is made from its own word and those on both sides. The last token's right neighbour is the word in the padding.",
        "models/mobilebert/modeling_mobilebert.py:121",
        "a row alone has zeros there, as the vector of the padding id is zero in a new model: only other words in the padding show it",
        source="`trigram_input` in the configuration: a convolution of trigrams as input",
        control={
            "MobileBertForMaskedLM": hugging_face(
                "MobileBertForMaskedLM", trigram_input=False, embedding_size=16
            )
        },
        control_is="`trigram_input=False`",
        mend_is="none is tried: it is documented",
    ),
    Judgement(
        "design effect",
        "Funnel pools neighbouring positions, padding included",
        ("FunnelForMaskedLM",),
        PADDING,
        "Between blocks the vectors of two neighbours are averaged. A last token and the padding beside it become one position, whose "
        "vector is added back to the token.",
        "models/funnel/modeling_funnel.py:277",
        "the mask is passed and kept in attention; with one block, and so without pooling, all these proofs hold; with two, words in padding "
        "move nothing at lengths where no pooled pair holds both a token and padding, and move scores at all others",
        source="Dai et al. 2020 (arXiv:2006.03236): strided mean pooling between blocks",
        control={"FunnelForMaskedLM": hugging_face("FunnelForMaskedLM", block_sizes=[2])},
        control_is="one block of two layers, so that nothing is pooled",
        mend_is="none is tried: pooling over neighbours is the model",
    ),
    Judgement(
        "defect",
        "YOSO's attention mask hides nothing",
        ("YosoForMaskedLM",),
        PADDING,
        "The attention expects a mask of 0 and -10000: it divides by 10000, adds 1 and cuts to whole numbers. The model hands it the mask "
        "of zeros and ones as the user gave it, so both become 1 and padding is attended to.",
        "models/yoso/modeling_yoso.py:356",
        "the estimate by hashing: `use_expectation` is True by default, and nothing is drawn in evaluation; the convolution: it is given "
        "the mask, and is off in the small model",
        control_is="no setting chooses another mask",
        mend=(
            Edit(
                f"{MODELS}.yoso.modeling_yoso",
                356,
                356,
                "        # zeros and ones already",
                "fb8fa3208e2c",
            ),
        ),
        mend_is="the line that changes the mask goes",
        report="transformers-yoso-mask",
    ),
    Judgement(
        "defect",
        "ESM leaves positions and the norm out when it gets vectors instead of ids",
        ("EsmForMaskedLM", "EncoderDecoderModel ESM + GPT-2"),
        ("one function, many doors",),
        "The embedding layer, which adds positions, scales and normalises, is called for `input_ids` alone. With `inputs_embeds` the vectors go "
        "to the first layer as they are.",
        "models/esm/modeling_esm.py:706",
        "the vectors are those of the model's own table for the same ids; the documentation of `inputs_embeds` says that they stand in place "
        "of ids, and other classes add positions to them; a choice: 4.52.4 passed the vectors to the embedding layer, which still takes them",
        control_is="no setting chooses another path",
        mend=(
            Edit(
                f"{MODELS}.esm.modeling_esm",
                706,
                713,
                "        inputs_embeds = self.embeddings(\n"
                "            input_ids=input_ids,\n"
                "            inputs_embeds=inputs_embeds,\n"
                "            attention_mask=attention_mask,\n"
                "            position_ids=position_ids,\n"
                "        )",
                "50eb19cdfd95",
            ),
        ),
        mend_is="the embedding layer is called in both cases, and given the vectors",
        report="transformers-esm-vectors",
    ),
    Judgement(
        "defect",
        "MRA's attention is zero on a CPU, without a word",
        ("MraForMaskedLM",),
        ("every part works",),
        "Where the CUDA kernel is not loaded, the function of attention returns zeros. The model runs, queries, keys and values have no effect, and "
        "neither an error nor a warning says so.",
        "models/mra/modeling_mra.py:363",
        "all parameters that are named belong to queries, keys and values; a GPU was not to be had, so the kernel itself was not tried",
        control_is="none on a CPU: the other path needs the kernel",
        mend_is="none is tried: the kernel needs a CUDA device; an error in place of the zeros would say so",
        report="transformers-mra-without-kernel",
    ),
)

NOT_TRIED: tuple[tuple[str, str], ...] = (
    (
        "PerceiverForMaskedLM",
        "it gives scores at `max_position_embeddings` positions, whatever the length of the input; that setting fits one length alone, and"
        " proofs ask several",
    ),
)
