"""An explanation as terminal text: counts beside those of chance, sentences with both translations, tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from maskbench.config.schema.metrics import find_metric, metric_name
from maskbench.explain.examples import Example
from maskbench.explain.explanation import Explanation
from maskbench.explain.sentence_gains import SentenceGroup
from maskbench.text import sanitize

from ..terminal import Glyphs, bare_table

if TYPE_CHECKING:
    from maskbench.explain.forced_words import ForcedSentence

_INDENT = "   "


def explanation_text(
    found: Explanation, width: int, glyphs: Glyphs, forced: Sequence[ForcedSentence] = ()
) -> RenderableType:
    """Return everything but the pictures.

    Args:
        forced: the predicted words of examples whose translations are the same.
    """
    words = {(one.sentence, one.seed): one for one in forced}
    parts: list[RenderableType] = [_heading(found), "", *_counts(found, width)]
    names = _names(found)
    for title, examples in (("where it wins", found.won), ("where it loses", found.lost)):
        parts += ["", Text(title, style="bold")]
        for number, example in enumerate(examples):
            parts += [""] * (number > 0) + [Text(line) for line in _example(example, found, names, width)]
            if (one := words.get((example.id, example.seed))) is not None:
                parts += [*map(Text, _forced_intro(example, width)), _forced_table(one, names, glyphs)]
        if not examples:
            parts.append(Text(f"{_INDENT}no sentence"))
    for title, groups in (("target tag", found.tags), ("source words", found.lengths)):
        if groups:
            parts += ["", _table(title, groups, found, glyphs)]
    return Stack(*parts)


def _names(found: Explanation) -> tuple[str, str]:
    return sanitize(found.titles[0]), sanitize(found.titles[1])


def _heading(found: Explanation) -> Text:
    name = sanitize(found.experiment)
    heading = Text(f"{name} / {sanitize(found.panel)}" if found.panel else name, style="bold")
    own, baseline = _names(found)
    metric = metric_name(found.metric)
    better = "higher" if metric and find_metric(metric.metric).higher_is_better else "lower"
    only = f", only {sanitize(found.only)}" if found.only else ""
    return heading.append(
        f"\n{own} against {baseline}, sentence by sentence on {sanitize(found.metric)} ({better} is better)"
        f"\n{len(found.seeds)}{_missing(found)} seeds, {found.sentences} sentences{only}",
        style="not bold",
    )


def _missing(found: Explanation) -> str:
    return f" of {found.planned} planned" if len(found.seeds) < found.planned else ""


def _counts(found: Explanation, width: int) -> Iterator[Text]:
    for alarm in found.alarms:
        yield Text(f"! {sanitize(alarm)}", style="bold red")
    luck, seeds = found.luck, len(found.seeds)
    for verb, count, share in (("won", luck.won, luck.as_many_won), ("lost", luck.lost, luck.as_many_lost)):
        yield Text(f"{count} {verb} in at least {found.most} of {seeds} seeds (luck alone: {_chance(share)})")
    yield Text(f"luck alone gives {luck.expected:.1f} of either on average")
    note = (
        "Luck alone is what is left when the two arms' names are swapped at random, in a seed for all sentences at "
        "once. The examples below are the clearest there are, so they look clearer than the arm is; whether it is "
        "better is said by the comparison."
    )
    yield from (Text(line, style="dim") for line in wrap(note, width))


def _chance(share: float) -> str:
    return (
        "as many in less than 0.1 % of cases" if share < 0.001 else f"as many in {100 * share:.1f} % of cases"
    )


def _example(example: Example, found: Explanation, names: tuple[str, str], width: int) -> Iterator[str]:
    seeds = len(found.seeds)
    yield f"{_INDENT}sentence {example.id}: won in {example.won} of {seeds} seeds, lost in {example.lost}"
    own, baseline = (f"{value:.4g}" for value in (example.own_score, example.baseline_score))
    yield f"{_INDENT}seed {example.seed}: {sanitize(found.metric)} {own} against {baseline}"
    lines = [("source", example.source), ("reference", example.reference)]
    lines += [
        (name, text)
        for name, text in zip(names, (example.own, example.baseline), strict=True)
        if text is not None
    ]
    label = min(16, max(len(name) for name, _ in lines))
    for name, text in lines:
        start = f"{_INDENT}{_INDENT}{name[:label].ljust(label)}  "
        yield from wrap(
            sanitize(text) or "(nothing)", width, initial_indent=start, subsequent_indent=" " * len(start)
        )
    if example.own is None:
        yield f"{_INDENT}{_INDENT}(no translations: no metric of this split asked for them)"


def _forced_intro(example: Example, width: int) -> list[str]:
    same = "the translations are the same" if example.own is not None else "there are no translations"
    text = f"{same}; the scores come from the reference's words, each predicted from those before it:"
    return wrap(text, width, initial_indent=_INDENT * 2, subsequent_indent=_INDENT * 2)


def _forced_table(found: ForcedSentence, names: tuple[str, str], glyphs: Glyphs) -> RenderableType:
    """Return, for every reference word, what both runs rank first and how probable the word is to them, in percent."""
    table = bare_table(glyphs)
    table.add_column(f"{_INDENT * 2}reference", overflow="fold")
    for name in names:
        table.add_column(f"{name}: first", overflow="fold")
        table.add_column("P %", justify="right", no_wrap=True)
    table.add_column("gain", justify="right", no_wrap=True)
    for word in found.words:
        own, baseline = 100 * word.own_probability, 100 * word.baseline_probability
        table.add_row(
            Text(f"{_INDENT * 2}{sanitize(word.reference)}"),
            Text(sanitize(word.own)),
            f"{own:.1f}",
            Text(sanitize(word.baseline)),
            f"{baseline:.1f}",
            f"{own - baseline:+.1f}",
        )
    return table


def _table(title: str, groups: Sequence[SentenceGroup], found: Explanation, glyphs: Glyphs) -> RenderableType:
    table = bare_table(glyphs)
    table.add_column(title, overflow="fold")
    for heading in ("sentences", "won %", "lost %", "won - lost", "seeds won", "seeds lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in groups:
        table.add_row(
            Text(sanitize(one.name)),
            str(one.sentences),
            f"{100 * one.won:.1f}",
            f"{100 * one.lost:.1f}",
            f"{100 * (one.won - one.lost):+.1f}",
            f"{one.seeds_for}/{len(found.seeds)}",
            f"{one.seeds_against}/{len(found.seeds)}",
        )
    return table
