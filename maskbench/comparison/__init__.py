"""Comparison of arms: joins run records with statistics into a table with verdicts.

Nothing here trains, writes to a run directory or imports torch.
"""
