"""Parallel text from files: download, reading, tokenisation, and division into splits."""
