"""A comparison in words, formatted numbers and JSON."""
