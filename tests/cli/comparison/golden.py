"""Writes the approved tables of `test_render.py` anew, from what is drawn now; look at `git diff` before you keep them."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))

from made_comparisons import every_verdict

from maskbench.cli.comparison.render import render_comparison
from maskbench.cli.terminal import ASCII, UNICODE

for name, width, glyphs in (("80", 80, UNICODE), ("120", 120, UNICODE), ("ascii", 80, ASCII)):
    console = Console(file=StringIO(), width=width, color_system=None, _environ={})
    console.print(render_comparison(every_verdict(), width, glyphs))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    file = Path(__file__).parent / "golden" / f"{name}.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line.rstrip()}\n" for line in lines), encoding="utf-8")
