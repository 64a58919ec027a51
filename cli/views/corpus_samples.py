"""Sentence pairs as terminal text: both lines, and below them the annotations of every target word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from maskbench.data.export import export_annotations
from maskbench.text import sanitize

from ..terminal import Glyphs

if TYPE_CHECKING:
    from maskbench.data.corpus import Split

JUNK = "~"
"""Stands before a source word that means nothing."""
_ARROW = "<-"


def samples_heading(split: Split, count: int) -> RenderableType:
    """Return the heading of the pairs, with a key to their signs."""
    copy = f", an altered copy of {split.origin}" if split.origin else ""
    heading = Text(
        sanitize(f"\n{count} of {len(split):,} pairs of {split.name}{copy}", lines=True), style="bold"
    )
    signs = []
    if split.links is not None:
        signs.append(f"{_ARROW} what a word translates; (3) its place, where a source has it more than once")
    if split.deps is not None:
        signs.append("+ what else it hangs on")
    if split.junk is not None:
        signs.append(f"{JUNK} a word that means nothing")
    return Group(heading, *(Text(sign, style="dim") for sign in signs))


def sample(split: Split, index: int, tags: Sequence[str], glyphs: Glyphs) -> RenderableType:
    """Return one pair: its lines, and its words where the corpus annotates them."""
    source, target = split.sources[index], split.references[index]
    known = export_annotations(split, index, tags)
    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    lines.add_row(Text(f"{index}", style="dim"), _marked(source, known.get("junk")))
    lines.add_row(Text(), Text(sanitize(target), style="bold"))
    parts: list[RenderableType] = ["", lines]
    if "align" in known:
        words = _words(target, _named(source.split()), known, glyphs)
        parts.append(Padding(words, (0, 0, 0, len(f"{index}") + 1)))
    return Group(*parts)


def _marked(source: str, junk: Sequence[int] | None) -> Text:
    """Return the source line with its junk marked."""
    if junk is None or not any(junk):
        return Text(sanitize(source))
    text = Text()
    for i, (word, is_junk) in enumerate(zip(source.split(), junk, strict=True)):
        text.append(" " if i else "")
        text.append(sanitize(f"{JUNK}{word}" if is_junk else word), style="dim" if is_junk else "")
    return text


def _named(words: Sequence[str]) -> list[str]:
    """Return the words, each that occurs more than once with its place behind it."""
    counts = Counter(words)
    return [f"{word}({i})" if counts[word] > 1 else word for i, word in enumerate(words)]


def _words(target: str, source: Sequence[str], known: dict[str, Any], glyphs: Glyphs) -> RenderableType:
    """Return a line for every target word; one paragraph where only the alignment is known."""
    words = target.split()
    translated: list[list[int]] = [[] for _ in words]
    for s, t in known["align"]:
        translated[t].append(s)
    tags = known.get("tags")
    more = [sorted(set(d) - set(a)) for d, a in zip(known.get("deps", translated), translated, strict=True)]
    if tags is None and not any(more):
        # Without spaces inside, so that no line ends within one of them.
        sides = ["|".join(source[s] for s in places) or glyphs.nothing for places in translated]
        return Text(
            sanitize(" ".join(f"{word}{_ARROW}{side}" for word, side in zip(words, sides, strict=True)))
        )
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(max_width=20, overflow="fold")
    for _ in range(4):
        table.add_column(overflow="fold")
    for t, word in enumerate(words):
        others = f"+ {' '.join(source[s] for s in more[t])}" if more[t] else ""
        side = " ".join(source[s] for s in translated[t]) or glyphs.nothing
        cells = (word, _ARROW, side, tags[t] if tags else "", others)
        styles = ("", "dim", "", "cyan", "dim")
        table.add_row(*(Text(sanitize(cell), style=style) for cell, style in zip(cells, styles, strict=True)))
    return table
