"""Tolerant readers of run directories: panels, results, plans, learning curves, sentence counts.

Damage becomes a state or a sentence, not an exception that stops a comparison. These modules write nothing,
take no lock and do not import torch.
"""
