"""Writes `docs/field.md` and `docs/field/evidence.md` from what was measured and what the catalogue says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.field.catalogue import full_name, packages
from benchmarks.field.entry import GROUPS, Entry, Judgement, Package
from benchmarks.field.environment import CHECKOUT
from benchmarks.field.oracle import NOISE
from benchmarks.field.results import Results
from maskbench.model_audit.proofs.registry import ModelProof, model_proofs_in_order

MARKS = {
    "holds": "+",
    "defect": "**D**",
    "design effect": "E",
    "not explained": "**?**",
    "does not apply": "-",
    "could not run": "x",
}
"""What stands in a cell."""


def proofs() -> list[ModelProof]:
    """Return the proofs in the order of the columns."""
    import maskbench.model_audit  # noqa: F401  # registers them

    return model_proofs_in_order()


def count_states(found: Mapping[str, Any]) -> dict[str, int]:
    """Return how many cells of an entry hold, fail, do not apply, and could not run."""
    return dict(Counter(cell["state"] for cell in found.get("cells", {}).values()))


def failing_proofs(found: Mapping[str, Any] | None, judgement: Judgement) -> list[str]:
    """Return the failing proofs of an entry that a judgement explains."""
    cells = (found or {}).get("cells", {})
    return [name for name, cell in cells.items() if cell["state"] == "fails" and name in judgement.proofs]


def trials_of(package: Package, entry: Entry, judgement: Judgement) -> list[str]:
    """Return what is tried for a judgement: its control, its mend, and an earlier version."""
    before = package.before if judgement.verdict == "defect" else ""
    wanted = {
        "control": entry.name in judgement.control,
        "mend": bool(judgement.mend),
        "before": bool(before),
    }
    return [what for what, is_wanted in wanted.items() if is_wanted]


@dataclass(frozen=True, slots=True)
class Row:
    """One entry with what was measured of it."""

    package: Package
    entry: Entry
    found: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The entry's full name."""
        return full_name(self.package, self.entry)

    @property
    def is_built(self) -> bool:
        """Whether it has cells."""
        return "cells" in self.found

    def judgement(self, proof: str) -> Judgement | None:
        """Return the judgement on a proof; None: there is none."""
        return next((j for j in self.package.judged(self.entry.name) if proof in j.proofs), None)

    def state(self, proof: str) -> str:
        """Return the key of `MARKS` for a cell."""
        if not self.is_built:
            return "could not run"
        state: str = self.found["cells"].get(proof, {"state": "could not run"})["state"]
        if state != "fails":
            return state
        judgement = self.judgement(proof)
        return judgement.verdict if judgement else "not explained"


def rows(entries: Sequence[tuple[Package, Entry]], results: Results) -> list[Row]:
    """Return the rows of entries that were measured."""
    return [
        Row(package, entry, found)
        for package, entry in entries
        if (found := results.of(full_name(package, entry))) is not None
    ]


def tables_of(entries: Sequence[tuple[Package, Entry]], results: Results) -> str:
    """Return, for the terminal, every cell of some entries that does not simply hold, and how many do."""
    lines: list[str] = []
    for row in rows(entries, results):
        if not row.is_built:
            lines.append(f"{row.name}: {row.found['error']}")
            continue
        counts = Counter(row.state(proof.name) for proof in proofs())
        lines.append(
            f"{row.name}: " + ", ".join(f"{counts[state]} {state}" for state in MARKS if counts[state])
        )
        for proof in proofs():
            cell = row.found["cells"][proof.name]
            if row.state(proof.name) != "holds" or "detail" in cell:
                lines.append(f"  {proof.name}: {row.state(proof.name)}: {cell['detail']}")
            if repeats := row.found["repeats"].get(proof.name):
                lines.append(f"    repeated: {said_of_repeats(repeats)}")
    return "\n".join(lines)


def said_of_repeats(repeats: Mapping[str, Any]) -> str:
    """Return in words how often a failing proof failed again."""
    total = sum(repeats.get(key, 0) for key in ("fails", "holds", "not made"))
    said = f"fails {repeats.get('fails', 0)} of {total} times"
    if "least" in repeats:
        said += f", by {repeats['least']:.2g} to {repeats['most']:.2g}"
    return said + (f"; not made {repeats['not made']} times" if repeats.get("not made") else "")


def problems(entries: Sequence[tuple[Package, Entry]], results: Results) -> list[str]:
    """Return what stops the page from being right: failing cells without a cause, controls and mends that do not help."""
    found = [problem for row in rows(entries, results) for problem in _problems_of(row, results)]
    for asked in asked_by_hand(rows(entries, results)):
        if asked.agrees is False:
            found.append(f"{asked.row.name}: {asked.proof}: the oracle saw {asked.moved:.2g}")
    return found


def not_tried() -> list[tuple[str, str]]:
    """Return what is no entry and might be, with the reason: whole packages, and models of packages."""
    found = [(package.name, package.missing) for package in packages() if package.missing]
    return found + [
        (f"{package.name}/{name}", reason) for package in packages() for name, reason in package.not_tried
    ]


def _problems_of(row: Row, results: Results) -> Iterator[str]:
    for proof in proofs():
        if row.is_built and row.state(proof.name) == "not explained":
            yield f"{row.name}: {proof.name} fails, and no judgement says why"
    for judgement in row.package.judged(row.entry.name):
        failing = failing_proofs(row.found, judgement)
        if not failing:
            yield f"{row.name}: nothing fails that {judgement.title!r} explains"
        for what in ("control", "mend"):
            if what not in trials_of(row.package, row.entry, judgement):
                continue
            trial = results.trial(row.name, judgement, what)
            if trial is None or "error" in trial:
                yield f"{row.name}: the {what} of {judgement.title!r} was not made: {(trial or {}).get('error', '')}"
                continue
            bad = [name for name in failing if trial["cells"].get(name, {}).get("state") == "fails"]
            if bad:
                yield f"{row.name}: with the {what} of {judgement.title!r} {', '.join(bad)} still fails"


@dataclass(frozen=True, slots=True)
class Case:
    """A judgement with the cells that it explains."""

    package: Package
    judgement: Judgement
    rows: Sequence[Row]

    def cells(self) -> Iterator[tuple[Row, str, Mapping[str, Any]]]:
        """Yield every failing cell: its row, its proof, and what was measured."""
        for row in self.rows:
            for proof in failing_proofs(row.found, self.judgement):
                yield row, proof, row.found["cells"][proof]

    @property
    def proofs(self) -> list[str]:
        """The proofs that fail, in the order of the columns."""
        seen = {proof for _, proof, _ in self.cells()}
        return [proof.name for proof in proofs() if proof.name in seen]

    @property
    def size(self) -> str:
        """The largest change of a score that was seen, or what else was."""
        values = [
            cell["value"] for _, proof, cell in self.cells() if proof not in COUNTED and "value" in cell
        ]
        return f"{max(values):.2g}" if values else ""

    def before(self, results: Results) -> str:
        """Return whether an earlier version has it as well."""
        trials = [results.trial(row.name, self.judgement, "before") for row in self.rows]
        made = [trial for trial in trials if trial is not None]
        if not made:
            return ""
        states = [cell["state"] for trial in made for cell in trial["cells"].values()]
        if not states:
            return f"{self.package.before} does not have the class, or does not build it"
        fails = states.count("fails")
        return f"{self.package.before}: {'yes' if fails == len(states) else 'no' if not fails else 'in part'}, {fails} of {len(states)} cells"


COUNTED = ("every part works", "reach", "draws", "no trace")
"""Proofs whose number is no change of a score."""


def cases(all_rows: Sequence[Row]) -> list[Case]:
    """Return all judgements that explain a failing cell."""
    found = []
    for package in packages():
        for judgement in package.judgements:
            mine = [row for row in all_rows if row.package == package and row.entry.name in judgement.entries]
            mine = [row for row in mine if failing_proofs(row.found, judgement)]
            if mine:
                found.append(Case(package, judgement, mine))
    return found


def said_of_trial(row: Row, case: Case, what: str, proof: str, results: Results) -> str:
    """Return in a few words what a trial showed for a cell."""
    trial = results.trial(row.name, case.judgement, what)
    if trial is None:
        return "-"
    cell = trial["cells"].get(proof)
    if cell is None:
        return "not built" if what == "before" else "not made"
    value = f" ({cell['value']:.1g})" if "value" in cell and proof not in COUNTED else ""
    return f"{cell['state']}{value}"


def pages(results: Results) -> dict[Path, str]:
    """Return the text of the page and of the one with every failing cell, by their files."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    docs, facts = CHECKOUT / "docs", _facts(results)
    names = {docs / "field.md": "field.md.jinja", docs / "field" / "evidence.md": "evidence.md.jinja"}
    return {file: environment.get_template(name).render(**facts) for file, name in names.items()}


def _facts(results: Results) -> dict[str, Any]:
    entries = [(package, entry) for package in packages() for entry in package.entries]
    all_rows = rows(entries, results)
    by_group = {group: [row for row in all_rows if row.entry.group == group] for group in GROUPS}
    found = cases(all_rows)
    return {
        "packages": packages(),
        "groups": {group: (title, by_group[group]) for group, title in GROUPS.items() if by_group[group]},
        "counts": {group: _counts(by_group[group]) for group in GROUPS if by_group[group]},
        "total": _counts(all_rows),
        "marks": MARKS,
        "proofs": proofs(),
        "defects": [case for case in found if case.judgement.verdict == "defect"],
        "effects": [case for case in found if case.judgement.verdict == "design effect"],
        "not_built": [row for row in all_rows if not row.is_built],
        "dates": sorted({row.found["date"] for row in all_rows}),
        "seconds": sum(row.found.get("seconds", 0.0) for row in all_rows),
        "repeats": _repeats(all_rows),
        "asked": asked_by_hand(all_rows),
        "refused": [row for row in all_rows if "error" in row.found.get("oracle", {})],
        "seeds_of_oracle": sorted({row.found["oracle"]["seed"] for row in all_rows if "oracle" in row.found}),
        "noise": NOISE,
        "not_tried": not_tried(),
        "results": results,
        "said_of_repeats": said_of_repeats,
        "said_of_trial": said_of_trial,
        "unmeasured": len(entries) - len(all_rows),
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """One promise that the oracle asked by hand, beside the cell of the table."""

    row: Row
    proof: str
    moved: float
    """Relative to the largest score or 1."""

    @property
    def agrees(self) -> bool | None:
        """Whether the cell says the same; None: the cell does not apply."""
        state = self.row.state(self.proof)
        if state in ("does not apply", "could not run"):
            return None
        return (self.moved > NOISE) == (state != "holds")


def asked_by_hand(all_rows: Sequence[Row]) -> list[Asked]:
    """Return all that the oracle asked."""
    return [
        Asked(row, proof, moved)
        for row in all_rows
        for proof, moved in row.found.get("oracle", {}).get("moved", {}).items()
    ]


def _counts(some: Sequence[Row]) -> dict[str, int]:
    """Return how many entries were built, and the states of their cells."""
    built = [row for row in some if row.is_built]
    states = Counter(row.state(proof.name) for row in built for proof in proofs())
    return {"entries": len(some), "built": len(built), **{state: states[state] for state in MARKS}}


def _repeats(some: Sequence[Row]) -> dict[str, int]:
    """Return how often failing proofs were repeated, and how often they failed again."""
    found: Counter[str] = Counter()
    for row in some:
        for repeats in row.found.get("repeats", {}).values():
            found.update({key: repeats.get(key, 0) for key in ("fails", "holds", "not made")})
            found["cells"] += 1
            found["always"] += not repeats.get("holds") and bool(repeats.get("fails"))
    return dict(found)
