"""Faults of plug-in code: what it raised or how it tried to end the process, with its own file and line.

A plug-in may raise anything anywhere: while it is imported, built or called. `plugin_errors` turns whatever passes
through a line of a plug-in into one `PluginError`. `sys.exit` and `os._exit` in a plug-in count as errors: they would
end the program with a code that says that all is well.
"""

from __future__ import annotations

import linecache
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from maskbench.errors import MaskbenchError, PluginError, StopSignal

_code: dict[str, None] = {}
"""The files of plug-ins, and the folders of their packages, each with a separator at its end."""
_really_exit: Final = os._exit
_guarded_in: list[int] = []
"""The id of the process in which `os._exit` is guarded. A child that a plug-in forks may end as it likes."""


class ExitCall(SystemExit):
    """A plug-in called `os._exit`, which would end the process without a word."""


class ContractBreach(Exception):
    """A plug-in did what its contract excludes; the message says what, about the plug-in."""


def add_plugin_code(path: Path) -> None:
    """Add a file, or the folder of a package, to what counts as a plug-in's code."""
    _code[f"{path}{os.sep}" if path.is_dir() else str(path)] = None
    _guard_exit()


def is_plugin_code(file: str) -> bool:
    """Whether a file belongs to a plug-in."""
    return file in _code or any(file.startswith(folder) for folder in _code if folder.endswith(os.sep))


def _guard_exit() -> None:
    if os.getpid() not in _guarded_in:
        _guarded_in[:] = [os.getpid()]
        os._exit = _exit


def _exit(status: int) -> NoReturn:
    """Raise `ExitCall` where a plug-in calls; end the process for everybody else, as `os._exit` does."""
    frame: FrameType | None = sys._getframe(1)
    while os.getpid() in _guarded_in and frame is not None:
        if is_plugin_code(frame.f_code.co_filename):
            raise ExitCall(status)
        frame = frame.f_back
    _really_exit(status)


def is_from_outside(error: BaseException) -> bool:
    """Whether an exception says nothing of the code that it passed through.

    These are errors with a message of their own, and stop signals. Python's own handler of Ctrl-C raises
    KeyboardInterrupt at whatever line runs; without that handler, or at a line that names it, code has raised it.
    """
    if isinstance(error, KeyboardInterrupt):
        frames = traceback.extract_tb(error.__traceback__)
        is_written = bool(frames) and "KeyboardInterrupt" in (frames[-1].line or "")
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler and not is_written
    return isinstance(error, MaskbenchError | StopSignal)


def plugin_line(error: BaseException) -> tuple[str, int] | None:
    """Return the file and line of the innermost plug-in code that an exception passed through, if any."""
    if isinstance(error, SyntaxError) and error.filename and is_plugin_code(error.filename):
        return error.filename, error.lineno or 1
    own = [f for f in traceback.extract_tb(error.__traceback__) if is_plugin_code(f.filename)]
    return (own[-1].filename, own[-1].lineno or 1) if own else None


def source_line(error: BaseException, file: str, line: int) -> str:
    """Return the text of a line that an exception passed through, without the space around it."""
    text = error.text if isinstance(error, SyntaxError) and error.filename == file else None
    return (text or linecache.getline(file, line)).strip()


def describe_fault(error: BaseException) -> str:
    """Return in one line what code raised, or how it tried to end the process."""
    if isinstance(error, SystemExit):
        call = "os._exit" if isinstance(error, ExitCall) else "sys.exit"
        return f"SystemExit: it called {call}({error.code!r}), which would end the program"
    if isinstance(error, ContractBreach):
        return str(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    name = type(error).__name__
    return " ".join(f"{name}: {text}".split()) if text else name


def shorten_path(file: str) -> str:
    """Return a path inside the current folder as seen from there, any other as it is."""
    here = os.getcwd() + os.sep
    return file.removeprefix(here)


def place_of(file: str, line: int) -> str:
    """Return the beginning of a message about a line, as compilers write it."""
    return f"{shorten_path(file)}:{line}: error: "


def definition_of(function: Any) -> tuple[str, int] | None:
    """Return the file and the first line of a function that a plug-in defines; None for any other."""
    code = getattr(function, "__code__", None)
    if code is None or not is_plugin_code(code.co_filename):
        return None
    return code.co_filename, code.co_firstlineno


@contextmanager
def plugin_errors() -> Iterator[None]:
    """Inside, whatever a plug-in's code raises becomes one `PluginError` with the plug-in's line; other errors pass.

    Raises:
        PluginError: a plug-in raised, or tried to end the process.
    """
    try:
        yield
    except BaseException as error:
        place = None if is_from_outside(error) else plugin_line(error)
        if place is None:
            raise
        raise PluginError(f"{place_of(*place)}the plug-in failed: {describe_fault(error)}") from error
