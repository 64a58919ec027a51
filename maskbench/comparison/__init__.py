"""Is the difference real? What `records` read and `statistics` can tell, put together as a table of careful verdicts.

Nothing here trains, writes to a run directory or imports torch.
"""
