"""`python -m maskbench.cli`, the same as the command `maskbench`."""

from __future__ import annotations

from .main import app

app()
