"""Attention in blocks: pairs lost or added, gradients that miss a part, and rules that choose another path."""

from __future__ import annotations

from mutations.mutant import family

KERNEL, BLOCKS = "model/blocked_attention.py", "masks/blocks.py"
DECISION, PATH, ATTENTION = "masks/block_decision.py", "model/attention_path.py", "model/attention.py"
T, IN_BLOCKS = "model/test_blocked_attention.py", "masks/test_blocks.py"

ATTENTION_PATHS = family(
    "attention_paths",
    ("polarity", KERNEL, "masked_fill_(~block.keep, -math.inf)", "masked_fill_(block.keep, -math.inf)", T),
    ("hidden pairs", KERNEL, ".masked_fill_(~block.keep, -math.inf)", "", T),
    ("hidden pairs", KERNEL, "weights.mul_(block.keep.to(weights.dtype))", "weights", T),
    ("bias", KERNEL, "scores += block.bias", "pass", T),
    ("empty rows", KERNEL, "sums.masked_fill_(sums == 0, 1.0)", "pass", T),
    ("dropout", KERNEL, "(self.seed + number)", "(self.seed + 0 * number)", T),
    ("gradient", KERNEL, "d_weights.mul_(factors)", "pass", T),
    ("gradient", KERNEL, "d_weights.sub_(row_sums[part][:, :, rows])", "d_weights", T),
    ("gradient", KERNEL, "total[:, :, keys] += part", "total[:, :, keys] = part", T),
    ("scale", KERNEL, "d_key.mul_(scale)", "d_key", T),
    ("off by one", BLOCKS, "slice(first, last + 1)", "slice(first, last)", f"{IN_BLOCKS} {T}"),
    ("crop", BLOCKS, "block.keep[..., :n_rows, :n_keys]", "block.keep[..., -n_rows:, -n_keys:]", IN_BLOCKS),
    ("lost pairs", BLOCKS, "keep.flatten(0, 2).any(0)", "keep.flatten(0, 2).all(0)", f"{IN_BLOCKS} {T}"),
    ("padding", DECISION, "if others or (causal is None and not _all_real(request)):", "if others:", T),
    ("lost mask", DECISION, "keep = keep & (pattern if", "keep = (pattern if", T),
    ("draws", DECISION, 'site == "encoder_self" or not reads_input', "True", "audit/test_audit_proofs.py"),
    ("path", PATH, "min(q_len, kv_len) >= self.smallest", "min(q_len, kv_len) > self.smallest", T),
    ("path", PATH, "and not drops and", "and", T),
    ("fused", ATTENTION, "attn_mask=keep, is_causal=is_causal", "is_causal=is_causal", T),
)
