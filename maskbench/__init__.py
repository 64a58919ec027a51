"""maskbench: which masks help an encoder-decoder Transformer, and is the difference real?"""

__version__ = "0.1.0"
