"""TensorBoard event files of runs and of whole experiments: curves, means over seeds, settings, layout.

All of them are derived from the runs' own files and can be rebuilt from these at any time.
"""
