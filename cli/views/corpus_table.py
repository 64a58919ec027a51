"""The list of corpora, the options of one, and the numbers of one, as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from maskbench.text import sanitize

from ..terminal import Glyphs, bare_table

if TYPE_CHECKING:
    from maskbench.data.catalogue import CorpusEntry, CorpusOption
    from maskbench.data.corpus import Corpus
    from maskbench.data.statistics import SideStatistics, SplitStatistics
    from maskbench.statistics.split_overlap import Overlap

_KEY = (
    "source, target: tokens of a line, mean/p90/longest; types, unk (unknown words):\n"
    "source/target; twice: the same as an earlier pair; seen: its source is in train"
)
_OVERLAPS_KEY = (
    "sentences of a split that are also in another one: the same words, or the\n"
    "same tokens; unknown: sources that only the model reads alike, as it does not\n"
    "know their words; splits that share nothing, or one of which is made of the\n"
    "other, have no line"
)


def corpus_list(entries: Sequence[CorpusEntry]) -> RenderableType:
    """Return every corpus with its description and options."""
    parts: list[RenderableType] = []
    for entry in entries:
        options = ", ".join(_brief(option) for option in entry.options) or "no options"
        parts += [Text(sanitize(entry.name), style="bold")]
        parts += [
            _indented(Text(sanitize(entry.description))),
            _indented(Text(sanitize(options), style="dim")),
            "",
        ]
    return Group(
        *parts,
        Text(
            "maskbench corpus NAME shows pairs of one, with --options its options in full;\n"
            "maskbench corpus FILE shows the corpus of an experiment file"
        ),
    )


def _brief(option: CorpusOption) -> str:
    return f"{option.name} required" if option.required else f"{option.name} {_written(option.default)}"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _indented(shown: RenderableType) -> Padding:
    return Padding(shown, (0, 0, 0, 2))


def corpus_description(entry: CorpusEntry, glyphs: Glyphs) -> RenderableType:
    """Return one corpus with its options explained."""
    table = bare_table(glyphs)
    for column in ("option", "default", "takes", "meaning"):
        table.add_column(column, no_wrap=column == "option", overflow="fold")
    for option in entry.options:
        default = "required" if option.required else _written(option.default)
        table.add_row(*map(_cell, (option.name, default, option.takes, option.description)))
    return Group(Text(sanitize(entry.name), style="bold"), Text(sanitize(entry.description)), "", table)


def corpus_numbers(
    corpus: Corpus, found: Mapping[str, SplitStatistics], shown: str, glyphs: Glyphs
) -> RenderableType:
    """Return the statistics of every split, the tags of one split, and the notes of the corpus."""
    heading = Text(sanitize(corpus.name), style="bold")
    heading.append(
        f"  {len(corpus.vocabulary):,} vocabulary entries, longest line {corpus.max_length - 1} tokens",
        style="not bold",
    )
    parts: list[RenderableType] = [heading, "", _splits(found, glyphs)]
    parts.append(Text(_KEY, style="dim"))
    if shared := [one for one in corpus.overlaps.shown() if one.split in found]:
        parts += ["", _overlaps(shared, glyphs), Text(_OVERLAPS_KEY, style="dim")]
    for line in (_tags(found, shown), _junk(found, shown), *(f"note: {note}" for note in corpus.notes)):
        parts += [Text(sanitize(line))] if line else []
    return Group(*parts)


def _splits(found: Mapping[str, SplitStatistics], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs)
    table.add_column("split", overflow="fold")
    for column in ("pairs", "source", "target", "types", "unk %", "twice", "seen"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, split in found.items():
        sides = (split.source, split.target)
        seen = glyphs.nothing if name == "train" else f"{split.sources_in_train:,}"
        table.add_row(
            *map(
                _cell,
                (
                    name,
                    f"{split.pairs:,}",
                    *map(_lengths, sides),
                    "/".join(f"{side.types}" for side in sides),
                    "/".join(f"{100 * side.unknown:.3g}" for side in sides),
                    f"{split.repeated:,}",
                    seen,
                ),
            )
        )
    return table


def _overlaps(shared: Sequence[Overlap], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs)
    for column in ("split", "also in"):
        table.add_column(column, overflow="fold")
    for column in ("sources", "targets", "pairs", "unknown"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in shared:
        counts = (one.sources, one.targets, one.pairs, one.unknown_sources)
        table.add_row(*map(_cell, (one.split, one.other, *(f"{count:,}" for count in counts))))
    return table


def _lengths(side: SideStatistics) -> str:
    return f"{side.mean:.1f}/{side.p90}/{side.longest}"


def _tags(found: Mapping[str, SplitStatistics], shown: str) -> str:
    tags = found[shown].tags
    if tags is None:
        return ""
    total = sum(tags.values())
    counted = ", ".join(f"{name} {count:,} ({100 * count / total:.1f} %)" for name, count in tags.items())
    return f"tags of {shown}: {counted}"


def _junk(found: Mapping[str, SplitStatistics], shown: str) -> str:
    share = found[shown].junk
    return f"junk in {shown}: {100 * share:.1f} % of the source words" if share else ""


def _cell(text: str) -> Text:
    return Text(sanitize(text))
