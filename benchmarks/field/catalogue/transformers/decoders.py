"""Decoder-only models of transformers, and why some of their cells fail."""

from __future__ import annotations

from benchmarks.field.entry import Edit, Entry, Judgement, hugging_face
from maskbench.model_audit.subject import ModelSubject

CLASSES = (
    "AXK1ForCausalLM",
    "AXK2ForCausalLM",
    "AfmoeForCausalLM",
    "Apertus1p5TextForCausalLM",
    "ApertusForCausalLM",
    "ArceeForCausalLM",
    "AriaTextForCausalLM",
    "AudioFlamingo3ForConditionalGeneration",
    "BailingHybridForCausalLM",
    "BambaForCausalLM",
    "BartForCausalLM",
    "BeamForCausalLM",
    "BertGenerationDecoder",
    "BertLMHeadModel",
    "BigBirdForCausalLM",
    "BigBirdPegasusForCausalLM",
    "BioGptForCausalLM",
    "BitNetForCausalLM",
    "BlenderbotForCausalLM",
    "BlenderbotSmallForCausalLM",
    "BloomForCausalLM",
    "CTRLLMHeadModel",
    "CamembertForCausalLM",
    "CodeGenForCausalLM",
    "Cohere2ForCausalLM",
    "Cohere2MoeForCausalLM",
    "CohereForCausalLM",
    "CwmForCausalLM",
    "Data2VecTextForCausalLM",
    "DbrxForCausalLM",
    "DeepseekV2ForCausalLM",
    "DeepseekV32ForCausalLM",
    "DeepseekV3ForCausalLM",
    "DeepseekV4ForCausalLM",
    "DiffLlamaForCausalLM",
    "DogeForCausalLM",
    "DoryForCausalLM",
    "Dots1ForCausalLM",
    "Dots3NoteForCausalLM",
    "ElectraForCausalLM",
    "Emu3ForCausalLM",
    "Ernie4_5ForCausalLM",
    "Ernie4_5_MoeForCausalLM",
    "ErnieForCausalLM",
    "Exaone4ForCausalLM",
    "ExaoneMoeForCausalLM",
    "FalconForCausalLM",
    "FalconH1ForCausalLM",
    "FalconMambaForCausalLM",
    "FlexOlmoForCausalLM",
    "FlintForCausalLM",
    "FuyuForCausalLM",
    "GPT2LMHeadModel",
    "GPTBigCodeForCausalLM",
    "GPTJForCausalLM",
    "GPTNeoForCausalLM",
    "GPTNeoXForCausalLM",
    "GPTNeoXJapaneseForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "Gemma4ForCausalLM",
    "Gemma4ForConditionalGeneration",
    "Gemma4UnifiedForCausalLM",
    "Gemma4UnifiedForConditionalGeneration",
    "GemmaForCausalLM",
    "GitForCausalLM",
    "Glm4ForCausalLM",
    "Glm4MoeForCausalLM",
    "Glm4MoeLiteForCausalLM",
    "GlmAsrForConditionalGeneration",
    "GlmForCausalLM",
    "GlmMoeDsaForCausalLM",
    "GotOcr2ForConditionalGeneration",
    "GptOssForCausalLM",
    "GraniteForCausalLM",
    "GraniteMoeForCausalLM",
    "GraniteMoeHybridForCausalLM",
    "GraniteMoeSWAForCausalLM",
    "GraniteMoeSharedForCausalLM",
    "GraniteSWAForCausalLM",
    "GraniteSpeechForConditionalGeneration",
    "GraniteSpeechPlusForConditionalGeneration",
    "HYV3ForCausalLM",
    "HYV4ForCausalLM",
    "HeliumForCausalLM",
    "HrmTextForCausalLM",
    "HunYuanDenseV1ForCausalLM",
    "HunYuanMoEV1ForCausalLM",
    "HyperCLOVAXForCausalLM",
    "Inkling2ForCausalLM",
    "InklingForCausalLM",
    "Jais2ForCausalLM",
    "JetMoeForCausalLM",
    "KimiLinearForCausalLM",
    "Kolibri1ForCausalLM",
    "LagunaForCausalLM",
    "LaraMiniForCausalLM",
    "Lfm2ForCausalLM",
    "Lfm2MoeForCausalLM",
    "Lfm3ForCausalLM",
    "Llama4ForCausalLM",
    "LlamaForCausalLM",
    "LongcatFlashForCausalLM",
    "MBartForCausalLM",
    "Mamba2ForCausalLM",
    "MambaForCausalLM",
    "MarianForCausalLM",
    "MegatronBertForCausalLM",
    "MellumForCausalLM",
    "MiMoV2FlashForCausalLM",
    "MiniCPM3ForCausalLM",
    "MiniMaxForCausalLM",
    "MiniMaxM2ForCausalLM",
    "MiniMaxM3VLForCausalLM",
    "Ministral3ForCausalLM",
    "MinistralForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "MllamaForCausalLM",
    "ModernBertDecoderForCausalLM",
    "MoshiForCausalLM",
    "MossTranscribeDiarizeForConditionalGeneration",
    "MptForCausalLM",
    "MvpForCausalLM",
    "NanoChatForCausalLM",
    "NemotronForCausalLM",
    "NemotronHForCausalLM",
    "OPTForCausalLM",
    "Olmo2ForCausalLM",
    "Olmo3ForCausalLM",
    "OlmoForCausalLM",
    "OlmoHybridForCausalLM",
    "OlmoeForCausalLM",
    "OmniASRForConditionalGeneration",
    "OpenAIGPTLMHeadModel",
    "PLBartForCausalLM",
    "PegasusForCausalLM",
    "PersimmonForCausalLM",
    "Phi3ForCausalLM",
    "Phi4MultimodalForCausalLM",
    "PhiForCausalLM",
    "PhimoeForCausalLM",
    "ProphetNetForCausalLM",
    "Qwen2AudioForConditionalGeneration",
    "Qwen2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen3ASRForConditionalGeneration",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3NextForCausalLM",
    "Qwen3_5ForCausalLM",
    "Qwen3_5MoeForCausalLM",
    "Qwen4ExpForCausalLM",
    "RecurrentGemmaForCausalLM",
    "ReformerModelWithLMHead",
    "RemBertForCausalLM",
    "RoCBertForCausalLM",
    "RoFormerForCausalLM",
    "RobertaForCausalLM",
    "RobertaPreLayerNormForCausalLM",
    "RwkvForCausalLM",
    "SeedOssForCausalLM",
    "SmolLM3ForCausalLM",
    "SolarOpenForCausalLM",
    "StableLmForCausalLM",
    "Starcoder2ForCausalLM",
    "TrOCRForCausalLM",
    "VaultGemmaForCausalLM",
    "VoxtralForConditionalGeneration",
    "WhisperForCausalLM",
    "XGLMForCausalLM",
    "XLMRobertaForCausalLM",
    "XLMRobertaXLForCausalLM",
    "XmodForCausalLM",
    "YoutuForCausalLM",
    "Zamba2ForCausalLM",
    "ZambaForCausalLM",
    "ZayaForCausalLM",
    "xLSTMForCausalLM",
)
"""Built as `hf:ClassName` builds them."""

TEXT = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
"""A small language model inside a model for sound."""
SOUND = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
"""A small encoder of sound."""
LISTENER = {**SOUND, "num_key_value_heads": 2, "max_position_embeddings": 64}
CODES = {
    "model_type": "vibevoice_acoustic_tokenizer_encoder",
    "hidden_size": 16,
    "num_filters": 4,
    "depths": [1, 1, 1],
    "downsampling_ratios": [2, 2],
}


def byte_latent_transformer() -> ModelSubject:
    """Return a small BLT that is called as its documentation calls it: without a cache."""
    from transformers import BltConfig, BltForCausalLM

    from maskbench.model_audit.adapters.hugging_face.causal import CausalLanguageModel

    class WithoutCache(CausalLanguageModel):
        has_step = False

        def generate(self, inputs: object, count: int) -> None:
            """Decode nothing: `generate` would use a cache."""

    sizes = {**SOUND, "max_position_embeddings": 64}
    local = {**sizes, "vocab_size": 60, "hidden_size_global": 32}
    config = BltConfig(
        vocab_size=60,
        max_position_embeddings=64,
        encoder_config=local,
        decoder_config=local,
        global_config=sizes,
        patcher_config={**sizes, "vocab_size": 60},
        encoder_hash_byte_group_vocab=50,
    )
    return WithoutCache(BltForCausalLM(config).eval(), left_padding=False)


gemma3n = hugging_face("Gemma3nForCausalLM", num_kv_shared_layers=0)
jamba = hugging_face("JambaForCausalLM", initializer_range=0.2)

ENTRIES: tuple[Entry, ...] = (
    *(Entry(name, "decoder", hugging_face(name)) for name in CLASSES),
    Entry(
        "BltForCausalLM",
        "decoder",
        byte_latent_transformer,
        limits="its documentation generates with `use_cache=False` (docs/source/en/model_doc/blt.md), so"
        " no cache is tried; hashes of groups of bytes read ids whatever the mask says, and nothing says"
        " that padding may stand on the left",
    ),
    Entry(
        "CohereCompassForCausalLM",
        "decoder",
        hugging_face(
            "CohereCompassForCausalLM",
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
            },
            eos_token_id=2,
        ),
    ),
    Entry("Gemma3nForCausalLM", "decoder", gemma3n),
    Entry(
        "Inkling2LoopForCausalLM",
        "decoder",
        hugging_face(
            "Inkling2LoopForCausalLM",
            num_hidden_layers=6,
            n_layers_per_attn_res_block=2,
            loop_layer_index_start=2,
            loop_layer_index_end=4,
            loop_num_passes=2,
        ),
    ),
    Entry("JambaForCausalLM", "decoder", jamba),
    Entry(
        "MusicFlamingoForConditionalGeneration",
        "decoder",
        hugging_face(
            "MusicFlamingoForConditionalGeneration",
            audio_config={**SOUND, "model_type": "audioflamingo3_encoder"},
            text_config={**TEXT, "model_type": "qwen2"},
        ),
    ),
    Entry(
        "Nemotron3_5TranscribeForConditionalGeneration",
        "decoder",
        hugging_face(
            "Nemotron3_5TranscribeForConditionalGeneration",
            audio_config={
                "asr_config": LISTENER,
                "diarization_config": {
                    "audio_config": LISTENER,
                    "head_config": {"hidden_size": 32, "audio_hidden_size": 32},
                    "streaming_config": {},
                },
            },
        ),
    ),
    Entry(
        "VibeVoiceAsrForConditionalGeneration",
        "decoder",
        hugging_face(
            "VibeVoiceAsrForConditionalGeneration",
            text_config={**TEXT, "model_type": "qwen2"},
            acoustic_tokenizer_encoder_config=CODES,
            semantic_tokenizer_encoder_config=CODES,
            audio_token_id=3,
            audio_bos_token_id=3,
            audio_eos_token_id=3,
        ),
    ),
)

MODELS = "transformers.models"


def scan_from_state(
    family: str, signature: int, zeros: tuple[int, int], call: tuple[int, str, str]
) -> tuple[Edit, ...]:
    """Return the edits with which the scan of a family begins at the state of its cache.

    Args:
        family: name of its module.
        signature: line of the last parameter of the scan.
        zeros: first and last line of the state of zeros.
        call: line and digest of an argument of the call, and the new one's value.
    """
    module = f"{MODELS}.{family}.modeling_{family}"
    line, was, state = call
    indent = " " * (20 if family == "zamba" else 16)
    return (
        Edit(module, signature, signature, "    initial_state=None,\n    **kwargs,", was="2ed4ad47e64a"),
        Edit(
            module,
            *zeros,
            "        ssm_state = initial_state\n"
            "        if ssm_state is None:\n"
            "            shape = (batch_size, intermediate_size, A.shape[-1])\n"
            "            ssm_state = torch.zeros(shape, dtype=input_dtype, device=hidden_states.device)",
            was="1cd862239096",
        ),
        Edit(
            module,
            line,
            line,
            f"{indent}return_last_state=output_final_state,\n{indent}initial_state={state},",
            was=was,
        ),
    )


JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "defect",
        "ProphetNet adds the relative position scores of other positions, heads and streams to its"
        " prediction stream",
        entries=("ProphetNetForCausalLM", "ProphetNetForConditionalGeneration"),
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
        cause="The scores of the relative positions are computed per batch row, stream, position, bucket"
        " and head. Before they are flattened, the axes are put in the order row, position, stream, head;"
        " the table of buckets and the result are in the order row, stream, head, position. So a query"
        " gets the scores of another position, head and stream. Which one depends on the length, and at a"
        " length of one on nothing: hence the difference to a cut, to other amounts of padding, to a row"
        " alone and to the cache. Some of the other positions are later ones, whose vectors hold later"
        " tokens from the second layer on: hence causality, gradients and large scores.",
        where="models/prophetnet/modeling_prophetnet.py:806",
        ruled_out="The finite number with which masked scores are filled: a mended order alone makes every"
        " proof hold, large scores as well. The table of buckets, which is cut from one of fixed length:"
        " it is the same for all lengths. Several new tokens with a cache are refused by an assertion, so"
        " that only a prompt with single steps was judged. Padding stood on the right alone, as the"
        " documentation advises.",
        control_is="no setting switches the scores of relative positions off",
        mend=(
            Edit(
                f"{MODELS}.prophetnet.modeling_prophetnet",
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
        "Mamba, FalconMamba, Jamba and Zamba forget the recurrent state when several tokens follow with a"
        " cache",
        entries=("MambaForCausalLM", "FalconMambaForCausalLM", "JambaForCausalLM", "ZambaForCausalLM"),
        proofs=("long sentences", "several tokens a step"),
        cause="A call with a cache and more than one token runs the scan over the whole input, and the"
        " scan begins at a state of zeros; the state of the cache is read only for a single token. The"
        " convolution does continue from the cache.",
        where="models/mamba/modeling_mamba.py:252, models/falcon_mamba/modeling_falcon_mamba.py:267,"
        " models/jamba/modeling_jamba.py:413, models/zamba/modeling_zamba.py:371",
        ruled_out="Wrong use: the documentation of `cache` in Mamba says that scores come out as if the"
        " tokens of the state stood before (modeling_mamba.py:771), and calls with one token do. A comment"
        " says that the kernels take no first state; the plain torch path, which ran, has no such limit."
        " Rounding: with the change the difference is 1e-15. Jamba's weights are drawn wider here"
        " (`initializer_range=0.2`), as with the default the state is so small that the difference, 1e-5"
        " against 6e-8 for single tokens, hides in the limit of float32.",
        control_is="no setting chooses another path: `use_mambapy` and `use_associative_scan` begin at"
        " zeros as well",
        mend=(
            *scan_from_state("mamba", 188, (252, 258), (471, "30e492c4c6ff", "recurrent_state")),
            *scan_from_state("falcon_mamba", 203, (267, 273), (509, "30e492c4c6ff", "recurrent_state")),
            *scan_from_state("jamba", 349, (413, 419), (611, "30e492c4c6ff", "recurrent_state")),
            *scan_from_state(
                "zamba",
                307,
                (371, 377),
                (596, "b6c60b449d97", "None if recurrent_state is None else recurrent_state[:, head_idx]"),
            ),
        ),
        mend_is="the scan in plain torch begins at the state of the cache",
        report="transformers-mamba-several-tokens-with-a-cache",
    ),
    Judgement(
        "defect",
        "Moshi's cache has a window that the mask of a whole pass has not",
        entries=("MoshiForCausalLM",),
        proofs=(
            "long sentences",
            "cached decoding",
            "several tokens a step",
            "prompts padded on the left",
            "generation",
        ),
        cause="The configuration has a `sliding_window`. The cache is made from the configuration and"
        " keeps that many positions less one; the mask is the plain causal one, so a whole pass reads"
        " everything before. From the position at which the window is full, the two are different models."
        " The defaults set the window and the longest position both to 3000, so only longer streams"
        " differ.",
        where="models/moshi/modeling_moshi.py:778, cache_utils.py:1972",
        ruled_out="A position beyond the table: positions are rotary, and the first difference stands"
        " exactly where the small model's window of 6 is full. Padding: it is there without padding.",
        control={"MoshiForCausalLM": hugging_face("MoshiForCausalLM", sliding_window=64)},
        control_is="a window longer than every sentence",
        mend=(
            Edit(
                f"{MODELS}.moshi.modeling_moshi",
                29,
                29,
                "from ...masking_utils import create_causal_mask, create_sliding_window_causal_mask",
                was="f23e52d980ca",
            ),
            Edit(
                f"{MODELS}.moshi.modeling_moshi",
                778,
                778,
                "        causal_mask = create_sliding_window_causal_mask(",
                was="48ca48aeb18c",
            ),
        ),
        mend_is="the mask of a whole pass has the window as well",
        report="transformers-moshi-window-of-the-cache",
    ),
    Judgement(
        "defect",
        "A BigBird decoder reads later tokens in its default attention, until a short sentence switches"
        " that off for good",
        entries=("BigBirdForCausalLM",),
        proofs=("long sentences", "no trace"),
        cause="The default `attention_type` is `block_sparse`, which is not causal. The class replaces it"
        " by full attention when the model has cross-attention or gets a cache, but not for a whole pass"
        " without a cache, such as one with labels. A sentence of at most (5 + 2 * num_random_blocks) *"
        " block_size tokens, 704 with the defaults, switches to full attention as well, and the model"
        " stays so: from then on long sentences are causal, and what a training pass computes depends on"
        " what was evaluated before.",
        where="models/big_bird/modeling_big_bird.py:1503, :1596, :1580",
        ruled_out="The configuration: `is_decoder=True` is set, as the class asks. The random blocks: they"
        " are drawn from a fixed seed, and a later token moves a prediction with the same blocks. A"
        " documented limit: the warning that a decoder must have full attention is given only with"
        " cross-attention, and the model's page lists the class without it.",
        control={"BigBirdForCausalLM": hugging_face("BigBirdForCausalLM", attention_type="original_full")},
        control_is='`attention_type="original_full"`',
        mend=(
            Edit(
                f"{MODELS}.big_bird.modeling_big_bird",
                1503,
                1503,
                '        if self.attention_type != "original_full" and (config.add_cross_attention or config.is_decoder):',
                was="64ba626cf712",
            ),
        ),
        mend_is="every decoder gets full attention when it is made, as those with cross-attention do",
        report="transformers-bigbird-decoder-attention",
    ),
    Judgement(
        "design effect",
        "BigBird's language model holds the pooler of its base model, which its scores do not need",
        entries=("BigBirdForCausalLM",),
        proofs=("every part works",),
        cause="The base model is built with its pooler, whose output the head of the language model does"
        " not take.",
        where="models/big_bird/modeling_big_bird.py:1994, :1496",
        source="`add_pooling_layer`, whether a pooling layer is added, is documented with default true"
        " (modeling_big_bird.py:1483), and `pooler_output` is a documented output of the base model",
        ruled_out="A lost part of the scores: the head is documented to read the hidden states alone.",
        control_is="no setting of the configuration leaves the pooler out",
        mend_is="none is tried: no score would change",
    ),
    Judgement(
        "defect",
        "RecurrentGemma's convolution begins anew when several tokens follow with a cache",
        entries=("RecurrentGemmaForCausalLM",),
        proofs=("long sentences", "several tokens a step"),
        cause="A recurrent block takes every call with more than one token for the beginning of a"
        " sentence: its convolution gets zeros instead of the three vectors that it kept, and what it kept"
        " is overwritten. The recurrence itself does continue.",
        where="models/recurrent_gemma/modeling_recurrent_gemma.py:444",
        ruled_out="Wrong use: `cache` and `use_cache` are arguments of the class; the cache is made by the"
        " caller here, as the class returns none, and single tokens after a prompt with the same cache"
        " give the scores of the whole pass. The original code (google-deepmind/recurrentgemma,"
        " torch/layers.py, `Conv1D`) joins any number of new vectors to its cache. Positions: they are"
        " given.",
        control={"RecurrentGemmaForCausalLM": hugging_face("RecurrentGemmaForCausalLM", conv1d_width=1)},
        control_is="a convolution of width 1, which keeps nothing and reads no neighbour",
        mend=(
            Edit(
                f"{MODELS}.recurrent_gemma.modeling_recurrent_gemma",
                445,
                446,
                "                before = self.conv1d_state * (position_ids[:, :1, None] != 0)\n"
                "                x_branch = torch.cat((before, x_branch), -1)\n"
                "                self.conv1d_state = x_branch[:, :, -before.shape[-1] :]\n"
                "                x_branch = nn.functional.conv1d(\n"
                "                    x_branch, self.conv_1d.weight, self.conv_1d.bias, groups=self.lru_width\n"
                "                )",
                was="4b27e528cf10",
            ),
        ),
        mend_is="the kept vectors are put before the new ones, unless these begin a sentence",
        report="transformers-recurrent-gemma-several-tokens-with-a-cache",
    ),
    Judgement(
        "design effect",
        "RecurrentGemma reads padding before a sentence",
        entries=("RecurrentGemmaForCausalLM",),
        proofs=("padding side",),
        cause="Recurrent blocks take no mask. The recurrence is reset at position 0, but the convolution"
        " of the first three tokens reads the padding before them.",
        where="models/recurrent_gemma/modeling_recurrent_gemma.py:446",
        source="the library's own test says that other scores with padding on the left are expected"
        " (tests/models/recurrent_gemma/test_modeling_recurrent_gemma.py,"
        " `test_left_padding_compatibility`)",
        ruled_out="Positions that count padding: they are given and begin at 0 with the first token."
        " Padding on the right is not read.",
        control={"RecurrentGemmaForCausalLM": hugging_face("RecurrentGemmaForCausalLM", conv1d_width=1)},
        control_is="a convolution of width 1, which keeps nothing and reads no neighbour",
        mend_is="none is tried: it is expected",
    ),
    Judgement(
        "defect",
        "RWKV mixes the rows of a batch in every step of one token",
        entries=("RwkvForCausalLM",),
        proofs=("long sentences", "cached decoding", "several tokens a step", "generation"),
        cause="For one token with a state, the previous vector is taken from the state as [batch, width]"
        " and combined with the new one, [batch, 1, width]. The result is [batch, batch, width]: every row"
        " is combined with the previous vector of every row, and a step returns as many positions as there"
        " are rows. It happens in the attention and in the feed-forward part.",
        where="models/rwkv/modeling_rwkv.py:251, :307",
        ruled_out="Wrong use: the state is the one that the model returned, and a batch of one row gives"
        " the scores of the whole pass. Padding: the class takes no notice of it and says so; rows of one"
        " length were used.",
        control_is="no setting chooses another path",
        mend=(
            Edit(
                f"{MODELS}.rwkv.modeling_rwkv",
                251,
                251,
                "            shifted = state[1][:, None, :, self.layer_id]",
                was="c4447aad1d88",
            ),
            Edit(
                f"{MODELS}.rwkv.modeling_rwkv",
                307,
                307,
                "            shifted = state[0][:, None, :, self.layer_id]",
                was="d76a7e1fe361",
            ),
        ),
        mend_is="the vector of the state gets an axis for its one position",
        report="transformers-rwkv-batch-in-steps",
    ),
    Judgement(
        "defect",
        "GIT shifts the mask of padding in a step with a cache when there was no image",
        entries=("GitForCausalLM",),
        proofs=("prompts padded on the left",),
        cause="In a step with a cache, the mask is made longer at its front by the number of patches of an"
        " image, whether the cache holds an image or not. Without one, the zeros of padding come to stand"
        " at other positions, and padding is read.",
        where="models/git/modeling_git.py:840",
        ruled_out="Wrong use: `pixel_values` may be left out, the mask has the length of padding, prompt"
        " and new token, and positions are given. With an image the same calls agree with the whole pass."
        " Without padding, text alone agrees as well.",
        control_is="no setting makes the number of patches 0",
        mend=(
            Edit(
                f"{MODELS}.git.modeling_git",
                843,
                845,
                "            cached_images = cache_length + embedding_output.shape[1] - attention_mask.shape[1]\n"
                "            extended_attention_mask = torch.ones(\n"
                "                (attention_mask.shape[0], cached_images),",
                was="c59c08b5e57c",
            ),
        ),
        mend_is="the mask is made longer by what the cache holds beyond it",
        report="transformers-git-padding-without-an-image",
    ),
    Judgement(
        "design effect",
        "Parts that read images or sound do not run on text",
        entries=(
            "GitForCausalLM",
            "GraniteSpeechForConditionalGeneration",
            "GraniteSpeechPlusForConditionalGeneration",
            "Nemotron3_5TranscribeForConditionalGeneration",
            "VibeVoiceAsrForConditionalGeneration",
        ),
        proofs=("every part works",),
        cause="The audit gives text alone. The parts are the encoders of images or sound, the maps from"
        " them to the language model, and the part that times words in sound.",
        where="models/git/modeling_git.py:816, models/granite_speech/modeling_granite_speech.py:364",
        source="`pixel_values` and `input_features` are optional arguments of these classes",
        ruled_out="A part that never runs at all: GIT's runs with an image.",
        control_is="none: the audit has no images and no sound",
        mend_is="none is needed",
    ),
    Judgement(
        "defect",
        "OpenAI GPT hides later tokens with -10000, which very low scores go below",
        entries=("OpenAIGPTLMHeadModel",),
        proofs=("large scores",),
        cause="Scores of later tokens are replaced by -10000. Where all scores that a query may read are"
        " near that or below, later tokens get weight.",
        where="models/openai/modeling_openai.py:71",
        ruled_out="Rounding: with the smallest number of the format instead, nothing moves. At the model's"
        " own scale nothing is read: the weights are multiplied by 1000 here, and a score below about"
        " -9000 is needed.",
        control_is="no setting chooses the number",
        mend=(
            Edit(
                f"{MODELS}.openai.modeling_openai",
                71,
                71,
                "        w = torch.where(b.bool(), w, torch.finfo(w.dtype).min)",
                was="e832301f0a9b",
            ),
        ),
        mend_is="later tokens get the smallest number of the format",
        report="transformers-openai-gpt-finite-mask",
    ),
    Judgement(
        "defect",
        "XGLM cannot be computed in float64",
        entries=("XGLMForCausalLM",),
        proofs=("no trace",),
        cause="Every layer compares its scores with the smallest number of their format, held in a tensor"
        " whose format is the default one. The smallest number of float64 does not fit into float32, and"
        " torch raises. The proof of a trace is the only one that runs the model in float64 exactly as it"
        " is; in float32 it holds.",
        where="models/xglm/modeling_xglm.py:213",
        ruled_out="The audit's own arithmetic: the model raises without it, in float64 alone.",
        control_is="no setting leaves the comparison out",
        mend=(
            Edit(
                f"{MODELS}.xglm.modeling_xglm",
                213,
                213,
                "                attn_weights, attn_weights.new_full((),"
                " torch.finfo(attn_weights.dtype).min)",
                was="1a6b695ad22e",
            ),
        ),
        mend_is="the tensor has the format of the scores",
        report="transformers-xglm-float64",
    ),
    Judgement(
        "design effect",
        "In a Reformer decoder, later tokens decide which earlier ones are in reach",
        entries=("ReformerModelWithLMHead",),
        proofs=("causality",),
        cause="LSH attention sorts all positions by the bucket of their hash and cuts the order into"
        " chunks; a query reads its chunk and the one before. Later tokens are hidden by the mask, but"
        " they take part in the sorting, and so decide which earlier tokens fall into the query's chunks.",
        where="models/reformer/modeling_reformer.py:936",
        source="LSH self attention in docs/source/en/model_doc/reformer.md, and Kitaev et al. 2020"
        " (arXiv:2001.04451), section 2",
        ruled_out="The random rotations: `hash_seed` fixes them, and pairs of calls have the same shape."
        " Buckets that were stored: no cache is used.",
        control={
            "ReformerModelWithLMHead": hugging_face("ReformerModelWithLMHead", attn_layers=["local", "local"])
        },
        control_is="local attention in all layers",
        mend_is="none is needed: it follows from the published algorithm",
    ),
    Judgement(
        "defect",
        "The bias of Reformer's head is not the one that its scores use",
        entries=("ReformerModelWithLMHead", "ReformerForMaskedLM"),
        proofs=("every part works",),
        cause="The head has a parameter `bias`, and its linear layer a bias of its own; only the latter is"
        " added. Until 4.57.1 the two were one tensor, saved as `lm_head.bias`. A model that 4.57.1 saved"
        " is loaded with that value in the unused parameter, and with zeros in the used one; the report of"
        " loading lists `lm_head.decoder.bias` as missing.",
        where="models/reformer/modeling_reformer.py:1829",
        ruled_out="A part that other inputs would use: no call reads it. The loss on loading was seen with"
        " a model saved by 4.57.1.",
        control_is="no setting chooses the bias",
        mend=(
            Edit(
                f"{MODELS}.reformer.modeling_reformer",
                1830,
                1830,
                "        self.bias = self.decoder.bias",
                was="496bfe0908ae",
            ),
        ),
        mend_is="the two are one tensor again",
        report="transformers-reformer-bias-of-the-head",
    ),
    Judgement(
        "defect",
        "The gradient in Gemma 3n's vectors of padding is no number",
        entries=("Gemma3nForCausalLM",),
        proofs=("padding gradients",),
        cause="The root mean square of the tokens' vectors is taken as a power of 0.5 of the mean of the"
        " squares. At a vector of zeros, such as that of padding in a new model, its derivative is"
        " infinite, and times zero that is NaN. The second root in the same function has a least value"
        " under it.",
        where="models/gemma3n/modeling_gemma3n.py:1682",
        ruled_out="Gradients of weights: all are finite, as the table's row of padding takes no gradient."
        " It concerns whoever needs the gradient in the vectors themselves. A model whose vector of"
        " padding is not zero has finite gradients.",
        control={
            "Gemma3nForCausalLM": hugging_face(
                "Gemma3nForCausalLM", num_kv_shared_layers=0, pad_token_id=None
            )
        },
        control_is="no padding id, so that no vector is zero",
        mend=(
            Edit(
                f"{MODELS}.gemma3n.modeling_gemma3n",
                1682,
                1682,
                "        target_magnitude = torch.sqrt(\n"
                "            torch.mean(hidden_states_0**2, dim=-1, keepdim=True).clamp(min=1e-20)\n"
                "        )",
                was="fca95a321618",
            ),
        ),
        mend_is="the mean has a least value under the root",
        report="transformers-gemma3n-gradient-of-padding",
    ),
    Judgement(
        "design effect",
        "Gemma 3n needs ids, or its per-layer inputs, beside vectors of tokens",
        entries=("Gemma3nForCausalLM",),
        proofs=("one function, many doors",),
        cause="Every layer has an embedding of the ids of its own. With `inputs_embeds` alone it is left"
        " out.",
        where="models/gemma3n/modeling_gemma3n.py:1763",
        source="the documentation of `per_layer_inputs` says that this part is then omitted"
        " (modeling_gemma3n.py:2017)",
        ruled_out="The vectors: they are those of the model's own table for the same ids.",
        control_is="none: the audit passes vectors alone",
        mend_is="none is needed: it is documented",
    ),
)

NOT_TRIED: tuple[tuple[str, str], ...] = (
    (
        "Gemma3nForConditionalGeneration",
        "its encoder of images needs the package timm; its language model is Gemma3nForCausalLM",
    ),
    (
        "VoxtralRealtimeForConditionalGeneration",
        "it does not take text alone: a call needs `input_features` or `encoder_inputs_embeds`",
    ),
    ("MusicgenForCausalLM", "it takes codes of sound, several for every position, and no text"),
    ("MusicgenMelodyForCausalLM", "it takes codes of sound, several for every position, and no text"),
)
