"""The mask system. Importing this package registers every strategy in `maskbench.registry.MASKS`."""

from maskbench.masks import strategies

__all__ = ["strategies"]
