"""Strategies at the inputs: token masks, and masks on embeddings and the encoder's output."""
