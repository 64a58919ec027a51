"""Collect the validation errors of an experiment file and show all of them at once, each with its place.

    exp.yaml:14:9: error: unknown key 'warmpup' in train; did you mean 'warmup_steps'? (allowed: ...)
      train: {warmpup: 200}
              ^

The first line has the format of compiler errors, so that editors can jump to it. An error in a command-line
option has the option as its place: `--set train.stepz=5: error: ...`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from maskbench.errors import ConfigError
from maskbench.text import count_of

MAX_SHOWN = 20
"""Maximum number of problems shown in one message."""
MAX_PROBLEMS = 1000
"""Validation stops at this number of different problems."""

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WIDTH = 100


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a value is written: a line and column of the file, counted from 1, or a command-line option."""

    option: str = ""
    """The option as typed, such as `--set train.steps=5`; empty for the file, which sorts first."""
    line: int = 0
    """Line number from 1; 0: the file as a whole, or an option."""
    column: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One validation error."""

    place: Place
    message: str


def split_lines(text: str) -> list[str]:
    """Return the lines of `text`, split at every line break of YAML."""
    return _LINE_BREAK.split(text)


def replace_unprintable(text: str) -> str:
    """Return `text` on one line, with a replacement character for each control character."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\t", " "))


def shorten(text: str, width: int = 60) -> str:
    """Return `text` cut to `width` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."


@dataclass(slots=True)
class ProblemReport:
    """Collects the problems of one experiment file and its command line."""

    source: str
    """The file as the user named it."""
    text: str = ""
    n_found: int = 0
    """Number of calls of `add`; a problem found in several panels counts several times."""
    _problems: set[Problem] = field(default_factory=set)
    _unreadable: set[Place] = field(default_factory=set)

    def add(self, place: Place, message: str) -> None:
        """Add a problem; an equal one is stored only once.

        Raises:
            ConfigError: the report holds `MAX_PROBLEMS` different problems.
        """
        if place in self._unreadable:
            return
        self.n_found += 1
        self._problems.add(Problem(place, message))
        if len(self._problems) >= MAX_PROBLEMS:
            raise self.error()

    def add_unreadable(self, place: Place, message: str) -> None:
        """Add a problem for an unreadable value; later problems at the same place of the file are ignored."""
        self.add(place, message)
        if place.line:
            self._unreadable.add(place)

    def fail(self, place: Place, message: str) -> ConfigError:
        """Add a problem that ends the validation, and return the error to raise."""
        self.add(place, message)
        return self.error()

    def error(self) -> ConfigError:
        """Return an error with the first `MAX_SHOWN` problems by place and the number of the others."""
        ordered = sorted(self._problems)
        lines = split_lines(self.text)
        shown = [self._render(problem, lines) for problem in ordered[:MAX_SHOWN]]
        rest = len(ordered) - MAX_SHOWN
        if rest > 0:
            all_found = len(ordered) < MAX_PROBLEMS
            count = count_of(rest, "more problem") if all_found else "many more problems"
            shown.append(f"{self.source}: {count} not shown")
        return ConfigError("\n".join(shown))

    def raise_if_any(self) -> None:
        """Raise `error()` if there is any problem.

        Raises:
            ConfigError: there is at least one problem.
        """
        if self.n_found:
            raise self.error()

    def _render(self, problem: Problem, lines: list[str]) -> str:
        place = problem.place
        if place.option:
            return (
                f"{replace_unprintable(shorten(place.option))}: error: {replace_unprintable(problem.message)}"
            )
        where = f"{self.source}:{place.line}:{place.column}" if place.line else self.source
        head = f"{replace_unprintable(where)}: error: {replace_unprintable(problem.message)}"
        if not 1 <= place.line <= len(lines):
            return head
        return f"{head}\n{_excerpt(lines[place.line - 1], place.column)}"


def _excerpt(line: str, column: int) -> str:
    """Return the line, cut around `column` if long, and a caret under that column."""
    start = max(0, column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    part = replace_unprintable(line[start : start + _WIDTH])
    return f"  {part}\n  {' ' * (column - 1 - start)}^"
