"""Is the difference real? Run directories in, a table of careful verdicts out.

Data flows one way: `locate` finds panels on disk, `collect` reads their runs, `statistics` and `verdict` decide,
`table` puts it together, `document` writes it as JSON. Nothing here trains, writes to a run directory or imports torch.
"""
