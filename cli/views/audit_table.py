"""An audit as terminal text: one line per arm, or per strategy at a site; below the table every broken promise."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO, get_args

from rich.table import Table
from rich.text import Text

from maskbench.text import sanitize

from ..terminal import console_on, print_whole
from .mask_table import SHORT_SITES

if TYPE_CHECKING:
    from maskbench.audit.report import Finding

_HEADINGS = {
    "invariance": "inv.",
    "gradients": "grad",
    "decoding": "dec.",
    "draws": "draw",
    "density": "dens",
}
"""How the table writes long names of families."""
_BROKEN = "x"
"""Stands before the number of broken promises."""


def print_findings(found: Sequence[Sequence[Finding]], file: TextIO | None = None) -> None:
    """Print the table, the broken promises and the totals; a file gets no styles and the full width."""
    console = console_on(file or sys.stdout)
    print_whole(console, findings_table(found))
    if broken := [finding for one in found for finding in _broken(one)]:
        console.file.write("\n")
        console.file.writelines(f"{sanitize(broken_promise(finding))}\n" for finding in broken)
    console.file.write(f"\n{totals_line(found)}\n")


def _broken(findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding per broken promise: that of float64 where it is broken in both number formats."""
    return list(
        {finding.proof: finding for finding in reversed(findings) if finding.passed is False}.values()
    )[::-1]


def findings_table(found: Sequence[Sequence[Finding]]) -> Table:
    """Return one row for every subject and one column for every family of proofs."""
    from maskbench.audit.proofs.registry import ProofFamily

    families = get_args(ProofFamily)
    table = Table(box=None, pad_edge=False)
    table.add_column("arm" if _are_arms(found) else "strategy", no_wrap=True)
    table.add_column("site", overflow="fold")
    for family in families:
        table.add_column(_HEADINGS.get(family, family), no_wrap=True)
    for one in found:
        cells = [_cell([finding for finding in one if finding.family == family]) for family in families]
        sites = " ".join(SHORT_SITES.get(site, site) for site in one[0].site.split(", "))
        table.add_row(Text(sanitize(one[0].name)), Text(sanitize(sites)), *cells)
    return table


def _are_arms(found: Sequence[Sequence[Finding]]) -> bool:
    return bool(found) and all(one[0].kind == "arm" for one in found)


def _cell(findings: Sequence[Finding]) -> Text:
    """Return `ok`, how many promises are broken, or a dash where no proof applies."""
    broken = len(_broken(findings))
    if broken:
        return Text(f"{_BROKEN} {broken}", style="red")
    return Text("ok", style="green") if any(finding.passed for finding in findings) else Text("-")


def broken_promise(finding: Finding) -> str:
    """Return a line that says what was measured, where, and what was promised."""
    measured = "" if finding.value is None else f" {finding.value:.3g}"
    allowed = "" if finding.limit is None else f" (limit {finding.limit:.3g})"
    detail = f": {finding.detail}" if finding.detail else ""
    return f"{finding.where}: {finding.proof}, {finding.dtype}:{measured}{allowed}{detail}"


def totals_line(found: Sequence[Sequence[Finding]]) -> str:
    """Return how many subjects and proofs there were, and how many promises are broken."""
    every = [finding for one in found for finding in one]
    asked = sum(finding.passed is not None for finding in every)
    broken = sum(len(_broken(one)) for one in found)
    many = len(found) != 1
    what = (
        f"arm{'s' * many}"
        if _are_arms(found)
        else ("strategies at their sites" if many else "strategy at its site")
    )
    ends = {0: "every promise is kept", 1: "1 promise is broken"}.get(broken, f"{broken} promises are broken")
    return f"{len(found)} {what}, {asked} proofs, {len(every) - asked} not asked: {ends}"
