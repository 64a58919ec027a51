"""Options that several commands share, with one meaning and one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

File: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="The experiment file.", show_default=False)
]
RunsDir: TypeAlias = Annotated[Path, typer.Option(metavar="DIR", help="Where experiments are kept.")]
Overrides: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Change a setting; may be repeated.", show_default=False
    ),
]
Seeds: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="SEEDS", help="A count, or seeds such as 0-3,7.", show_default="the experiment's"),
]
Arms: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--arm", "-a", metavar="ARM", help="Only this arm; may be repeated.", show_default="all"),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, help="Runs at once.", show_default="as cores and memory allow"),
]
ExecutorName: TypeAlias = Annotated[
    str, typer.Option("--executor", metavar="NAME", help="Who runs the work.")
]
Quick: TypeAlias = Annotated[
    bool, typer.Option("--quick", help="Use the file's quick settings, in an experiment of its own.")
]
Plugins: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A file that adds strategies, metrics or corpora; may be repeated. Its code is part of what a run is.",
        show_default=False,
    ),
]
Directories: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="DIR",
        help="Experiments, or panels of one, such as runs/quickstart.",
        show_default="the newest experiment in --runs-dir",
    ),
]
Metric: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SPLIT/METRIC", help="The metric that gets verdicts.", show_default="the experiment's"
    ),
]
Baseline: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="ARM", help="Compare with this arm.", show_default="the experiment's"),
]
Alpha: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="P", help="Accepted chance of a false alarm.", show_default="the experiment's"),
]
MinEffect: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="SIZE", help="Smallest difference that matters.", show_default="the experiment's"),
]
Simultaneous: TypeAlias = Annotated[
    bool, typer.Option("--simultaneous", help="Widen the intervals so that all of them hold together.")
]

LOCAL = "local"
"""The executor that runs the work unless another one is named (`maskbench.executors.registry`)."""

RUNS = Path("runs")
"""Where experiments are kept unless told otherwise."""
