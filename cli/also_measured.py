"""What a comparison measured besides its metric, as tables that fit the terminal.

Every metric of a whole split is shown, `forced_gap` only where it is not 0 in every arm. Of slices, of which there can be hundreds, those are that belong to the compared
metric: its own on its split, or, where a slice is compared, its kind there and the same one on the other splits. The
rest is counted, and stands in the JSON document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import Comparison, OtherMetric
from maskbench.config.metrics import MetricName, metric_name

from .columns import width_of
from .figures import Scale, scale_of, signed
from .glyphs import Glyphs
from .plain import plain
from .shown import bare_table


@dataclass(frozen=True, slots=True)
class Block:
    """Metrics that stand under one caption."""

    caption: str
    columns: dict[str, str] = field(default_factory=dict)
    """From a column's heading to the metric's name."""


def also_measured(comparison: Comparison, width: int, glyphs: Glyphs) -> Iterator[Text | Table | str]:
    """Yield captions, tables and empty lines; nothing where nothing else was measured."""
    names, compared = _others(comparison), metric_name(comparison.settings.metric)
    slices = [name for name in names if _is_beside(name, compared)]
    shown = [name for name in names if not name.part or _is_elsewhere(name, compared)]
    for block in (*_slices(comparison, slices), *_blocks(comparison, shown)):
        for table in _tables(comparison, block, width, glyphs):
            yield from ("", Text(plain(block.caption), style="italic"), table)
    left = len(names) - len(slices) - len(shown)
    if left:
        slices_left = f"{left} more slice{'s' if left > 1 else ''} in --format json"
        sentence = f"{slices_left}; to compare one: --metric 'split/metric[slice]'"
        yield from ("", Text(sentence, style="italic"))


def _others(comparison: Comparison) -> list[MetricName]:
    found = dict.fromkeys(name for row in comparison.rows for name in row.other_metrics)
    names = [parts for name in found if (parts := metric_name(name))]
    return [name for name in names if name.metric != "forced_gap" or _rings(comparison, str(name))]


def _rings(comparison: Comparison, name: str) -> bool:
    """Whether the gap, which is measured unasked and should be 0, is not."""
    found = (row.other_metrics.get(name) for row in comparison.rows)
    return any(other is not None and other.mean != 0 for other in found)


def _is_beside(name: MetricName, compared: MetricName | None) -> bool:
    """Whether this is a slice beside the compared one, or of the compared metric, on the same split."""
    if compared is None or not name.part or name.whole != compared.whole:
        return False
    return not compared.part or _kind(name) == _kind(compared)


def _is_elsewhere(name: MetricName, compared: MetricName | None) -> bool:
    """Whether this is the compared slice on another split, or under other masks."""
    return compared is not None and (name.metric, name.part) == (compared.metric, compared.part)


def _kind(name: MetricName) -> str:
    return name.part.partition(":")[0]


def _slices(comparison: Comparison, names: Sequence[MetricName]) -> Iterator[Block]:
    """Yield the slices of one metric and split, if there are any."""
    for whole in dict.fromkeys(str(name.whole) for name in names):
        unit = scale_of(comparison, whole).unit
        caption = f"{whole}{unit} by slice, without verdict: mean (difference)"
        yield Block(caption, {name.part: str(name) for name in names})


def _blocks(comparison: Comparison, names: Sequence[MetricName]) -> list[Block]:
    """Group the metrics by split, or, where there are more splits than metrics, by metric."""
    by_split: dict[str, Block] = {}
    by_metric: dict[str, Block] = {}
    for name in names:
        split, _, metric = str(name).partition("/")
        scale = scale_of(comparison, str(name))
        caption = f"also measured on {split}, without verdict: mean (difference)"
        by_split.setdefault(split, Block(caption)).columns[metric + scale.percent] = str(name)
        caption = f"{metric}{scale.unit} by split, without verdict: mean (difference)"
        by_metric.setdefault(metric, Block(caption)).columns[split] = str(name)
    return list((by_metric if len(by_metric) < len(by_split) else by_split).values())


def _tables(comparison: Comparison, block: Block, width: int, glyphs: Glyphs) -> Iterator[Table]:
    """Yield a table of the columns, or several where one would be too wide."""
    chunk: dict[str, str] = {}
    for heading, name in block.columns.items():
        longer = {**chunk, heading: name}
        if chunk and width_of(_table(comparison, longer, glyphs)) > width:
            yield _table(comparison, chunk, glyphs)
            longer = {heading: name}
        chunk = longer
    yield _table(comparison, chunk, glyphs)


def _table(comparison: Comparison, columns: dict[str, str], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs)
    table.add_column("arm", overflow="fold", no_wrap=False)
    for heading in columns:
        table.add_column(Text(plain(heading)), justify="right", no_wrap=True)
    scales = {name: scale_of(comparison, name) for name in columns.values()}
    for row in comparison.rows:
        cells = (_cell(row.other_metrics.get(name), scale, glyphs) for name, scale in scales.items())
        table.add_row(Text(plain(row.title)), *map(Text, cells))
    return table


def _cell(other: OtherMetric | None, scale: Scale, glyphs: Glyphs) -> str:
    if other is None:
        return glyphs.nothing
    mean = scale.number(other.mean)
    return (
        mean if other.difference_mean is None else f"{mean} ({signed(scale.number(other.difference_mean))})"
    )
