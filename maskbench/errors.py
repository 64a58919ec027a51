"""The errors that a user can act on: all are a `MaskbenchError`; any other exception is a bug.

MaskbenchError
|-- ConfigError        the experiment file or the command line is wrong   exit 2
|-- PluginError        a plug-in raises, exits or returns something wrong  exit 2
|-- CorpusError        the corpus is missing or malformed                 exit 2
|-- LeakError          an arm leaks and does not say so                   exit 3
|-- ResourceError      disk, memory, permissions                          exit 4
`-- RunDirectoryError  a run directory is busy, foreign or damaged        exit 5
"""

from __future__ import annotations

from typing import ClassVar


class MaskbenchError(Exception):
    """Something the user can act on: the command line prints the message and exits with `exit_code`.

    `key` is the dotted key of the experiment file that the error is about, where that is known and the message does
    not say the place itself.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class ConfigError(MaskbenchError):
    """The experiment file, an override or an option is wrong; the message says where and what to do."""

    exit_code = 2


class PluginError(MaskbenchError):
    """A plug-in raised, called `sys.exit`, or returned something else than its contract says.

    The message begins with the plug-in's file and line.
    """

    exit_code = 2


class CorpusError(MaskbenchError):
    """A corpus is missing or malformed; the message names the file and the line."""

    exit_code = 2


class LeakError(MaskbenchError):
    """Hidden tokens influence an arm's predictions; the message says which, and how much."""

    exit_code = 3


class ResourceError(MaskbenchError):
    """The disk is full or not writable, or memory has run out."""

    exit_code = 4


class RunDirectoryError(MaskbenchError):
    """A run directory is busy, belongs to another experiment, or is damaged."""

    exit_code = 5


class StopSignal(SystemExit):
    """A stop signal came; raised by its handler. Any other SystemExit comes from code that called `sys.exit`."""
