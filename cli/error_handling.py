"""Errors of a command become one message on stderr and a documented exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import typer

from maskbench.errors import MaskbenchError, ResourceError
from maskbench.text import sanitize

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def handle_errors(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return `command`, with a `MaskbenchError` or `OSError` turned into a message and an exit code; other errors escape.

    What the code of a plug-in raises, a call of `sys.exit` among it, is such an error as well.

    A closed pipe (`maskbench compare | head`) ends the command with exit code 0.
    """

    @functools.wraps(command)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        _reopen_closed_streams()
        try:
            with _plugin_errors():
                result = command(*args, **kwargs)
            sys.stdout.flush()
            return result
        except MaskbenchError as error:
            message = sanitize(str(error), lines=True)
            # A message with a place says "error" behind it, as compilers do.
            placed = ": error: " in message.split("\n", 1)[0]
            typer.echo(message if placed else f"error: {message}", err=True)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # Python flushes stdout once more when it exits, and must not fail then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            typer.echo(f"error: {sanitize(str(error))}", err=True)
            raise typer.Exit(ResourceError.exit_code) from None

    return wrapped


@contextmanager
def _plugin_errors() -> Iterator[None]:
    """Inside, what a plug-in raises becomes a `PluginError` with its line, once any plug-in is loaded."""
    try:
        yield
    except BaseException:
        # Not imported here: most commands load no plug-in, and that module needs a while.
        faults = sys.modules.get("maskbench.plugins.faults")
        if faults is None:
            raise
        with faults.plugin_errors():
            raise


def _reopen_closed_streams() -> None:
    """Open stdout or stderr on the null device where the caller closed it (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  open until the end
