"""The report: one HTML page with all results of an experiment, without scripts, network or other files."""
