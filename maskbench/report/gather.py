"""Reads the data that the page shows of each panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import tabulate
from maskbench.comparison.text.number_format import Scale, scale_of
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.curves import LearningCurve, read_curves
from maskbench.records.locate import find_panels
from maskbench.report.palette import ArmStyle, assign_styles


@dataclass(frozen=True, slots=True)
class ReportPanel:
    """One panel with its runs, comparison, learning curves and arm styles."""

    key: str
    """Prefix of the panel's ids in the page, such as `p1`."""
    collected: CollectedPanel
    comparison: Comparison
    curves: Mapping[str, Sequence[LearningCurve]]
    unread: tuple[str, ...]
    """One sentence for each run that is left out of the curves."""
    styles: Mapping[str, ArmStyle]

    @property
    def scale(self) -> Scale:
        """Unit and decimals of the compared metric."""
        return scale_of(self.comparison)

    @property
    def titles(self) -> dict[str, str]:
        """Arm -> title, in the order of the experiment file."""
        return {row.arm: row.title for row in self.comparison.rows}

    @property
    def name(self) -> str:
        """The experiment's name, and the panel's name if it has one."""
        return self.comparison.name


def read_panels(directories: Sequence[Path], choices: ComparisonOptions) -> list[ReportPanel]:
    """Read every panel in the directories.

    Raises:
        ConfigError: as in `maskbench.comparison.table.compare`.
    """
    found = [panel for directory in directories for panel in find_panels(directory)]
    return [_panel(collect_panel(one), choices, f"p{number}") for number, one in enumerate(found, 1)]


def _panel(collected: CollectedPanel, choices: ComparisonOptions, key: str) -> ReportPanel:
    comparison = tabulate(collected, choices)
    unread: list[str] = []
    arms = [row.arm for row in comparison.rows]
    return ReportPanel(
        key=key,
        collected=collected,
        comparison=comparison,
        curves=read_curves(collected.found, unread),
        unread=tuple(unread),
        styles=assign_styles(arms, comparison.settings.baseline),
    )
