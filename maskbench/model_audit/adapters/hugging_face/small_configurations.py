"""Settings that make a Hugging Face model small: by the names that most families share, and by family where those do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
"""Ids of marks; a small vocabulary has them at 0, 1, 2, 3."""

SMALL: Mapping[str, int] = {
    "vocab_size": 60,
    "src_vocab_size": 60,
    "tgt_vocab_size": 60,
    "decoder_vocab_size": 60,
    "unpadded_vocab_size": 60,
    "vocab_size_per_layer_input": 60,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "embed_dim": 32,
    "embedding_size": 32,
    "word_embed_proj_dim": 32,
    "hidden_size_per_layer_input": 8,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "num_hidden_layers": 2,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "num_layers": 2,
    "n_layer": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4,
    "num_attention_heads": 4,
    "num_heads": 4,
    "n_head": 4,
    "num_key_value_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "intermediate_size": 64,
    "shared_intermediate_size": 64,
    "d_ff": 64,
    "ffn_dim": 64,
    "d_inner": 64,
    "d_kv": 8,
    "d_head": 8,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "max_encoder_position_embeddings": 64,
    "max_decoder_position_embeddings": 64,
    "n_positions": 64,
    "sliding_window": 6,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "moe_shared_expert_intermediate_size": 16,
    "expert_ffn_hidden_size": 16,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_local_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_k": 2,
    "moe_topk": 2,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "qk_head_dim": 16,
    "v_head_dim": 8,
    "index_n_heads": 2,
    "index_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_heads": 4,
    "linear_head_dim": 8,
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_chunk_size": 4,
    "chunk_size": 4,
    "lru_width": 32,
}
"""Settings that are made small unless the user sets them; each where the configuration knows it."""

SWITCHES = ("sliding_window", "q_lora_rank", "kv_lora_rank")
"""Settings that None switches off; with None elsewhere, a class computes a setting from others."""

FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "axk1": {"first_k_dense_replace": 1},
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "bamba": {"attn_layer_indices": [1]},
    "big_bird": {"block_size": 4, "num_random_blocks": 1},
    "bigbird_pegasus": {"block_size": 4, "num_random_blocks": 1},
    "codegen": {"rotary_dim": 4},
    "cpmant": {"dim_head": 8, "dim_ff": 64, "prompt_length": 4},
    "ctrl": {"dff": 64},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4},
    },
    "deberta": {"pooler_hidden_size": 32},
    "deberta-v2": {"pooler_hidden_size": 32},
    "dory": {"num_hidden_layers": 3, "n_input_layers": 1, "n_recurrent_layers": 1, "n_output_layers": 1},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1},
    "encoder-decoder": {
        "encoder": {"model_type": "bert"},
        "decoder": {"model_type": "bert", "is_decoder": True, "add_cross_attention": True},
        "pad_token_id": 0,
        "decoder_start_token_id": 3,
    },
    "esm": {"vocab_size": 60, "mask_token_id": 4},
    "esmc": {"num_key_value_heads": 4},
    "falcon_h1": {"num_hidden_layers": 2, "mamba_d_ssm": 64, "mamba_d_head": 16, "mamba_n_heads": 4},
    "funnel": {"block_sizes": [1, 1], "num_decoder_layers": 1, "max_position_embeddings": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 6},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"]},
    "led": {"attention_window": [8, 8]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"zero_expert_num": 1},
    "longformer": {"attention_window": [8, 8]},
    "longt5": {"local_radius": 3, "global_block_size": 4},
    "luke": {"entity_vocab_size": 20, "entity_emb_size": 16},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 8},
    "mobilebert": {"true_hidden_size": 32, "intra_bottleneck_size": 32},
    "mvp": {"prompt_length": 4, "prompt_mid_dim": 16},
    "neomme": {"head_dim": 16},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "moe"],
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "n_groups": 1,
        "ssm_state_size": 8,
    },
    "pegasus_x": {"block_size": 4, "num_global_tokens": 2},
    "qwen3_5_moe_text": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "full_attention"],
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 64,
        "indexer_compress_ratio": 4,
    },
    "recurrent_gemma": {"attention_window_size": 6, "block_types": ["recurrent", "attention"]},
    "reformer": {
        "axial_pos_embds": False,
        "attention_head_size": 8,
        "feed_forward_size": 64,
        "lsh_attn_chunk_length": 4,
        "local_attn_chunk_length": 4,
        "attn_layers": ["local", "lsh"],
        "num_buckets": 4,
        "hash_seed": 0,
    },
    "roc_bert": {
        "shape_embed_dim": 8,
        "shape_vocab_size": 60,
        "pronunciation_embed_dim": 8,
        "pronunciation_vocab_size": 60,
    },
    "rwkv": {"attention_hidden_size": 32},
    "xlnet": {"d_head": 8},
    "xlstm": {"hidden_size": 128, "num_heads": 2},
    "xmod": {"default_language": "en_XX"},
    "zaya": {"num_experts_per_tok": 1},
    "zamba": {
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "mamba_dt_rank": 4,
        "num_hidden_layers": 3,
        "layers_block_type": ["mamba", "hybrid", "hybrid"],
    },
    "zamba2": {
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "mamba_headdim": 16,
        "n_mamba_heads": 4,
        "mamba_ngroups": 1,
        "layers_block_type": ["mamba", "hybrid"],
        "hybrid_layer_ids": [1],
        "num_key_value_heads": 4,
        "num_mem_blocks": 1,
        "adapter_rank": 8,
    },
}
"""Further settings by `model_type`; they come before those of `SMALL`."""


def small_settings(defaults: Any) -> dict[str, Any]:
    """Return the settings that make a model small, those of the configurations within included.

    Args:
        defaults: a configuration with the settings of its class.
    """
    own = defaults.to_dict()
    # Many classes take a setting by several names.
    names: dict[str, str] = getattr(defaults, "attribute_map", {})
    wanted: dict[str, Any] = dict(FAMILIES.get(own.get("model_type", ""), {}))
    if "kv_lora_rank" in own:  # each head has its own keys, made from a few numbers
        wanted.setdefault("num_key_value_heads", SMALL["num_attention_heads"])
    for key, value in SMALL.items():
        name = names.get(key, key)
        if name in own and not (own[name] is None and key in SWITCHES):
            wanted.setdefault(name, value)
    for name in getattr(defaults, "sub_configs", {}):
        inner = getattr(defaults, name, None)
        if inner is not None:
            wanted[name] = {**small_settings(inner), **wanted.get(name, {})}
    words = wanted.get("vocab_size") or own.get("vocab_size") or 0
    for place, key in enumerate(MARKS):
        # Without a padding id, or with one that the small vocabulary does not have, the class may not build.
        if key in own and key not in wanted and not (isinstance(own[key], int) and 0 <= own[key] < words):
            wanted[key] = place
    words = words or wanted.get("text_config", {}).get("vocab_size", 0)
    for key, value in own.items():
        if key.endswith(("_token_id", "_token_index")) and isinstance(value, int) and value >= words > 0:
            wanted.setdefault(key, len(MARKS) - 1)  # such as that of an image; no ordinary token has it
    if own.get("is_encoder_decoder"):
        wanted.setdefault("decoder_start_token_id", MARKS.index("decoder_start_token_id"))
    return wanted
