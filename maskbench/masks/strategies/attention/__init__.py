"""Which pairs of positions attend: boolean masks."""
