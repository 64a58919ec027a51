"""Text from files, made harmless for a terminal; see `maskbench.plain`."""

from maskbench.plain import plain

__all__ = ["plain"]
