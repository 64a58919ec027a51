"""Settings of models of transformers that change attention, masks, positions, routing or cache, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.field.catalogue.transformers.decoders import scan_from_state
from benchmarks.field.entry import Edit, Entry, Group, Judgement, hugging_face
from maskbench.model_audit.subject import ModelSubject


def setting(
    group: Group, cls: str, /, beside: Mapping[str, Any] | None = None, limits: str = "", **shown: Any
) -> Entry:
    """Return the entry of a class with a setting.

    Args:
        group: its table.
        cls: its class.
        beside: further settings, which the setting needs and the name does not tell.
        limits: see `Entry`.
        shown: the setting.
    """
    name = ", ".join(f"{key}={_text(value)}" for key, value in shown.items())
    return Entry(f"{cls} {name}", group, hugging_face(cls, **(beside or {}), **shown), limits)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "/".join(_text(found) for found in value.values())
    return "+".join(map(_text, value)) if isinstance(value, list) else str(value)


def eager(group: Group, cls: str) -> Entry:
    """Return the entry of a class with attention in plain torch operations instead of torch's own kernel."""

    def build() -> ModelSubject:
        import torch

        from maskbench.model_audit.adapters.hugging_face.build import build_small
        from maskbench.model_audit.target import subject_for

        model: Any = build_small(cls, {}, seed=torch.initial_seed())[0]
        model.set_attn_implementation("eager")
        return subject_for(model)

    return Entry(f"{cls} attn_implementation=eager", group, build)


ROPE = {"rope_theta": 10000.0}

ENTRIES: tuple[Entry, ...] = (
    setting(
        "encoder-decoder",
        "SwitchTransformersForConditionalGeneration",
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        expert_capacity=2,
    ),
    setting(
        "encoder-decoder",
        "SwitchTransformersForConditionalGeneration",
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        expert_capacity=64,
    ),
    setting(
        "encoder-decoder",
        "NllbMoeForConditionalGeneration",
        encoder_sparse_step=1,
        decoder_sparse_step=1,
    ),
    setting(
        "encoder-decoder",
        "NllbMoeForConditionalGeneration",
        {"encoder_sparse_step": 1, "decoder_sparse_step": 1},
        moe_eval_capacity_token_fraction=0.3,
    ),
    setting(
        "encoder-decoder",
        "NllbMoeForConditionalGeneration",
        {"encoder_sparse_step": 1, "decoder_sparse_step": 1},
        batch_prioritized_routing=True,
    ),
    setting("encoder-decoder", "LongT5ForConditionalGeneration", encoder_attention_type="transient-global"),
    setting("encoder-decoder", "LongT5ForConditionalGeneration", feed_forward_proj="gated-gelu"),
    setting("encoder-decoder", "BigBirdPegasusForConditionalGeneration", attention_type="original_full"),
    setting("encoder-decoder", "LEDForConditionalGeneration", attention_window=[4, 4]),
    setting("encoder-decoder", "T5ForConditionalGeneration", feed_forward_proj="gated-gelu"),
    setting(
        "encoder-decoder",
        "T5ForConditionalGeneration",
        relative_attention_num_buckets=4,
        relative_attention_max_distance=8,
    ),
    eager("encoder-decoder", "T5ForConditionalGeneration"),
    setting("encoder-decoder", "MvpForConditionalGeneration", use_prompt=True),
    setting("encoder-decoder", "PegasusXForConditionalGeneration", stagger_local_blocks=False),
    setting("encoder-decoder", "PegasusXForConditionalGeneration", num_global_tokens=1),
    setting("encoder-decoder", "M2M100ForConditionalGeneration", scale_embedding=False),
    setting("encoder-decoder", "MarianMTModel", share_encoder_decoder_embeddings=False),
    setting("encoder-decoder", "ProphetNetForConditionalGeneration", ngram=1),
    setting("encoder-decoder", "ProphetNetForConditionalGeneration", num_buckets=4, relative_max_distance=8),
    setting("encoder-decoder", "BartForConditionalGeneration", scale_embedding=True),
    eager("encoder-decoder", "BartForConditionalGeneration"),
    eager("encoder", "BertForMaskedLM"),
    setting("encoder", "EsmForMaskedLM", position_embedding_type="rotary"),
    setting("encoder", "EsmForMaskedLM", position_embedding_type="relative_key"),
    setting("encoder", "EsmForMaskedLM", position_embedding_type="relative_key_query"),
    setting("encoder", "BigBirdForMaskedLM", attention_type="original_full"),
    setting("encoder", "LongformerForMaskedLM", attention_window=[4, 4]),
    setting("encoder", "DebertaForMaskedLM", {"relative_attention": True}, pos_att_type=["c2p", "p2c"]),
    setting("encoder", "DebertaForMaskedLM", {"relative_attention": True}, pos_att_type=["c2p"]),
    setting("encoder", "DebertaV2ForMaskedLM", {"relative_attention": True}, pos_att_type=["c2p", "p2c"]),
    setting("encoder", "AlbertForMaskedLM", num_hidden_groups=2, inner_group_num=2),
    setting("encoder", "FunnelForMaskedLM", block_sizes=[2]),
    setting("encoder", "FunnelForMaskedLM", attention_type="factorized"),
    setting("encoder", "FunnelForMaskedLM", pool_q_only=False),
    setting("encoder", "FunnelForMaskedLM", separate_cls=False),
    setting("encoder", "XLNetLMHeadModel", clamp_len=3),
    setting("encoder", "RoFormerForMaskedLM", rotary_value=True),
    setting("encoder", "MobileBertForMaskedLM", {"embedding_size": 16}, trigram_input=False),
    setting("encoder", "ModernBertForMaskedLM", local_attention=4),
    setting("encoder", "ReformerForMaskedLM", attn_layers=["lsh", "lsh"]),
    setting("encoder", "ReformerForMaskedLM", attn_layers=["local", "local"]),
    setting("decoder", "ReformerModelWithLMHead", attn_layers=["lsh", "lsh"]),
    setting("decoder", "ReformerModelWithLMHead", attn_layers=["local", "local"]),
    setting("decoder", "ReformerModelWithLMHead", num_hashes=2),
    setting("decoder", "BigBirdForCausalLM", attention_type="original_full"),
    setting("decoder", "BloomForCausalLM", apply_residual_connection_post_layernorm=True),
    setting("decoder", "FalconForCausalLM", alibi=True),
    setting("decoder", "FalconForCausalLM", {"num_kv_heads": 2}, new_decoder_architecture=True),
    setting("decoder", "FalconForCausalLM", multi_query=False),
    setting("decoder", "FalconForCausalLM", parallel_attn=False),
    setting("decoder", "MptForCausalLM", attn_config={"alibi": False}),
    setting("decoder", "GPTNeoXForCausalLM", use_parallel_residual=False),
    setting("decoder", "GPTBigCodeForCausalLM", multi_query=False),
    setting("decoder", "GPTNeoForCausalLM", attention_types=[[["local"], 2]]),
    setting("decoder", "GPT2LMHeadModel", reorder_and_upcast_attn=True),
    setting("decoder", "OPTForCausalLM", do_layer_norm_before=False),
    setting(
        "decoder", "Qwen2ForCausalLM", {"max_window_layers": 1, "sliding_window": 6}, use_sliding_window=True
    ),
    setting("decoder", "Gemma2ForCausalLM", sliding_window=3),
    setting("decoder", "Gemma3ForCausalLM", sliding_window=3),
    setting(
        "decoder",
        "Gemma3ForCausalLM",
        layer_types=["sliding_attention", "full_attention"],
    ),
    setting("decoder", "MixtralForCausalLM", num_experts_per_tok=1),
    setting("decoder", "MixtralForCausalLM", sliding_window=4),
    setting("decoder", "Mamba2ForCausalLM", chunk_size=16),
    setting("decoder", "Mamba2ForCausalLM", n_groups=2),
    setting("decoder", "MambaForCausalLM", use_mambapy=True),
    setting("decoder", "JambaForCausalLM", {"initializer_range": 0.2}, attn_layer_offset=0),
    setting("decoder", "Zamba2ForCausalLM", use_mem_rope=True),
    setting("decoder", "BambaForCausalLM", attn_layer_indices=[0]),
    setting("decoder", "RecurrentGemmaForCausalLM", block_types=["attention"]),
    setting(
        "decoder",
        "LlamaForCausalLM",
        {"max_position_embeddings": 16},
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, **ROPE},
    ),
    setting("decoder", "LlamaForCausalLM", rope_parameters={"rope_type": "linear", "factor": 2.0, **ROPE}),
    setting("decoder", "LlamaForCausalLM", rope_parameters={"rope_type": "yarn", "factor": 2.0, **ROPE}),
    eager("decoder", "LlamaForCausalLM"),
    eager("decoder", "GptOssForCausalLM"),
)

SWITCH = "SwitchTransformersForConditionalGeneration"
NLLB = "NllbMoeForConditionalGeneration"
FUNNEL = "FunnelForMaskedLM"
MODELS = "transformers.models"
NLLB_MODULE = f"{MODELS}.nllb_moe.modeling_nllb_moe"
SPARSE = {"num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
SWITCH_FULL, SWITCH_ROOM = (
    f"{SWITCH} num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, expert_capacity={room}"
    for room in (2, 64)
)
NLLB_SPARSE = f"{NLLB} encoder_sparse_step=1, decoder_sparse_step=1"
NLLB_PART = f"{NLLB} moe_eval_capacity_token_fraction=0.3"
NLLB_BY_RANK = f"{NLLB} batch_prioritized_routing=True"
NLLB_ALL = (NLLB_SPARSE, NLLB_PART, NLLB_BY_RANK)
NLLB_STEPS: Mapping[str, Any] = {"encoder_sparse_step": 1, "decoder_sparse_step": 1}
NLLB_BESIDE: Mapping[str, Mapping[str, Any]] = {
    NLLB_SPARSE: {},
    NLLB_PART: {},
    NLLB_BY_RANK: {"batch_prioritized_routing": True},
}
POOLED = tuple(
    f"{FUNNEL} {shown}" for shown in ("attention_type=factorized", "pool_q_only=False", "separate_cls=False")
)
PROPHETNET = tuple(
    f"ProphetNetForConditionalGeneration {shown}"
    for shown in ("ngram=1", "num_buckets=4, relative_max_distance=8")
)
REFORMER_LAYERS = ("lsh+lsh", "local+local")
REFORMER_DECODERS = tuple(
    f"ReformerModelWithLMHead {shown}"
    for shown in (*(f"attn_layers={layers}" for layers in REFORMER_LAYERS), "num_hashes=2")
)
REFORMER_ENCODERS = tuple(f"ReformerForMaskedLM attn_layers={layers}" for layers in REFORMER_LAYERS)

JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "design effect",
        "A Switch expert takes a number of tokens of every call, and a step with a cache is a call of its own",
        entries=(SWITCH_FULL,),
        proofs=("long sentences", "cached decoding", "several tokens a step"),
        cause="A token whose expert has already taken `expert_capacity` tokens of the same row in the same call gets nothing from"
        " the layer. A step with a cache counts its own tokens alone, so tokens that a whole pass leaves out are taken.",
        where="models/switch_transformers/modeling_switch_transformers.py:107",
        source="the router's documentation says that no token is sure to be processed by an expert"
        " (modeling_switch_transformers.py:59); Fedus et al. 2021 (arXiv:2101.03961), section 2.2",
        ruled_out="Rounding and near ties of the router: with a larger capacity all three proofs hold. Padding: later tokens do not"
        " take the place of earlier ones, as a row's tokens are counted from its beginning.",
        control={SWITCH_FULL: hugging_face(SWITCH, **SPARSE, expert_capacity=100)},
        control_is="a capacity larger than every sentence",
        mend_is="none is needed: it follows from the published algorithm",
    ),
    Judgement(
        "design effect",
        "Which draw of dropout a token of Switch gets depends on how other tokens are routed",
        entries=(SWITCH_ROOM,),
        proofs=("causality", "padding content", "batch mates"),
        cause="In training, every expert draws its dropout for its own tokens, one expert after another. Another token that"
        " goes to another expert moves the others to other draws. In evaluation nothing moves.",
        where="models/switch_transformers/modeling_switch_transformers.py:141, :169",
        source="dropout inside the experts: Fedus et al. 2021 (arXiv:2101.03961), section 2.4 (expert dropout)",
        ruled_out="A leak: with `dropout_rate=0` the training pass holds, with the noise of the router left on. The audit does not"
        " compare training passes that draw more or fewer numbers; here the number of draws is the same and only their order"
        " differs, which it does not notice.",
        control={SWITCH_ROOM: hugging_face(SWITCH, **SPARSE, expert_capacity=64, dropout_rate=0.0)},
        control_is="`dropout_rate=0`",
        mend_is="none is needed: dropout is random",
    ),
    Judgement(
        "defect",
        "NLLB-MoE sends every token to its first two experts, whatever its router chose",
        entries=NLLB_ALL,
        proofs=("every part works",),
        cause="The experts take the router's mask, one row of zeros and ones for every token, for indices of experts and make it"
        " one-hot. So the value 1 is read as expert 1 and the value 0 as expert 0: expert 1 gets every token with the weight"
        " of its first choice, expert 0 with that of its second choice. All further experts never run.",
        where="models/nllb_moe/modeling_nllb_moe.py:353, :383",
        ruled_out="Chance: with four experts and random weights the router chooses each of them, and with the change all of them run."
        " 4.57.1 selects the tokens of each expert by the router's mask (modeling_nllb_moe.py:458 there). Capacity: it"
        " is as large as the number of tokens in evaluation.",
        control_is="no setting chooses another path",
        mend=(
            Edit(
                NLLB_MODULE,
                353,
                353,
                "        expert_mask = (router_probs != 0).t()[:, None]",
                was="45cffd97b639",
            ),
            Edit(
                NLLB_MODULE,
                359,
                359,
                '            of_expert = self[f"expert_{expert_idx[0]}"](current_state)\n'
                "            current_hidden_states = of_expert * router_probs[top_x, expert_idx, None]",
                was="37d1f530c1d0",
            ),
        ),
        mend_is="tokens go to the experts for which the router gave them a weight, with that weight",
        report="transformers-nllb-moe-experts",
    ),
    Judgement(
        "defect",
        "NLLB-MoE takes the mask of other rows for padding in steps with a cache",
        entries=(NLLB_SPARSE, NLLB_BY_RANK),
        proofs=("long sentences", "several tokens a step"),
        cause="The decoder gives its mask of attention to the router, which needs a mask of the new tokens. The last line of the"
        " mask, one for each row and as long as the cache and the new tokens together, is flattened over the rows, and its end"
        " is cut out. With a cache this end holds the last rows alone, so that padding of one row leaves tokens of others"
        " without an expert.",
        where="models/nllb_moe/modeling_nllb_moe.py:246, :634",
        ruled_out="Capacity: in evaluation it is the number of tokens, so nothing is left out. Prompts without padding agree. With"
        " `router_ignore_padding_tokens=True` the mask is not read and all steps agree. The wrong choice of experts (see"
        " there) is the same in a whole pass and in steps.",
        control={
            name: hugging_face(NLLB, **NLLB_STEPS, **beside, router_ignore_padding_tokens=True)
            for name, beside in NLLB_BESIDE.items()
            if name != NLLB_PART
        },
        control_is="`router_ignore_padding_tokens=True`",
        mend=(
            Edit(
                NLLB_MODULE,
                246,
                246,
                "                new = nb_tokens // padding_mask.shape[0]\n"
                "                padding_mask = padding_mask[:, 0, -1, -new:].reshape(-1)",
                was="dff682a03379",
            ),
        ),
        mend_is="the new tokens are cut out of the mask before the rows are joined",
        report="transformers-nllb-moe-padding-in-steps",
    ),
    Judgement(
        "defect",
        "An evaluation of NLLB-MoE replaces the capacity that training uses",
        entries=NLLB_ALL,
        proofs=("no trace",),
        cause="In evaluation the router writes the capacity that it works out from the number of tokens into the attribute that"
        " holds the setting `expert_capacity`. A training pass reads the attribute only, and so uses the capacity of the last"
        " evaluated batch.",
        where="models/nllb_moe/modeling_nllb_moe.py:272",
        ruled_out="Random draws: generators start at the same seed. With the change the two training passes are equal to the last bit.",
        control={
            name: hugging_face(NLLB, **NLLB_STEPS, **beside, moe_eval_capacity_token_fraction=-1.0)
            for name, beside in NLLB_BESIDE.items()
        },
        control_is="a negative `moe_eval_capacity_token_fraction`: evaluation uses the capacity of training",
        mend=(
            Edit(
                NLLB_MODULE,
                272,
                279,
                "            expert_capacity = math.ceil(self.moe_eval_capacity_token_fraction * nb_tokens)\n"
                "        else:\n"
                "            capacity = 2 * math.ceil(nb_tokens / self.num_experts)\n"
                "            expert_capacity = capacity if self.expert_capacity is None else self.expert_capacity\n"
                "\n"
                "        top_1_mask = top_1_mask * torch.lt(locations1, expert_capacity)\n"
                "        top_2_mask = top_2_mask * torch.lt(locations2, expert_capacity)",
                was="21eb5b11b694",
            ),
        ),
        mend_is="the capacity of a pass is kept in a variable of that pass",
        report="transformers-nllb-moe-capacity-after-evaluation",
    ),
    Judgement(
        "design effect",
        "The experts of NLLB-MoE take a number of tokens of the whole batch",
        entries=NLLB_ALL,
        proofs=(
            "causality",
            "truncation",
            "long sentences",
            "padding amount",
            "batch mates",
            "batch order",
            "alone",
            "cached decoding",
            "several tokens a step",
            "empty rows",
        ),
        cause="Tokens of all rows take their places at an expert one after another, and second choices come after all first"
        " choices, those of later tokens included. A token beyond the capacity gets nothing. So later tokens, other rows, the"
        " amount of padding and the number of tokens of a call decide what a token gets. It is seen in training, and in"
        " evaluation only where `moe_eval_capacity_token_fraction` is below its default of 1. In training the experts' dropout"
        " is drawn expert by expert as well.",
        where="models/nllb_moe/modeling_nllb_moe.py:266, :272",
        source="the router's documentation says that tokens are routed until the capacity is reached, and that no token is sure to"
        " be processed (modeling_nllb_moe.py:171); `moe_eval_capacity_token_fraction` in configuration_nllb_moe.py:51",
        ruled_out="Rounding: with room for all tokens every listed proof holds. The default fraction of 1 leaves nothing out in"
        " evaluation; what fails there in steps has another cause, judged apart.",
        control={
            name: hugging_face(
                NLLB,
                **NLLB_STEPS,
                **beside,
                moe_eval_capacity_token_fraction=-1.0,
                expert_capacity=100000,
                moe_token_dropout=0.0,
                router_ignore_padding_tokens=True,
            )
            for name, beside in NLLB_BESIDE.items()
        },
        control_is="room for all tokens, no dropout of experts, and no mask for the router",
        mend_is="none is needed: it follows from the published algorithm",
    ),
    Judgement(
        "defect",
        "ProphetNet adds relative position scores of other positions with these settings as well",
        entries=PROPHETNET,
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
        ruled_out="The settings themselves: the same change as for the plain class mends them. See there for the rest.",
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
        "design effect",
        "Funnel pools neighbouring positions, padding included, with these settings as well",
        entries=POOLED,
        proofs=("long sentences", "padding content", "padding amount", "padding gradients", "alone"),
        cause="Between blocks, the vectors of two neighbours are averaged. A last token and the padding beside it become one"
        " position, whose vector is added back to the token. `truncate_seq` also cuts the last position off before the pooling,"
        " so how neighbours pair and what is cut depends on the length of the batch.",
        where="models/funnel/modeling_funnel.py:278, :266",
        source="Dai et al. 2020 (arXiv:2006.03236), section 2.2: strided mean pooling; `separate_cls` and `truncate_seq` in the"
        " configuration",
        ruled_out="The mask of attention: with one block, and so without pooling, all these proofs hold.",
        control={name: hugging_face(FUNNEL, block_sizes=[2]) for name in POOLED},
        control_is="one block of two layers, so that nothing is pooled",
        mend_is="none is tried: pooling over neighbours is the model",
    ),
    Judgement(
        "defect",
        "Funnel hides padding by subtracting a million, which large scores outweigh",
        entries=(f"{FUNNEL} block_sizes=2", f"{FUNNEL} separate_cls=False"),
        proofs=("large scores",),
        cause="1e6 is subtracted from scores of padding. Where scores of tokens differ by more than that, padding gets weight.",
        where="models/funnel/modeling_funnel.py:471",
        ruled_out="Pooling: it is read with one block as well. Rounding: with the smallest number of the format in place of the"
        " subtraction nothing moves. At the model's own scale nothing is read: the weights are multiplied by 1000.",
        control_is="no setting chooses the number",
        mend=(
            Edit(
                f"{MODELS}.funnel.modeling_funnel",
                471,
                471,
                "            hidden = attention_mask[:, None, None] == 0\n"
                "            attn_score = attn_score.masked_fill(hidden, torch.finfo(attn_score.dtype).min)",
                was="a8b6a923067b",
            ),
        ),
        mend_is="scores of padding are replaced by the smallest number of the format",
        report="transformers-funnel-finite-mask",
    ),
    Judgement(
        "design effect",
        "BigBird's pooler is built with full attention as well, and no score needs it",
        entries=(
            "BigBirdForMaskedLM attention_type=original_full",
            "BigBirdForCausalLM attention_type=original_full",
        ),
        proofs=("every part works",),
        cause="The base model is built with its pooler, whose output the head of the language model does not take.",
        where="models/big_bird/modeling_big_bird.py:1496",
        source="`add_pooling_layer`, whether a pooling layer is added, is documented with default true"
        " (modeling_big_bird.py:1483)",
        ruled_out="A lost part of the scores: the head is documented to read the hidden states alone.",
        control_is="no setting of the configuration leaves the pooler out",
        mend_is="none is tried: no score would change",
    ),
    Judgement(
        "defect",
        "The bias of Reformer's head is unused with other layers as well",
        entries=(*REFORMER_DECODERS, *REFORMER_ENCODERS),
        proofs=("every part works",),
        cause="The cause is that of the plain class: the head has a parameter `bias` beside the bias of its linear layer, and"
        " only the latter is added.",
        where="models/reformer/modeling_reformer.py:1829",
        ruled_out="A part that other inputs would use: no call reads it.",
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
        "design effect",
        "Later tokens decide which earlier ones LSH attention reaches, with more hashes or layers as well",
        entries=(REFORMER_DECODERS[0], REFORMER_DECODERS[2]),
        proofs=("causality",),
        cause="All positions are sorted by the bucket of their hash and cut into chunks, and a query reads its chunk and the one"
        " before. Later tokens are hidden, but take part in the sorting.",
        where="models/reformer/modeling_reformer.py:936",
        source="LSH self attention in docs/source/en/model_doc/reformer.md, and Kitaev et al. 2020 (arXiv:2001.04451), section 2",
        ruled_out="The random rotations: `hash_seed` fixes them, and pairs of calls have the same shape.",
        control={
            name: hugging_face("ReformerModelWithLMHead", attn_layers=["local", "local"])
            for name in (REFORMER_DECODERS[0], REFORMER_DECODERS[2])
        },
        control_is="local attention in all layers",
        mend_is="none is needed: it follows from the published algorithm",
    ),
    Judgement(
        "design effect",
        "Reformer's local attention reads whole chunks of the padded sentence, and the first chunk reads the last",
        entries=(REFORMER_ENCODERS[1], REFORMER_DECODERS[1]),
        proofs=("padding amount", "long sentences", "padding side"),
        cause="A query reads its own chunk and the one before. Chunks are counted from the first column, so padding on the left"
        " moves tokens to other chunks. In an encoder the chunk before the first one is the last one of the batch, which is"
        " tokens or padding, depending on the length of the batch.",
        where="models/reformer/modeling_reformer.py:383",
        source="local self attention in docs/source/en/model_doc/reformer.md: a query reads its chunk and its neighbours. That the"
        " first chunk's neighbour is the last one is not written there",
        ruled_out="Content of padding: it is masked, and other words in it move nothing. Lengths: all are multiples of the chunk.",
        control={
            REFORMER_ENCODERS[1]: hugging_face(
                "ReformerForMaskedLM", attn_layers=["local", "local"], local_num_chunks_before=0
            ),
        },
        control_is="of the encoder, no chunk before; of the decoder, no setting makes one chunk of the whole sentence here",
        mend_is="none is tried: attention within chunks is the model",
    ),
    Judgement(
        "defect",
        "Reformer cannot fill positions that are given up to a whole chunk",
        entries=(REFORMER_DECODERS[1],),
        proofs=("generation",),
        cause="In evaluation a sentence is filled with padding up to a multiple of the chunk. If positions are given, as"
        " generation gives them, new ones are counted from the length after the filling instead of before, which raises where"
        " that is larger than the end; and what would be joined is the given positions instead of the new ones.",
        where="models/reformer/modeling_reformer.py:2133",
        ruled_out="Lengths that the class does not take: it fills them by itself, and says so in a warning. Without positions the"
        " same call works.",
        control_is="no setting leaves the filling out",
        mend=(
            Edit(
                f"{MODELS}.reformer.modeling_reformer",
                2133,
                2134,
                "                padded_position_ids = torch.arange(\n"
                "                    padded_seq_length - padding_length, padded_seq_length, device=device\n"
                "                )\n"
                "                padded_position_ids = padded_position_ids.expand(input_shape[0], padding_length)",
                was="ebc04970e201",
            ),
        ),
        mend_is="the new positions go from the old length to the new one, and they are joined",
        report="transformers-reformer-positions-of-padding",
    ),
    Judgement(
        "defect",
        "Mamba and Jamba forget the recurrent state when several tokens follow, with these settings as well",
        entries=("MambaForCausalLM use_mambapy=True", "JambaForCausalLM attn_layer_offset=0"),
        proofs=("long sentences", "several tokens a step"),
        cause="The cause is that of the plain classes: a call with a cache and more than one token begins its scan at zeros.",
        where="models/mamba/modeling_mamba.py:252, models/jamba/modeling_jamba.py:413",
        ruled_out="The settings themselves: the plain classes differ in the same way. The package mambapy is not installed, so its"
        " path did not run.",
        control_is="no setting chooses another path",
        mend=(
            *scan_from_state("mamba", 188, (252, 258), (471, "30e492c4c6ff", "recurrent_state")),
            *scan_from_state("jamba", 349, (413, 419), (611, "30e492c4c6ff", "recurrent_state")),
        ),
        mend_is="the scan in plain torch begins at the state of the cache",
        report="transformers-mamba-several-tokens-with-a-cache",
    ),
)
NOT_TRIED: tuple[tuple[str, str], ...] = (
    (
        "XLNetLMHeadModel attn_type=uni",
        "a call with `attention_mask` raises: the mask is added in place to one without an axis of rows"
        " (models/xlnet/modeling_xlnet.py:1098)",
    ),
    (
        "XLMWithLMHeadModel causal=True",
        "it takes an argument `cache` but returns none; built with it, padding on the left moves scores and generation fails, and why was not looked"
        " into",
    ),
    (
        "Zamba2ForCausalLM use_shared_attention_adapter=True",
        "built; long sentences differ by 4e-11 in float64, and why was not found out",
    ),
    (
        "EsmForMaskedLM token_dropout=True",
        "built; it fails as the plain class does, with vectors in place of ids",
    ),
    (
        "BltForCausalLM with padding on the left",
        "built; scores move; its documentation was not asked what it promises there",
    ),
    ("DebertaV2 position_buckets, conv_kernel_size", "settings that the configuration does not list"),
)
