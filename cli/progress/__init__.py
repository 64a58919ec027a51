"""Progress of a running experiment on stderr: its state, and how a terminal or a log file shows it."""
