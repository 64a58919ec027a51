"""The catalogue of strategies as a table, and one strategy in full."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskbench.text import count_of, sanitize

from ..terminal import Glyphs, bare_table

if TYPE_CHECKING:
    from maskbench.masks.catalogue import Parameter, StrategyEntry

SHORT_SITES = {
    "encoder_input": "src",
    "decoder_input": "tgt",
    "encoder_self": "enc",
    "decoder_self": "dec",
    "cross": "cross",
    "memory": "memory",
    "logits": "logits",
    "loss": "loss",
}
"""How the table writes sites."""

_KINDS = (
    *("attention mask", "score bias", "gate", "weight mask", "normaliser"),
    *("token mask", "input feature", "logit mask", "loss mask"),
)


def catalogue_table(entries: Sequence[StrategyEntry], glyphs: Glyphs) -> RenderableType:
    """Return every strategy under the heading of its kind, then the presets."""
    strategies = [entry for entry in entries if entry.preset_of is None]
    kinds = sorted({e.kind for e in strategies}, key=lambda k: (*_KINDS, k).index(k))
    parts: list[RenderableType] = []
    for kind in kinds:
        parts += [_section(_plural(kind), [e for e in strategies if e.kind == kind], glyphs), ""]
    presets = [entry for entry in entries if entry.preset_of is not None]
    if presets:
        parts += [_section("presets", presets, glyphs), ""]
    parts.append(_footer(len(strategies), len(presets)))
    return Group(*parts)


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _section(heading: str, entries: Sequence[StrategyEntry], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs)
    presets = entries[0].preset_of is not None
    names = (
        (heading, "sites", "preset of", "source")
        if presets
        else (heading, "sites", "depends on", "", "source")
    )
    widths = (20, 13, 15, 26) if presets else (17, 13, 13, 7, 22)
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, width=width, overflow="fold")
    for entry in entries:
        middle = [entry.preset_of or ""] if presets else [_dependencies(entry), _marks(entry)]
        cells = (entry.name, _sites(entry.sites), *middle, short_source(entry.source))
        table.add_row(*(Text(sanitize(cell)) for cell in cells))
    return table


def _dependencies(entry: StrategyEntry) -> str:
    """Return what it depends on, except parameters: `learned` says those."""
    return ", ".join(word for word in entry.depends_on if word != "parameters")


def _sites(sites: Sequence[str]) -> str:
    return " ".join(SHORT_SITES.get(site, site) for site in sites)


def _marks(entry: StrategyEntry) -> str:
    words = [("learned", entry.learned), ("random", entry.stochastic), ("oracle", entry.oracle)]
    return " ".join(word for word, holds in words if holds)


def short_source(source: str) -> str:
    """Return author and year of the first source that has a year: `Beltagy et al. 2020`."""
    found = (re.match(r"(.*?\b\d{4})\b", part.strip()) for part in re.split(r"[;(]", source))
    return next((match[1] for match in found if match), source)


def _footer(n_strategies: int, n_presets: int) -> Text:
    presets = f" and {count_of(n_presets, 'preset')}" if n_presets else ""
    listed = ", ".join(f"{short} {name}" for name, short in SHORT_SITES.items() if short != name)
    return Text(
        f"{n_strategies} strategies{presets}; sites: {listed}\n"
        "learned: has parameters; random: draws numbers; oracle: is told gold annotations\n"
        "maskbench masks NAME describes one in full, maskbench masks NAME --show draws it"
    )


def strategy_description(entry: StrategyEntry, glyphs: Glyphs) -> RenderableType:
    """Return one strategy in full."""
    heading = Text(sanitize(entry.name), style="bold")
    kind = f"preset of {entry.preset_of}, {entry.kind}" if entry.preset_of else entry.kind
    heading.append(f"  {kind}", style="not bold")
    parts: list[RenderableType] = [heading, Text(sanitize(entry.description))]
    if entry.details:
        parts += [item for paragraph in _paragraphs(entry.details) for item in ("", Text(paragraph))]
    parts += ["", _facts(entry)]
    if entry.parameters:
        parts += ["", _options(entry.parameters, glyphs)]
        if any(parameter.scheduled for parameter in entry.parameters):
            parts.append(Text("~ a schedule may stand there, such as {linear: [1, 4]}", style="dim"))
    parts += ["", Text("in an experiment file:", style="dim"), Text(sanitize(f"  {entry.example}"))]
    return Group(*parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs with their lines joined; indented lines stay as they are."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        indented = any(line.startswith(" ") for line in lines)
        yield sanitize("\n".join(lines), lines=True) if indented else sanitize(" ".join(lines))


def _facts(entry: StrategyEntry) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _fact_lines(entry):
        grid.add_row(Text(name, style="dim"), Text(sanitize(value)))
    return grid


def _fact_lines(entry: StrategyEntry) -> Iterator[tuple[str, str]]:
    yield "sites", ", ".join(entry.sites)
    yield "depends on", ", ".join(entry.depends_on) or "positions alone"
    yield "learned", "yes; it starts without any effect" if entry.learned else "no"
    if entry.refresh is not None:
        variants = entry.refresh["variants"]
        several = "drawn anew at every visit" if variants == "unlimited" else f"{variants} variants"
        yield (
            "random",
            f"yes; by default refresh: {{per: {entry.refresh['per']}}}"
            + (f", {several}" if entry.refresh["per"] == "example" else ""),
        )
    else:
        yield "random", "no"
    yield "acts in", " and ".join("training" if phase == "train" else "evaluation" for phase in entry.phases)
    if entry.oracle:
        yield "oracle", "yes; only on a corpus that marks what it needs"
    if entry.settings:
        yield "settings", ", ".join(f"{key}: {_written(value)}" for key, value in entry.settings.items())
    yield "source", entry.source


def _options(parameters: Sequence[Parameter], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs)
    table.add_column("option", no_wrap=True)
    table.add_column("takes", max_width=24, overflow="fold")
    table.add_column("default", max_width=16, overflow="fold")
    table.add_column("meaning", overflow="fold")
    for parameter in parameters:
        takes = ", ".join(part for part in (parameter.type, parameter.range) if part)
        default = "required" if parameter.required else _default(parameter.default, glyphs)
        name = f"{parameter.name}{' ~' if parameter.scheduled else ''}"
        cells = (name, takes, default, parameter.description)
        table.add_row(*(Text(sanitize(cell)) for cell in cells))
    return table


def _default(value: Any, glyphs: Glyphs) -> str:
    return glyphs.nothing if value is None else _written(value)


def _written(value: Any) -> str:
    from maskbench.masks.catalogue import to_flow_yaml

    return to_flow_yaml(value)
