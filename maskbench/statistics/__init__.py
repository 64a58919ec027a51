"""Tests, intervals, power and verdicts for paired differences.

The modules do not use runs, files or metrics. Their inputs are differences, signs and counts; `split_overlap` holds
the counts of sentences that splits share.
"""
