"""Run the script of every report in `docs/field/`, and hold what it prints against what the report says.

Each runs in the environment of its package, where maskbench cannot be imported.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.field.catalogue import packages
from benchmarks.field.entry import Package
from benchmarks.field.environment import CHECKOUT, NotInstalledError, python_with

FOLDER = CHECKOUT / "docs" / "field"
WITHOUT_MASKBENCH = (
    "import sys; sys.modules['maskbench'] = None; exec(compile(sys.stdin.read(), 'report', 'exec'))"
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Report:
    """A report's script and what it is said to print."""

    name: str
    package: Package
    script: str
    seen: str


def read_report(name: str, package: Package) -> Report:
    """Return a report.

    Raises:
        ValueError: it has not one block of Python and one of output.
    """
    blocks = BLOCK.findall((FOLDER / f"{name}.md").read_text(encoding="utf-8"))
    scripts = [text for kind, text in blocks if kind == "python"]
    outputs = [text for kind, text in blocks if kind in ("", "text")]
    if len(scripts) != 1 or len(outputs) != 1:
        raise ValueError(f"docs/field/{name}.md needs one block of Python and one of what it prints")
    return Report(name, package, scripts[0], outputs[0])


def all_reports() -> list[Report]:
    """Return the reports that judgements name, each once."""
    named = {judgement.report: package for package in packages() for judgement in package.judgements}
    return [read_report(name, package) for name, package in sorted(named.items()) if name]


def run_report(report: Report) -> str:
    """Return what the script of a report prints, and the end of its errors if it fails.

    Raises:
        NotInstalledError: its package cannot be installed.
    """
    python = python_with(report.package.requirements)
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            [str(python), "-W", "ignore", "-c", WITHOUT_MASKBENCH],
            input=report.script,
            capture_output=True,
            text=True,
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
                "TRANSFORMERS_VERBOSITY": "error",
            },
            timeout=300,
        )
    return ended.stdout + (ended.stderr[-2000:] if ended.returncode else "")


def failures(reports: Sequence[Report]) -> list[str]:
    """Return, for every report whose script prints something else, the difference."""
    found = []
    for report in reports:
        try:
            said = run_report(report)
        except NotInstalledError as error:
            said = f"not installed: {error}\n"
        same = said.split() == report.seen.split()
        print(f"{report.name}: {'as written' if same else 'differs'}", file=sys.stderr, flush=True)
        if not same:
            lines = difflib.unified_diff(
                report.seen.splitlines(), said.splitlines(), "report", "seen now", lineterm=""
            )
            found.append(f"{report.name}:\n" + "\n".join(lines))
    return found


def main() -> None:
    """Run the reports that the options name."""
    options = argparse.ArgumentParser("python -m benchmarks.field.reports", description=__doc__)
    options.add_argument("names", nargs="*", help="reports without their ending; all without names")
    names = options.parse_args().names
    chosen = [report for report in all_reports() if not names or report.name in names]
    if unknown := set(names) - {report.name for report in chosen}:
        sys.exit(f"no judgement names a report {', '.join(sorted(unknown))}")
    if found := failures(chosen):
        sys.exit("\n\n".join(found))


if __name__ == "__main__":
    main()
