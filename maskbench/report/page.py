"""Renders the report page from one section per panel; the templates in this package escape all text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import maskbench
from maskbench.comparison.results import ComparisonOptions
from maskbench.comparison.text.footnotes import arm_notes, grouped_warnings
from maskbench.comparison.text.sentences import noise_sentences
from maskbench.comparison.text.table_cells import TableCells, table_cells
from maskbench.comparison.text.verdict_symbols import verdict_with_symbol
from maskbench.config.load import dump_resolved
from maskbench.report.answers import PanelAnswers, make_answers
from maskbench.report.cost import draw_cost
from maskbench.report.figure import Plot, default_matplotlib_settings
from maskbench.report.forest import draw_forest
from maskbench.report.gather import ReportPanel, read_panels
from maskbench.report.learning import describe_constant_masks, draw_learning_curves
from maskbench.report.methods import write_limits, write_methods
from maskbench.report.origin import list_commands, list_provenance
from maskbench.report.pictures import Pictures, read_pictures
from maskbench.report.samples import Samples, read_samples
from maskbench.report.slices import draw_slices
from maskbench.report.tables import (
    NOTHING,
    OtherTable,
    cost_table,
    noise_table,
    other_tables,
    overlap_table,
)
from maskbench.text import sanitize

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class PanelSection:
    """The page's content for one panel."""

    panel: ReportPanel
    answers: PanelAnswers
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    table: TableCells
    forest: Plot | None
    learning: tuple[Plot, ...]
    still: tuple[str, ...]
    cost: Plot | None
    costs: tuple[tuple[str, tuple[str, ...]], ...]
    slices: tuple[Plot, ...]
    others: tuple[OtherTable, ...]
    noise: OtherTable | None
    overlaps: OtherTable | None
    overlap_sentences: tuple[str, ...]
    noise_sentences: tuple[str, ...]
    pictures: Pictures
    samples: Samples
    methods: tuple[str, ...]
    limits: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    experiment: str
    """Text of the resolved experiment file."""


def render_page(directories: Sequence[Path], choices: ComparisonOptions) -> str:
    """Return the page as one self-contained HTML document.

    Raises:
        ConfigError: as in `maskbench.comparison.table.compare`.
    """
    panels = read_panels(directories, choices)
    with default_matplotlib_settings():
        sections = [_section(panel, choices) for panel in panels]
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8").strip()
    environment = _environment()
    # The content security policy allows only the style sheet with this hash, so its bytes must not change.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    names = list(dict.fromkeys(section.panel.comparison.experiment for section in sections))
    return environment.get_template("report.html").render(
        sections=sections,
        several=len(sections) > 1,
        title=" and ".join(names),
        style=Markup(style),
        style_hash=f"sha256-{digest}",
        version=maskbench.__version__,
    )


def _section(panel: ReportPanel, choices: ComparisonOptions) -> PanelSection:
    return PanelSection(
        panel=panel,
        answers=make_answers(panel),
        warnings=(*grouped_warnings(panel.comparison), *panel.unread),
        notes=tuple(arm_notes(panel.comparison)),
        table=table_cells(panel.comparison),
        forest=draw_forest(panel),
        learning=tuple(draw_learning_curves(panel)),
        still=tuple(describe_constant_masks(panel)),
        cost=draw_cost(panel),
        costs=tuple(cost_table(panel)),
        slices=tuple(draw_slices(panel)),
        others=tuple(other_tables(panel)),
        noise=noise_table(panel),
        noise_sentences=tuple(noise_sentences(panel.comparison)),
        overlaps=overlap_table(panel),
        overlap_sentences=tuple(panel.collected.overlaps.sentences()),
        pictures=read_pictures(panel),
        samples=read_samples(panel),
        methods=tuple(write_methods(panel)),
        limits=tuple(write_limits(panel)),
        facts=tuple(list_provenance(panel)),
        commands=tuple(list_commands(panel, choices)),
        experiment=dump_resolved(panel.collected.found.experiment),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["capitalised"] = _capitalised
    environment.filters["with_symbol"] = verdict_with_symbol
    environment.globals["nothing"] = NOTHING
    return environment


def _capitalised(sentence: str) -> str:
    """Return a sentence with a capital first letter; other letters stay, unlike in jinja's `capitalize`."""
    return sentence[:1].upper() + sentence[1:]


def _harmless(value: Any) -> Any:
    """Remove control characters from text that a template writes; `Markup`, which is made here, stays."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return sanitize(value, lines=True)
    return value
