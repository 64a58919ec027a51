"""Numbers in, evidence out: tests, intervals, power and verdicts of paired differences.

Nothing here knows of runs, files or metrics; everything is a function of differences, sides and counts.
"""
