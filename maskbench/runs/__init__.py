"""What a run leaves on disk: directories, identities, checkpoints and metric sinks.

`directory`, `identity` and `files` never import torch, so that `compare` starts fast; `checkpoint` does.
"""
