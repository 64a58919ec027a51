"""Tables of the metrics that get no verdict, with intervals, as wide as the terminal.

By default these are the compared metric on the other splits, the other metrics on the compared split, and the compared
metric's slices there, each block cut to `MAX_LINES` lines; a last line counts what is not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import ArmResult, Comparison
from maskbench.comparison.text.number_format import Scale, interval_text, scale_of, with_sign
from maskbench.comparison.text.table_cells import other_metric_names
from maskbench.config.schema.metrics import MetricName, metric_name
from maskbench.text import count_of, sanitize

from ..terminal import Glyphs, bare_table


@dataclass(frozen=True, slots=True)
class MetricSelection:
    """Which metrics to show; by default, those that fit a screen."""

    all_metrics: bool = False
    """Every metric of every split."""
    slices: bool = False
    """Every slice."""


COMPACT_SELECTION = MetricSelection()


MAX_LINES = 24
"""A block of the default selection takes about this many lines, however many arms there are."""

_GAP = 2
_FEWEST = 3
"""The smallest number of rows to which a block is cut."""


@dataclass(frozen=True, slots=True)
class MetricBlock:
    """Metrics under one caption, one per row."""

    caption: str
    metrics: dict[str, MetricName]
    """From a row's heading to the metric."""


def other_metric_tables(
    comparison: Comparison, detail: MetricSelection, width: int, glyphs: Glyphs
) -> Iterator[Text | Table]:
    """Yield captions and tables, then how much is not shown; nothing without other metrics."""
    names, shown = other_metric_names(comparison), set[MetricName]()
    lines = None if detail.all_metrics or detail.slices else MAX_LINES
    for block in _chosen(comparison, names, metric_name(comparison.settings.metric), detail):
        columns = _columns(comparison, dict(list(block.metrics.items())[:lines]), glyphs)
        chunks = list(_chunks(columns, width))
        rows = len(columns.metrics) if lines is None else max(_FEWEST, lines // len(chunks))
        if columns.metrics:
            shown.update(list(columns.metrics.values())[:rows])
            yield Text(f"\n{sanitize(block.caption)}", style="italic")
            yield from (_table(list(columns.metrics)[:rows], chunk, glyphs) for chunk in chunks)
    if shown:
        level = comparison.settings.level
        yield Text(f"exploratory: difference [{level} %], not corrected, without verdict", style="dim")
    yield from _left_out([name for name in names if name not in shown])


def _left_out(names: Sequence[MetricName]) -> Iterator[Text]:
    slices = sum(bool(name.part) for name in names)
    kinds = (("metric", len(names) - slices, "--all-metrics"), ("slice", slices, "--slices"))
    counted = [f"{count_of(n, f'more {kind}')} ({option})" for kind, n, option in kinds if n]
    if counted:
        yield Text(f"not shown: {', '.join(counted)}", style="dim")


def _chosen(
    comparison: Comparison, names: Sequence[MetricName], compared: MetricName | None, detail: MetricSelection
) -> Iterator[MetricBlock]:
    """Yield the blocks to show; no metric is in two of them."""
    whole = [name for name in names if not name.part]
    slices = [name for name in names if name.part]
    if compared is not None:
        elsewhere = [n for n in names if (n.metric, n.part) == (compared.metric, compared.part)]
        here = [n for n in whole if _place(n) == _place(compared)]
        beside = [n for n in slices if n.whole == compared.whole]
        yield from _elsewhere(comparison, compared, elsewhere)
        yield from _on(comparison, f"other metrics on {_place(compared)}", here)
        yield from _slices(comparison, beside)
        shown = {*elsewhere, *here, *beside}
        whole, slices = ([n for n in part if n not in shown] for part in (whole, slices))
    if detail.all_metrics:
        for place in dict.fromkeys(map(_place, whole)):
            yield from _on(comparison, f"metrics on {place}", [n for n in whole if _place(n) == place])
    if detail.slices:
        yield from _slices(comparison, slices)


def _place(name: MetricName) -> str:
    """Return the split, and the masks of the evaluation where they are not the run's own."""
    return str(name).partition("/")[0]


def _elsewhere(
    comparison: Comparison, compared: MetricName, names: Sequence[MetricName]
) -> Iterator[MetricBlock]:
    metric = str(compared).partition("/")[2]
    caption = f"{metric}{scale_of(comparison).unit} on other splits"
    yield MetricBlock(caption, {_place(name): name for name in names})


def _on(comparison: Comparison, caption: str, names: Sequence[MetricName]) -> Iterator[MetricBlock]:
    yield MetricBlock(
        caption, {f"{name.metric}{scale_of(comparison, str(name)).percent}": name for name in names}
    )


def _slices(comparison: Comparison, names: Sequence[MetricName]) -> Iterator[MetricBlock]:
    for whole in dict.fromkeys(name.whole for name in names):
        caption = f"{whole}{scale_of(comparison, str(whole)).unit} by slice"
        yield MetricBlock(caption, {name.part: name for name in names if name.whole == whole})


@dataclass(frozen=True, slots=True)
class _Columns:
    """A block's cells by arm, for the arms that have any; each column begins with its heading."""

    metrics: dict[str, MetricName]
    baseline: list[list[str]]
    """The baseline's column alone."""
    arms: list[list[str]]


def _columns(comparison: Comparison, metrics: dict[str, MetricName], glyphs: Glyphs) -> _Columns:
    found = _Columns(metrics, [], [])
    scales = _scales(comparison, list(metrics.values()))
    for row in comparison.rows:
        if any(str(name) in row.other_metrics for name in metrics.values()):
            cells = [_cell(comparison, row, str(name), scales[name], glyphs) for name in metrics.values()]
            side = found.baseline if row.arm == comparison.settings.baseline else found.arms
            side.append([sanitize(row.title), *cells])
    return found


def _scales(comparison: Comparison, names: Sequence[MetricName]) -> dict[MetricName, Scale]:
    """Return a scale for each; rows of one metric get the same, the coarsest, so that their numbers align."""
    own = {name: scale_of(comparison, str(name)) for name in names}
    decimals: dict[str, int] = {}
    for name, scale in own.items():
        decimals[name.metric] = min(scale.decimals, decimals.get(name.metric, scale.decimals))
    return {name: replace(scale, decimals=decimals[name.metric]) for name, scale in own.items()}


def _chunks(columns: _Columns, width: int) -> Iterator[list[list[str]]]:
    """Yield the columns of one table, or of several narrower ones that each begin with the baseline."""
    # Widths are summed here: letting Rich lay out every candidate is slow.
    room = width - max(map(_length, columns.metrics), default=0) - sum(map(_widest, columns.baseline))
    chunk: list[list[str]] = []
    for column in columns.arms:
        if chunk and sum(map(_widest, (*chunk, column))) > room:
            yield [*columns.baseline, *chunk]
            chunk = []
        chunk.append(column)
    yield [*columns.baseline, *chunk]


def _length(heading: str) -> int:
    return cell_len(sanitize(heading))


def _widest(column: Sequence[str]) -> int:
    return max(map(cell_len, column)) + _GAP


def _table(metrics: Sequence[str], columns: Sequence[Sequence[str]], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs, _GAP)
    table.add_column("", overflow="fold", no_wrap=False)
    for heading, *_ in columns:
        table.add_column(Text(heading), justify="right", overflow="fold")
    for number, heading in enumerate(metrics, start=1):
        table.add_row(Text(sanitize(heading)), *(Text(column[number]) for column in columns))
    return table


def _cell(comparison: Comparison, row: ArmResult, name: str, scale: Scale, glyphs: Glyphs) -> str:
    """Return the baseline's mean, or another arm's difference to it with its interval."""
    other = row.other_metrics.get(name)
    if other is None:
        return glyphs.nothing
    if row.arm == comparison.settings.baseline:
        return scale.number(other.mean)
    if other.difference_mean is None:
        return f"({scale.number(other.mean)})"
    limits = other.interval(comparison.settings.alpha)
    difference = with_sign(scale.number(other.difference_mean))
    return f"{difference} {interval_text(scale, limits.low, limits.high)}" if limits else difference
