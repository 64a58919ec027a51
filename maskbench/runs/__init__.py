"""Files of a run on disk: directories, identities, checkpoints, JSON files and locks.

Only `checkpoint` imports torch; the other modules do not, so that `compare` starts fast.
"""
