"""Parallel text of one's own: reading files, downloading, tokenising, dealing it into splits."""
