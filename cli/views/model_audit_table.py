"""The audit of a model as terminal text: one line per proof that was made, every broken promise, and what was not checked."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskbench.text import sanitize

from ..terminal import console_on, print_whole

if TYPE_CHECKING:
    from maskbench.model_audit import ModelFinding

_STYLES = {"holds": "green", "BROKEN": "bold red"}


def print_model_findings(
    name: str, call_note: str, findings: Sequence[ModelFinding], file: TextIO | None = None
) -> None:
    """Print how the model was called, the table, the broken promises, what was not checked, and the totals."""
    console = console_on(file or sys.stdout)
    if call_note:
        console.file.write(_wrapped(f"{name}: {call_note}", console, "") + "\n\n")
    print_whole(console, findings_table(findings))
    out = console.file
    for finding in findings:
        if finding.passed is False:
            question = f"{finding.question} No, in {finding.dtype}:"
            out.write(f"\n{_wrapped(question, console, '')}\n{_wrapped(finding.sentence, console, '  ')}\n")
        elif finding.answer.verdict:
            said = f"{finding.proof}: {finding.verdict}. {finding.sentence}"
            out.write(f"\n{_wrapped(said, console, '')}\n")
    missing: dict[str, list[str]] = {}
    for finding in findings:
        for reason in finding.not_made:
            missing.setdefault(reason, []).append(finding.proof)
    if missing:
        out.write("\nnot checked:\n")
        out.writelines(
            _wrapped(f"{', '.join(proofs)}: {reason}", console, "  ") + "\n"
            for reason, proofs in missing.items()
        )
    out.write(f"\n{totals(name, findings)}\n")


def _wrapped(text: str, console: Console, indent: str) -> str:
    """Return a sentence in lines that fit the terminal; a file gets one line."""
    said = sanitize(text)
    if not console.is_terminal:
        return indent + said
    return textwrap.fill(
        said,
        console.width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def findings_table(findings: Sequence[ModelFinding]) -> Table:
    """Return one row per proof that was made: its verdict, the measured difference or count, and what is allowed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("proof", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("allowed", justify="right", no_wrap=True)
    for finding in findings:
        if finding.passed is None:
            continue
        word = "BROKEN" if finding.passed is False else finding.verdict
        numbers = [_number(n) for n in (finding.answer.value, finding.answer.limit)]
        table.add_row(finding.proof, Text(word, style=_STYLES.get(word, "yellow")), *numbers)
    return table


def _number(n: float | None) -> str:
    if n is None:
        return ""
    return f"{n:.2g}" if n < sys.float_info.max else "not finite"


def totals(name: str, findings: Sequence[ModelFinding]) -> str:
    """Return how many promises are kept, broken and were not checked."""
    kept, broken, missing = (sum(f.passed is verdict for f in findings) for verdict in (True, False, None))
    return f"{sanitize(name)}: {kept} proofs hold, {broken} broken, {missing} not checked"
