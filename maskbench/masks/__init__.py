"""The mask system. Importing it enters every strategy into `maskbench.registry.MASKS`."""

__all__ = ["strategies"]
