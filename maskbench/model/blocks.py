"""The layers of the encoder and the decoder, with layer normalisation before each sublayer.

With pre-normalisation the residual path has no normalisation, so training needs no careful warm-up (Xiong et
al. 2020, "On layer normalization in the Transformer architecture").
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig
from maskbench.model.attention import AttentionInputs, CrossAttention, SelfAttention
from maskbench.model.cache import LayerCache
from maskbench.model.dropout import Dropout
from maskbench.model.feed_forward import FeedForward


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each with a residual connection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.d_model)
        self.self_attention = SelfAttention(config.d_model, config.n_heads, config.dropout)
        self.feed_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "batch src d_model"], scene: AttentionInputs, layer: int
    ) -> Float[Tensor, "batch src d_model"]:
        """Return the states after this layer."""
        x = x + self.dropout(self.self_attention(self.self_norm(x), scene, layer))
        fed: Tensor = self.dropout(self.feed_forward(self.feed_norm(x)))
        return x + fed


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, then feed-forward, each with a residual connection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.d_model)
        self.self_attention = SelfAttention(config.d_model, config.n_heads, config.dropout)
        self.cross_norm = nn.LayerNorm(config.d_model)
        self.cross_attention = CrossAttention(config.d_model, config.n_heads, config.dropout)
        self.feed_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch tgt d_model"],
        memory: Float[Tensor, "sentences src d_model"],
        scenes: tuple[AttentionInputs, AttentionInputs],
        layer: int,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch tgt d_model"]:
        """Return the states after this layer; `scenes` holds the inputs of `decoder_self` and of `cross`."""
        own, cross = scenes
        x = x + self.dropout(self.self_attention(self.self_norm(x), own, layer, cache))
        x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory, cross, layer, cache))
        fed: Tensor = self.dropout(self.feed_forward(self.feed_norm(x)))
        return x + fed
