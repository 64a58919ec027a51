"""Parts of models of transformers that plain calls of text do not run, and what runs them."""

from __future__ import annotations

from collections.abc import Mapping

OTHER_INPUTS: Mapping[str, tuple[str, ...]] = {
    "runs for a `global_attention_mask`": ("query_global", "key_global", "value_global"),
    "runs for images or sound": (
        "vision_tower",
        "vision_model",
        "multi_modal_projector",
        "connector",
        "audio_tower",
        "embed_vision",
        "embed_audio",
        "image_embed",
        "audio_embed",
        "vision_embed_tokens",
        "patch_embeddings",
    ),
    "runs for entities": (
        "entity_embeddings",
        "w2e_query",
        "e2w_query",
        "e2e_query",
        "entity_predictions",
    ),
    "runs for contacts of a protein": ("contact_head",),
    "chooses keys by rank, through which no gradient passes": ("indexer",),
    "reads blocks that are longer than the test sentences": ("compressor",),
    "runs for `token_type_ids`": ("r_s_bias", "seg_embed"),
    "runs for `target_mapping`": ("mask_emb",),
}
"""By what runs them: submodules and parameters that plain calls of text do not run, by the last part of their names."""
FROM_ENCODER = ("encoder_attn", "encoder_attn_layer_norm", "cross_attn", "cross_attn_layer_norm")
"""Submodules that read the output of an encoder."""
