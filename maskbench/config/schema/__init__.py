"""The keys of an experiment file, their types and defaults."""
