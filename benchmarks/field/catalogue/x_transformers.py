"""x-transformers: its options, switched on one at a time in a small decoder, encoder or encoder-decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.field.entry import Build, Edit, Entry, Judgement, Package
from maskbench.model_audit.subject import ModelSubject
from maskbench.model_audit.target import subject_for

SIZES: Mapping[str, Any] = {"dim": 32, "depth": 2, "heads": 4, "attn_dim_head": 8, "verbose": False}
WRAPPER = ("use_abs_pos_emb", "scaled_sinu_pos_emb", "num_memory_tokens", "memory_tokens_interspersed_every")
WRAPPER += ("tie_embedding", "l2norm_embed", "post_emb_norm", "emb_frac_gradient", "mixture_of_softmax")
WRAPPER += ("sigsoftmax_logits", "ff_deep_embed", "recycling", "looped", "emb_dim", "use_cls_token")
"""Settings of the wrapper; all others are of the layers."""


def decoder(**options: Any) -> Build:
    """Return the build of a `TransformerWrapper` around a `Decoder`."""
    return _wrapped("Decoder", options)


def encoder(**options: Any) -> Build:
    """Return the build of a `TransformerWrapper` around an `Encoder`."""
    return _wrapped("Encoder", options)


def _wrapped(layers: str, options: Mapping[str, Any]) -> Build:
    def build() -> ModelSubject:
        import x_transformers

        of_wrapper = {name: value for name, value in options.items() if name in WRAPPER}
        of_layers = {name: value for name, value in options.items() if name not in WRAPPER}
        net = getattr(x_transformers, layers)(**{**SIZES, **of_layers})
        model = x_transformers.TransformerWrapper(
            num_tokens=60, max_seq_len=64, attn_layers=net, **of_wrapper
        )
        return subject_for(model.eval())

    return build


def encoder_decoder(**options: Any) -> Build:
    """Return the build of an `XTransformer`; options begin with `enc_` or `dec_`."""

    def build() -> ModelSubject:
        import x_transformers

        sizes = {
            f"{side}_{name}": value
            for side in ("enc", "dec")
            for name, value in SIZES.items()
            if name != "dim"
        }
        ends = {f"{side}_{name}": value for side in ("enc", "dec") for name, value in ENDS.items()}
        model = x_transformers.XTransformer(dim=32, **{**sizes, **ends, **options})
        return subject_for(model.eval())

    return build


ENDS: Mapping[str, int] = {"num_tokens": 60, "max_seq_len": 64}

OPTIONS: tuple[Mapping[str, Any], ...] = (
    {},
    {"use_abs_pos_emb": False},
    {"scaled_sinu_pos_emb": True},
    {"num_memory_tokens": 3},
    {"num_memory_tokens": 3, "memory_tokens_interspersed_every": 4},
    {"tie_embedding": True},
    {"l2norm_embed": True},
    {"post_emb_norm": True},
    {"emb_frac_gradient": 0.5},
    {"emb_dim": 16},
    {"mixture_of_softmax": True},
    {"sigsoftmax_logits": True},
    {"ff_deep_embed": True},
    {"use_scalenorm": True},
    {"use_rmsnorm": True},
    {"use_simple_rmsnorm": True},
    {"use_dynamic_tanh": True},
    {"use_derf": True},
    {"alibi_pos_bias": True},
    {"rel_pos_bias": True},
    {"dynamic_pos_bias": True},
    {"dynamic_pos_bias": True, "dynamic_pos_bias_log_distance": True},
    {"rotary_pos_emb": True},
    {"rotary_pos_emb": True, "rotary_xpos": True},
    {"rotary_pos_emb": True, "rotate_num_heads": 2},
    {"polar_pos_emb": True},
    {"weight_tie_layers": True},
    {"custom_layers": ("a", "f", "f", "a")},
    {"layers_execute_order": (0, 1, 2, 3, 2, 3)},
    {"sandwich_coef": 1},
    {"par_ratio": 3},
    {"residual_attn": True},
    {"macaron": True},
    {"pre_norm": False},
    {"pre_and_post_norm": True},
    {"sandwich_norm": True},
    {"gate_residual": True},
    {"orthog_residual": True},
    {"mv_split_residual": True},
    {"gated_multi_residual": True, "num_residual_streams": 2, "residual_fn_kwargs": {"read_gate_rank": 8}},
    {"scale_residual": True},
    {"depth_scale_residual": True},
    {"shift_tokens": 1},
    {"softclamp_output": True},
    {"zero_init_branch_output": True},
    {"layer_dropout": 0.3},
    {"use_layerscale": True, "layerscale_init_value": 0.1},
    {"unet_skips": True},
    {"integrate_layers": True},
    {"num_residual_streams": 2},
    {"num_residual_streams": 2, "qkv_receive_diff_residuals": True},
    {"reinject_input": True},
    {"reinject_input": True, "learned_reinject_input_gate": True},
    {"add_value_residual": True},
    {"only_attn": True},
    {"attn_flash": True},
    {"attn_pre_talking_heads": True},
    {"attn_post_talking_heads": True},
    {"attn_pre_scale_post_talking_heads": True},
    {"attn_head_scale": True},
    {"attn_sparse_topk": 3},
    {"attn_sparse_topk": 3, "attn_sparse_topk_straight_through": True},
    {"attn_num_mem_kv": 3},
    {"attn_on_attn": True},
    {"attn_gate_value_heads": True},
    {"attn_gate_values": True, "attn_swiglu_values": True},
    {"attn_gate_values": True, "attn_gate_values_headwise": True},
    {"attn_gate_values": True},
    {"attn_output_gate": True},
    {"attn_hard": True},
    {"attn_max_attend_past": 4},
    {"attn_qk_norm": True},
    {"attn_qk_norm": True, "attn_qk_norm_dim_scale": True},
    {"attn_qk_norm": True, "attn_qk_norm_groups": 2},
    {"attn_qk_rmsnorm": True},
    {"attn_k_rmsnorm": True},
    {"attn_value_rmsnorm": True},
    {"attn_l2_distance": True},
    {"attn_sigmoid": True},
    {"attn_gumbel_softmax": True},
    {"attn_selective": True},
    {"attn_cog_signed": True},
    {"attn_one_kv_head": True},
    {"attn_kv_heads": 2},
    {"attn_value_dim_head": 12},
    {"attn_add_zero_kv": True},
    {"attn_head_learned_sink": True},
    {"attn_data_dependent_alibi": True},
    {"attn_data_dependent_alibi": True, "attn_data_dependent_alibi_per_row": True},
    {"attn_use_rel_proj_pos_bias": True},
    {"attn_use_cope": True},
    {"attn_use_cope": True, "attn_cope_talking_heads": True},
    {"attn_softclamp_logits": True},
    {"attn_orthog_projected_values": True},
    {"attn_orthog_projected_values_per_head": True},
    {"attn_laser": True},
    {"attn_use_latent_q": True, "attn_dim_latent_q": 16},
    {"attn_use_latent_kv": True, "attn_dim_latent_kv": 16},
    {
        "attn_use_latent_kv": True,
        "attn_dim_latent_kv": 16,
        "rotary_pos_emb": True,
        "attn_latent_rope_subheads": 2,
    },
    {"ff_glu": True},
    {"ff_glu": True, "ff_swish": True},
    {"ff_swish": True},
    {"ff_relu_squared": True},
    {"ff_solu": True},
    {"ff_post_act_ln": True},
    {"ff_no_bias": True},
    {"ff_softclamp_value": 5.0},
    {"ff_glu": True, "ff_glu_softclamp": True},
)
"""Options of a decoder; each is one entry."""

IN_ENCODERS = (
    {},
    {"shift_tokens": 1},
    {"alibi_pos_bias": True},
    {"rel_pos_bias": True},
    {"rotary_pos_emb": True},
    {"attn_flash": True},
    {"attn_num_mem_kv": 3},
    {"num_memory_tokens": 3},
    {"attn_sparse_topk": 3},
    {"attn_hard": True},
    {"attn_sigmoid": True},
    {"attn_l2_distance": True},
    {"attn_laser": True},
    {"attn_cog_signed": True},
    {"attn_add_zero_kv": True},
    {"attn_head_learned_sink": True},
    {"attn_use_latent_kv": True, "attn_dim_latent_kv": 16},
    {"residual_attn": True},
    {"sandwich_norm": True},
    {"orthog_residual": True},
    {"mv_split_residual": True},
    {"attn_orthog_projected_values": True},
)
"""Options that concern what an encoder reads of padding."""

IN_ENCODER_DECODERS = (
    {},
    {"dec_shift_tokens": 1},
    {"enc_shift_tokens": 1},
    {"dec_cross_residual_attn": True},
    {"dec_residual_attn": True},
    {"dec_attn_num_mem_kv": 3},
    {"dec_attn_flash": True, "enc_attn_flash": True},
    {"dec_rotary_pos_emb": True, "enc_rotary_pos_emb": True},
    {"dec_rel_pos_bias": True, "enc_rel_pos_bias": True},
    {"dec_alibi_pos_bias": True, "enc_alibi_pos_bias": True},
    {"dec_cross_attn_tokens_dropout": 0.3},
    {"dec_attn_one_kv_head": True},
    {"dec_cross_attn_inverted_attention": True},
    {"tie_token_emb": True},
)
"""Options of an encoder-decoder."""


def named(kind: str, options: Mapping[str, Any]) -> str:
    """Return the name of an entry: what is built, and its options."""
    given = ", ".join(name if value is True else f"{name}={value}" for name, value in options.items())
    return f"{kind}, {given}" if given else kind


ENTRIES = (
    *(Entry(named("Decoder", options), "option", decoder(**options)) for options in OPTIONS),
    *(Entry(named("Encoder", options), "option", encoder(**options)) for options in IN_ENCODERS),
    *(
        Entry(named("XTransformer", options), "option", encoder_decoder(**options))
        for options in IN_ENCODER_DECODERS
    ),
)

LIBRARY = "x_transformers.x_transformers"
FUTURE = ("causality", "truncation", "future gradients", "long sentences")
PADDING = ("long sentences", "padding content", "padding amount", "padding gradients", "alone")
CACHE = ("long sentences", "cached decoding", "several tokens a step")
PER_POSITION = (
    Edit(LIBRARY, 242, 243, "    # the last axis alone: each position by itself", "bcefd02efd4f"),
    Edit(LIBRARY, 255, 255, "    # of the shape that it came in", "7b4864e9066e"),
)


def _without_cache(condition: str) -> Edit:
    """Return the edit with which a wrapper says that it cannot decode with a cache where a condition holds of a module `m`."""
    text = (
        "        self.can_cache_kv = self.num_memory_tokens == 0 and not recycling and self.attn_layers.can_cache_kv\n"
        f"        self.can_cache_kv = self.can_cache_kv and not any({condition} for m in self.modules())"
    )
    return Edit(LIBRARY, 4192, 4192, text, "49e9c456bd1a")


JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "defect",
        "x-transformers: the orthogonal projection is taken over all positions at once",
        (
            "Decoder, orthog_residual",
            "Decoder, attn_orthog_projected_values",
            "Decoder, attn_orthog_projected_values_per_head",
            "Encoder, orthog_residual",
            "Encoder, attn_orthog_projected_values",
        ),
        (*FUTURE, *PADDING, "cached decoding", "several tokens a step"),
        "`orthog_project` lays positions and features out as one vector before it takes the part that is orthogonal to the "
        "other vector, so one coefficient for the whole sentence depends on every position: on later tokens in a decoder, on "
        "padding in an encoder. The per-head values go through the same function. In the paper of the residual "
        "(arXiv:2505.11881) Vision Transformers project each position along its features; projecting over everything is its "
        "variant for convolutional networks.",
        "x_transformers.py:242",
        "evaluation, no dropout, the option alone; the size does not change with the number format (float64 and float32), so it "
        "is no rounding; lengths have no multiple to keep; without the option every proof holds",
        control={
            "Decoder, orthog_residual": decoder(),
            "Decoder, attn_orthog_projected_values": decoder(),
            "Decoder, attn_orthog_projected_values_per_head": decoder(),
            "Encoder, orthog_residual": encoder(),
            "Encoder, attn_orthog_projected_values": encoder(),
        },
        control_is="the option itself",
        mend=PER_POSITION,
        mend_is="The two lines that join positions and features, and the one that takes them apart, go: the projection is along "
        "the last axis.",
        report="x-transformers-orthogonal-projection",
    ),
    Judgement(
        "design effect",
        "x-transformers: the mean-variance split residual takes means over positions",
        ("Decoder, mv_split_residual",),
        (*FUTURE, "cached decoding", "several tokens a step"),
        "The residual is centred with its mean over all positions of the sentence, later ones included. The paper does so in "
        "diffusion transformers, which hide nothing; a causal `Decoder` accepts the option as well and then reads later tokens.",
        "x_transformers.py:1281",
        "evaluation, no dropout, the option alone; without it every proof holds; an encoder passes its padding mask to the mean, and all its proofs hold",
        source="Lu 2026, Mean-Variance Split Residuals (arXiv:2605.06169), named beside the class: a method of diffusion transformers",
        control={"Decoder, mv_split_residual": decoder()},
        control_is="the option itself",
        mend_is="none: a causal form would be another method",
    ),
    Judgement(
        "defect",
        "x-transformers: top-k attention fails for sentences shorter than k",
        ("Decoder, attn_sparse_topk=3", "Decoder, attn_sparse_topk=3, attn_sparse_topk_straight_through"),
        ("truncation", "cached decoding", "several tokens a step", "no trace", "long sentences"),
        "The k best keys are taken whatever the number of keys is, and torch's `topk` refuses a k larger than that. Sentences "
        "and prompts of fewer than k tokens raise, and so does generation from one token.",
        "attend.py:162",
        "the message is torch's; 3 tokens and more work, and are causal; the README's example has k = 8 and says nothing of length",
        control={
            "Decoder, attn_sparse_topk=3": decoder(attn_sparse_topk=1),
            "Decoder, attn_sparse_topk=3, attn_sparse_topk_straight_through": decoder(
                attn_sparse_topk=1, attn_sparse_topk_straight_through=True
            ),
        },
        control_is="k larger than the sentence: k is 1",
        mend=(
            Edit(
                "x_transformers.attend",
                162,
                162,
                "    top_values, _ = logits.topk(min(sparse_topk, logits.shape[dim]), dim = dim)",
                "7ddfe34b451f",
            ),
        ),
        mend_is="k is at most the number of keys.",
        report="x-transformers-topk-of-short-sentences",
    ),
    Judgement(
        "defect",
        "x-transformers: shifted tokens are not in the cache",
        ("Decoder, shift_tokens=1", "XTransformer, dec_shift_tokens=1"),
        CACHE,
        "With `shift_tokens` a position reads features of the one before. A step from the cache computes the new positions "
        "alone, so the shift puts zeros there instead. The wrapper still says that it can decode from a cache, which "
        "`generate` does unless told otherwise.",
        "x_transformers.py:4192",
        "float64, no dropout; the whole sentence in one pass is causal and right; without the option cached decoding is exact",
        control={"Decoder, shift_tokens=1": decoder(), "XTransformer, dec_shift_tokens=1": encoder_decoder()},
        control_is="the option itself",
        mend=(_without_cache("isinstance(m, ShiftTokens)"),),
        mend_is="The wrapper says that it cannot decode from a cache where tokens are shifted, as it does for memory tokens.",
        report="x-transformers-shifted-tokens-and-cache",
    ),
    Judgement(
        "defect",
        "x-transformers: the forgetting bias is computed from the new positions alone",
        (
            "Decoder, attn_data_dependent_alibi",
            "Decoder, attn_data_dependent_alibi, attn_data_dependent_alibi_per_row",
        ),
        CACHE,
        "The bias of the forgetting attention sums gates over all positions. A step from the cache computes it from the new "
        "positions alone: one position gets a bias of its own gate for all keys, several raise because the shapes do not fit. "
        "The wrapper still says that it can decode from a cache, which `generate` does unless told otherwise.",
        "x_transformers.py:2595",
        "float64, no dropout; the whole sentence in one pass is causal and right; without the option cached decoding is exact",
        control={
            "Decoder, attn_data_dependent_alibi": decoder(),
            "Decoder, attn_data_dependent_alibi, attn_data_dependent_alibi_per_row": decoder(),
        },
        control_is="the option itself",
        mend=(_without_cache("exists(getattr(m, 'data_dependent_alibi', None))"),),
        mend_is="The wrapper says that it cannot decode from a cache with this bias, as it does for memory tokens.",
        report="x-transformers-forgetting-bias-and-cache",
    ),
    Judgement(
        "defect",
        "x-transformers: the shift before a feed-forward layer reads padding",
        ("Encoder, shift_tokens=1", "XTransformer, enc_shift_tokens=1"),
        PADDING,
        "An encoder with `shift_tokens` shifts features from both neighbours. Before attention the shift gets the padding mask and "
        "clears what is padding; before a feed-forward layer it gets none, so the last token of a row reads the padding after it.",
        "x_transformers.py:3704",
        "padding after the tokens, told by `mask`; the first module that moves is a feed-forward layer; without the option every proof holds",
        control={"Encoder, shift_tokens=1": encoder(), "XTransformer, enc_shift_tokens=1": encoder_decoder()},
        control_is="the option itself",
        mend=(
            Edit(
                LIBRARY,
                1617,
                1617,
                "        known = isinstance(self.fn, Attention)\n"
                "        return self.fn(x, **{k: v for k, v in kwargs.items() if known or k != 'mask'})",
                "8670275b3c2d",
            ),
            Edit(
                LIBRARY,
                3704,
                3704,
                "                told = {'mask': mask} if isinstance(block.func, ShiftTokens) else {}\n"
                "                out = block(x, deep_embed = next(deep_embeds_iter, None), **told)",
                "ce469e7207d5",
            ),
        ),
        mend_is="The feed-forward layer's shift is given the mask as well.",
        report="x-transformers-shifted-tokens-and-padding",
    ),
    Judgement(
        "design effect",
        "x-transformers: inverted cross-attention divides by sums over the queries",
        ("XTransformer, dec_cross_attn_inverted_attention",),
        (*FUTURE, "cached decoding", "several tokens a step"),
        "The softmax of inverted attention is over the queries, so the weight that a position gives to a source token depends on "
        "the queries of all other positions, later ones included; a step from the cache has the new queries alone.",
        "attend.py:248",
        "evaluation, no dropout, the option alone; without it every proof holds",
        source="the library warns when such a decoder is made: causal attention is not compatible with inverted cross-attention "
        "(x_transformers.py:3191)",
        control={"XTransformer, dec_cross_attn_inverted_attention": encoder_decoder()},
        control_is="the option itself",
        mend_is="none: the library says that the two do not go together",
    ),
    Judgement(
        "design effect",
        "x-transformers: Gumbel attention draws in evaluation",
        ("Decoder, attn_gumbel_softmax",),
        ("evaluation repeats", "reach"),
        "Each query samples one key; the draws are made in evaluation as in training, so two passes differ, and a key that is not "
        "drawn moves nothing.",
        "attend.py:259",
        "all 25 repetitions differ, by 2 to 3, which is no rounding; the proofs that put the generator back before each pass hold",
        source="torch's documentation of `torch.nn.functional.gumbel_softmax`: it samples; it knows no mode",
        control={"Decoder, attn_gumbel_softmax": decoder()},
        control_is="the option itself",
        mend_is="none: it is what the option does",
    ),
    Judgement(
        "design effect",
        "x-transformers: hard attention turns on roundings",
        ("Decoder, attn_hard",),
        ("formats",),
        "Each query reads the one key with the largest score. In bfloat16 another key may be the largest, and the output is another "
        "one, not a rounded one.",
        "attend.py:256",
        "float32 agrees with float64; 9 of 25 repetitions exceed the limit and 16 do not, as a choice turns or does not turn",
        source="README of x-transformers, `attn_hard`: only the value of the argmax is read",
        control={"Decoder, attn_hard": decoder()},
        control_is="the option itself",
        mend_is="none: it is what the option does",
    ),
)

NOT_TRIED: tuple[tuple[str, str], ...] = (
    (
        "looped",
        "decodes with a cache only if every call says `looped_inference`, for one row; the audit passes neither",
    ),
    ("attn_aggregated_residuals", "its module LoRALinear cannot be copied, and the proofs change copies"),
    ("recycling", "needs the number of steps in every call (`recycle_steps`), which the audit does not pass"),
    (
        "attn_cope_soft_onehot_pos",
        "raises in every call (an error of einx about the shapes of its own operation)",
    ),
    ("attn_hybrid_module, custom_attn_fn", "take code of the user's"),
    (
        "attn_inverted_attention",
        "has no effect: the layers drop it for self-attention (x_transformers.py:3183); entered for cross-attention",
    ),
    (
        "add_continuous_pred_head, return_only_embed, logits_dim",
        "give outputs that are no scores of words",
    ),
    (
        "BeliefStateWrapper, NonAutoregressiveWrapper, XLAutoregressiveWrapper, ContinuousTransformerWrapper, "
        "MultiInputTransformerWrapper, ViTransformerWrapper",
        "other models than TransformerWrapper and XTransformer; no adapter knows how they are called",
    ),
    (
        "temperatures, bases, ranks, scales and other numbers of an option that is entered",
        "do not change what is read; their defaults are used",
    ),
    (
        "zero_init_branch_output, depth_scale_residual, emb_frac_gradient, layer_dropout, cross_attn_tokens_dropout",
        "entered, but in evaluation they compute what the model without them computes: they act on first values or on training",
    ),
    ("attn_flash_pack_seq", "needs a CUDA device and the package flash-attn"),
    (
        "use_adaptive_layernorm, use_adaptive_rmsnorm, use_adaptive_layerscale",
        "need a condition vector in every call",
    ),
    (
        "attn_pool, average_pool_embed, use_cls_token, num_output_heads",
        "give scores that do not stand at every position",
    ),
    ("max_mem_len, shift_mem_down", "act on memories of earlier segments, which the audit does not pass"),
    ("par_ratio with cross-attention, cross_attend decoders apart from XTransformer", "not entered"),
)

PACKAGE = Package(
    "x-transformers",
    "2.31.10",
    "https://github.com/lucidrains/x-transformers",
    entries=ENTRIES,
    judgements=JUDGEMENTS,
    not_tried=NOT_TRIED,
    preload="x_transformers",
)
