"""`maskbench explain`: the sentences behind a difference."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import Plugins
from ..terminal import DEFAULT_WIDTH, console, glyphs, print_stripped

if TYPE_CHECKING:
    from maskbench.explain.examples import Example
    from maskbench.explain.explanation import ExplanationResult
    from maskbench.explain.forced_words import ForcedSentence
    from maskbench.pictures.cross_attention import SentenceAttention


def explain(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="An experiment, or a panel of one.", show_default=False),
    ],
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm to explain.", show_default=False)],
    baseline: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="Compare with this arm.", show_default="the experiment's"),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT/METRIC", help="What sentences are judged by.", show_default="the experiment's"
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Sentences of this split.", show_default="the metric's"),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Sentences to show of either kind.")] = 3,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="TAG", help="Only sentences with a target word of this tag.", show_default="all"
        ),
    ] = None,
    length: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help="Only sources of so many words, such as 6-10 or 21+.", show_default="all"
        ),
    ] = None,
    attention: Annotated[
        bool, typer.Option("--attention/--no-attention", help="Draw where both models look.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    plugins: Plugins = None,
) -> None:
    """Show the sentences that an arm wins and loses in most seeds, and where the two models look."""
    from maskbench.explain.explanation import ExplainOptions
    from maskbench.explain.explanation import explain as find
    from maskbench.plugins import load_plugins

    load_plugins(plugins or [])
    found = find(directory, ExplainOptions(arm, baseline, metric, split, count, tag, length))
    explanation = found.explanation
    top = next(iter((*explanation.won, *explanation.lost)), None)
    pictures, reason = _pictures(found, top) if top is not None and attention else ([], "")
    forced, unread = _forced_words(found)
    if as_json:
        document: dict[str, Any] = dataclasses.asdict(explanation)
        document["attention"] = [_document(picture) for _, picture in pictures]
        document["forced_words"] = [dataclasses.asdict(one) for one in forced]
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False))
        return

    from ..views.explain_text import explanation_text

    printer = console()
    width = printer.width if printer.is_terminal else DEFAULT_WIDTH
    print_stripped(explanation_text(explanation, width, glyphs(), forced))
    if top is not None and pictures:
        _draw(top, pictures, width)
    if reason:
        typer.echo(f"warning: no pictures of attention: {reason}", err=True)
    if unread:
        typer.echo(f"warning: no predictions of the reference's words: {unread}", err=True)


def _pictures(found: ExplanationResult, top: Example) -> tuple[list[tuple[str, SentenceAttention]], str]:
    """Return titles and attention of both runs, or the reason why there is none, such as deleted checkpoints."""
    from maskbench.errors import MaskbenchError
    from maskbench.explain.run_attention import run_cross_attention
    from maskbench.text import sanitize

    drawn = []
    try:
        for arm, title in zip(found.arms, found.explanation.titles, strict=True):
            run, name = found.run_directory(arm, top.seed), found.name
            seen = run_cross_attention(run, arm.config, found.corpus, name.split, top.id, name.masks)
            drawn.append((title, seen))
    except MaskbenchError as error:
        return [], sanitize(str(error))
    return drawn, ""


def _forced_words(found: ExplanationResult) -> tuple[list[ForcedSentence], str]:
    """Return the predicted words of the examples whose translations do not show the gain, or why there are none."""
    from maskbench.errors import MaskbenchError
    from maskbench.explain.forced_words import needs_forced_words, read_forced_words
    from maskbench.text import sanitize

    name, (arm, baseline), shown = found.name, found.arms, []
    try:
        for one in (*found.explanation.won, *found.explanation.lost):
            if needs_forced_words(one, name.metric):
                runs = found.run_directory(arm, one.seed), found.run_directory(baseline, one.seed)
                shown.append(
                    read_forced_words(runs, found.arms, found.corpus, name.split, one.id, name.masks)
                )
    except MaskbenchError as error:
        return [], sanitize(str(error))
    return shown, ""


def _draw(top: Example, pictures: list[tuple[str, SentenceAttention]], width: int) -> None:
    from textwrap import wrap

    from ..terminal import UNICODE
    from ..views.attention_drawing import ASCII, BLOCKS, attention_lines

    about = (
        f"cross attention in sentence {top.id}, seed {top.seed}: last decoder layer, mean of its heads, while the "
        "reference is predicted word by word (rows) from the source (columns)"
    )
    ink = BLOCKS if glyphs() is UNICODE else ASCII
    for line in ("", *wrap(about, width), "", *attention_lines(pictures, width, ink)):
        typer.echo(line)


def _document(attention: SentenceAttention) -> dict[str, Any]:
    return {
        "words": attention.target_tokens,
        "sources": attention.source_tokens,
        "weights": attention.weights.tolist(),
    }
