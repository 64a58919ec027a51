"""The audit of a model as terminal text: one line per proof, then every broken promise, and what was not checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from maskbench.text import sanitize

from ..terminal import console_on, print_whole

if TYPE_CHECKING:
    from maskbench.model_audit import ModelFinding

_WORDS = {True: ("holds", "green"), False: ("BROKEN", "bold red"), None: ("not checked", "dim")}


def print_model_findings(name: str, findings: Sequence[ModelFinding], file: TextIO | None = None) -> None:
    """Print the table, the broken promises, what was not checked, and the totals."""
    console = console_on(file or sys.stdout)
    print_whole(console, findings_table(findings))
    out = console.file
    for finding in findings:
        if finding.passed is False:
            out.write(
                f"\n{sanitize(finding.question)} No, in {finding.dtype}:\n  {sanitize(finding.sentence)}\n"
            )
    missing: dict[str, list[str]] = {}
    for finding in findings:
        for reason in finding.not_made:
            missing.setdefault(reason, []).append(finding.proof)
    if missing:
        out.write("\nnot checked:\n")
        out.writelines(f"  {', '.join(proofs)}: {sanitize(reason)}\n" for reason, proofs in missing.items())
    out.write(f"\n{totals(name, findings)}\n")


def findings_table(findings: Sequence[ModelFinding]) -> Table:
    """Return one row per proof: its verdict, the measured number, and how much rounding may do."""
    table = Table(box=None, pad_edge=False)
    table.add_column("proof", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("moved", justify="right", no_wrap=True)
    table.add_column("allowed", justify="right", no_wrap=True)
    for finding in findings:
        word, style = _WORDS[finding.passed]
        numbers = ["" if n is None else f"{n:.2g}" for n in (finding.answer.value, finding.answer.limit)]
        table.add_row(finding.proof, Text(word, style=style), *numbers)
    return table


def totals(name: str, findings: Sequence[ModelFinding]) -> str:
    """Return how many promises are kept, broken and were not checked."""
    kept, broken, missing = (sum(f.passed is verdict for f in findings) for verdict in (True, False, None))
    return f"{sanitize(name)}: {kept} proofs hold, {broken} broken, {missing} not checked"
