"""The encoder-decoder Transformer; a plan decides all its masks."""

from maskbench.model.transformer import EncoderDecoder, build_model

__all__ = ["EncoderDecoder", "build_model"]
