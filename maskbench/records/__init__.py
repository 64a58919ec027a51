"""What runs left behind, read with patience: panels, results, plans, curves, single sentences.

Nothing here writes, takes a lock or imports torch.
"""
