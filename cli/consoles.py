"""Makes what prints on a stream; there is no other place that does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console_on(stream: TextIO) -> Console:
    """Return what prints on a stream: with NO_COLOR (no-color.org) without styles of any kind.

    Rich alone would leave out colours only, and keep bold and dim.
    """
    from rich.console import Console

    return Console(file=stream, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")
