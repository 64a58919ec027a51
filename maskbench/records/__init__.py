"""Tolerant readers of run directories: panels, results, plans, learning curves, sentence counts.

Damage becomes a state or a sentence, never an exception that stops a comparison. Nothing here writes, takes a lock or
imports torch.
"""
