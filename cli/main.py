"""The entry point: registers every command. Commands import heavy libraries only when they run."""

from __future__ import annotations

from inspect import cleandoc
from typing import Annotated

import typer

import maskbench

from .commands.audit import audit
from .commands.calibrate import calibrate
from .commands.claims import claims
from .commands.compare import compare
from .commands.corpus import corpus
from .commands.explain import explain
from .commands.masks import masks
from .commands.plan import plan
from .commands.report import report
from .commands.run import run
from .commands.status import status
from .commands.tensorboard import tensorboard
from .commands.verify import verify
from .error_handling import handle_errors

app = typer.Typer(
    name="maskbench",
    help="Find out which mask strategy helps an encoder-decoder Transformer, by how much, at what cost, and whether "
    "the difference is real.",
    epilog="Start with: maskbench run experiments/quickstart.yaml",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback means a bug; Python prints it as a bug report needs it.
    pretty_exceptions_enable=False,
)


def _unwrap(text: str) -> str:
    """Return each paragraph as one line, so that the terminal decides where it breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in cleandoc(text).split("\n\n"))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maskbench {maskbench.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for panel, commands in (
    ("Experiments", (run, plan, status)),
    ("Results", (compare, explain, report, tensorboard, claims)),
    ("Masks and data", (masks, corpus)),
    ("Checks", (audit, verify, calibrate)),
):
    for command in commands:
        app.command(help=_unwrap(command.__doc__ or ""), rich_help_panel=panel)(handle_errors(command))
