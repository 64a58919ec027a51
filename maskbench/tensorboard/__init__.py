"""What TensorBoard shows of an experiment beyond its single runs: means with bands, the table of settings, the layout.

Everything here is derived from the JSON lines of the runs, and can be made anew from them at any time.
"""
