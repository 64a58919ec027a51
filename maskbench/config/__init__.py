"""The experiment file: its schema, its strict YAML loader, and its expansion into arms and panels.

Nothing here imports torch or a strategy; the names an experiment file may use are looked up in the
registries, which the caller fills by importing `maskbench.masks` and `maskbench.data` first.
"""
