"""The mask system. Importing it enters every strategy into `maskbench.registry.MASKS`."""

from maskbench.masks import strategies

__all__ = ["strategies"]
