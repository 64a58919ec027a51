"""What all benchmarks share: options, the machine's description, interleaved repeats, the table and JSON lines.

A benchmark compares contestants. Each repeat runs all of them once, in an order that rotates, so that what else
the machine does for a while affects all of them alike; ratios are taken within a repeat.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
KEYS = ("benchmark", "case", "length", "figure", "against", "ratio", "low", "high")
"""The keys of a JSON line."""
REPEATS = 5


class BenchmarkError(Exception):
    """A benchmark cannot go on; the message says what to do."""


class Spread(NamedTuple):
    """Median, lowest and highest of the repeats."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the spread of over / under, divided repeat by repeat."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


@dataclass(frozen=True, slots=True)
class Line:
    """One measured ratio."""

    benchmark: str
    case: str
    length: int | None
    """Sentence length in tokens; None where there is none."""
    figure: str
    against: str
    """What the figure is divided by: a contestant, or a unit such as `1 GB` where there is nothing to compare with."""
    ratio: float
    low: float
    high: float
    seen: str = ""
    """The two absolute figures, for the table only: they are this machine's."""

    def document(self) -> dict[str, Any]:
        """Return the line as a dict of JSON values."""
        return {key: getattr(self, key) for key in KEYS}

    def cells(self) -> list[str]:
        """Return the line as cells of a table."""
        length = "" if self.length is None else f"{self.length:,}"
        numbers = [format_ratio(value) for value in (self.ratio, self.low, self.high)]
        return [self.case, length, self.figure, self.against, *numbers, self.seen]


@dataclass(slots=True)
class Results:
    """Collects the lines of a benchmark; as JSON, each is printed when it is known."""

    benchmark: str
    as_json: bool
    lines: list[Line] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        case: str,
        figure: str,
        against: str,
        spread: Spread,
        *,
        length: int | None = None,
        seen: str = "",
    ) -> None:
        """Add a ratio."""
        line = Line(self.benchmark, case, length, figure, against, *spread, seen=seen)
        self.lines.append(line)
        if self.as_json:
            print(json.dumps(line.document()), flush=True)

    def compare(
        self,
        case: str,
        figure: str,
        found: Mapping[str, Sequence[float]],
        own: str,
        other: str,
        unit: str,
        *,
        digits: int = 0,
        scale: float = 1.0,
        against: str | None = None,
        length: int | None = None,
    ) -> None:
        """Add the ratio of two contestants, with both medians beside it.

        Args:
            found: what each contestant measured in each repeat.
            unit: of the medians times `scale`, shown with `digits` decimals.
            against: the text for `other`, if it is not its name.
        """
        medians = " / ".join(f"{scale * Spread.of(found[name]).median:,.{digits}f}" for name in (own, other))
        spread = ratios(found[own], found[other])
        self.add(case, figure, against or other, spread, length=length, seen=f"{medians} {unit}")

    def skip(self, what: str, why: str) -> None:
        """Note that something was not measured, and why."""
        self.skipped[what] = why
        if self.as_json:
            print(f"skipped: {what}: {why}", file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        """Print what is being measured to standard error."""
        print(text, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Print the table and what was skipped; JSON lines are printed already."""
        if self.as_json:
            return
        table = Table(title=f"{self.benchmark}: ratios of one run", title_justify="left")
        for name in ("case", "length", "figure", "against"):
            table.add_column(name)
        for name in ("median", "low", "high"):
            table.add_column(name, justify="right")
        table.add_column("seen here")
        for line in self.lines:
            table.add_row(*line.cells())
        console = Console(width=None if sys.stdout.isatty() else 140)
        console.print(table)
        for what, why in self.skipped.items():
            console.print(f"skipped: {what}: {why}", markup=False, highlight=False)


def format_ratio(value: float) -> str:
    """Return a ratio with three significant digits, and two decimals at most from 1 on."""
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def interleave(
    contestants: Mapping[str, Callable[[], float]], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return what each contestant measured in each repeat.

    Args:
        contestants: by name, a function that runs the contestant once and returns its figure.
        repeats: rounds that count; in each, every contestant runs once.
        warm_up: rounds before these, in which caches and allocators settle.
    """
    names = list(contestants)
    found: dict[str, list[float]] = {name: [] for name in names}
    for i in range(warm_up + repeats):
        turn = i % len(names)
        for name in (*names[turn:], *names[:turn]):
            value = contestants[name]()
            if i >= warm_up:
                found[name].append(value)
    return found


def describe_machine() -> list[str]:
    """Return lines that say which machine, versions and commit the figures are from."""
    cores, memory = psutil.cpu_count() or 1, psutil.virtual_memory().total / 1e9
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    names = ("torch", "numpy", "maskbench")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return [
        f"{processor_name()}, {cores} cores, {memory:.0f} GB; load {load:.1f} at the start",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}, {commit(ROOT)}",
    ]


def processor_name() -> str:
    """Return the processor's name, and the widest vector instructions torch uses on it."""
    import torch

    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"


def commit(checkout: Path) -> str:
    """Return the commit of a checkout, as text for the machine's description."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=8", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "commit unknown"
    return f"commit {done.stdout.strip()}"


def parser(module_doc: str, minutes: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark.

    Args:
        module_doc: what is measured, for --help.
        minutes: how long it takes by default, as text.
    """
    text = argparse.RawDescriptionHelpFormatter
    found = argparse.ArgumentParser(description=module_doc, formatter_class=text, epilog=f"Takes {minutes}.")
    found.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="also write the table into its section of a page, docs/speed.md",
    )
    found.add_argument(
        "--json", action="store_true", help="print one JSON object a line instead of the table"
    )
    found.add_argument(
        "--quick", action="store_true", help="a smoke run: small, few repeats, figures without worth"
    )
    found.add_argument(
        "--repeats",
        type=_at_least_one,
        default=None,
        help=f"interleaved repeats (default {REPEATS}; quick: 1)",
    )
    return found


def add_checkout(found: argparse.ArgumentParser, what: str) -> None:
    """Add --against: another checkout of maskbench to measure in turn with this one."""
    found.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help=f"another checkout of maskbench with its own .venv; {what} in turn with this one",
    )


def checkouts_of(options: argparse.Namespace) -> dict[str, Path | None]:
    """Return the checkouts to measure by name: this one, which is None, then the one of --against."""
    other = options.against
    return {"this": None} | ({str(other): other} if other else {})


def repeats_of(options: argparse.Namespace, default: int = REPEATS) -> int:
    """Return the number of repeats that the options ask for."""
    return int(options.repeats or (1 if options.quick else default))


def python_of(checkout: Path | None) -> str:
    """Return the Python of a checkout; of this one, the Python that runs the benchmark.

    Raises:
        BenchmarkError: the checkout has no environment.
    """
    if checkout is None:
        return sys.executable
    python = checkout.absolute() / ".venv" / "bin" / "python"
    if not python.exists():
        raise BenchmarkError(
            f"{checkout} has no .venv/bin/python; name a checkout of maskbench in which it is installed, "
            "for instance by `make .venv/.run-installed`"
        )
    return str(python)


def run(
    benchmark: str, measure: Callable[[argparse.Namespace, Results], None], options: argparse.Namespace
) -> None:
    """Print the machine, measure, and print the table; a `BenchmarkError` ends with its message and exit code 2, Ctrl-C
    with what was measured so far."""
    results, machine, began = Results(benchmark, options.json), describe_machine(), time.monotonic()
    for line in machine:
        print(line, file=sys.stderr if options.json else sys.stdout, flush=True)
    try:
        if options.page:
            read_page(options.page, benchmark)
        measure(options, results)
    except (BenchmarkError, KeyboardInterrupt) as error:
        # What was measured until then is worth its time.
        results.finish()
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(130) from None
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    results.finish()
    if options.page:
        minutes = (time.monotonic() - began) / 60
        write_section(options.page, results, [*machine, f"Took {minutes:.1f} minutes."])


def write_section(page: Path, results: Results, machine: Sequence[str]) -> None:
    """Replace a benchmark's section of a page: the command, the machine, the table, what was skipped.

    Raises:
        BenchmarkError: the page has no such section.
    """
    before, after = read_page(page, results.benchmark)
    words = [word for word in sys.argv[1:] if word != "--json"]
    skipped = [f"* not measured: {what}: {why}" for what, why in results.skipped.items()]
    text = [
        f"`{shlex.join(['python', '-m', f'benchmarks.{results.benchmark}', *words])}`",
        "",
        *(f"* {line}" for line in machine),
        *skipped,
        "",
        "| case | length | figure | against | median | low | high | seen here |",
        "|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join(line.cells()) + " |" for line in results.lines),
    ]
    page.write_text(before + "\n".join(text) + "\n" + after, encoding="utf-8")


def read_page(page: Path, benchmark: str) -> tuple[str, str]:
    """Return what stands in a page before and after the section of a benchmark.

    Raises:
        BenchmarkError: the page cannot be read, or does not have the section's two marks.
    """
    marks = [f"<!-- {benchmark} -->\n", f"<!-- end of {benchmark} -->\n"]
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"{page} cannot be read: {error.strerror}; --page takes docs/speed.md") from None
    if not all(text.count(mark) == 1 for mark in marks) or text.index(marks[0]) > text.index(marks[1]):
        raise BenchmarkError(
            f"{page} does not have the lines {marks[0].strip()} and {marks[1].strip()}, in this order"
        )
    start, end = text.index(marks[0]) + len(marks[0]), text.index(marks[1])
    return text[:start], text[end:]


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
