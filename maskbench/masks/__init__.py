"""The mask system. Importing it enters every strategy into `maskbench.registry.MASKS`."""

from maskbench.masks import bias, content, structure, targets, tokens, transform

__all__ = ["bias", "content", "structure", "targets", "tokens", "transform"]
