"""The encoder-decoder Transformer whose every mask is decided by a plan."""

from maskbench.model.transformer import EncoderDecoder, build_model

__all__ = ["EncoderDecoder", "build_model"]
