"""Strategies from outside the package: installed ones, and files named with `--plugin`.

A plug-in is Python code that enters strategies (or presets, or corpora) into the registries when it is imported. An
installed package announces itself in the entry point group `maskbench.strategies`: a module, or a function to call.
Every process that meets a strategy's name loads the same plug-ins first, so a run finds them in its own process too.

What a plug-in enters is held against the contract at once, because a mistake in a class should be told as a sentence
about that class, and not by whatever trips over it first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_args

from maskbench.config.schema.experiment import SITES
from maskbench.errors import ConfigError
from maskbench.masks.base import (
    ATTENTION_SITES,
    INPUT_SITES,
    InputFeature,
    LogitMask,
    LossMask,
    Strategy,
    StrategyOptions,
    TensorGate,
    TokenMask,
)
from maskbench.masks.clock import Phase
from maskbench.registry import MASKS, PLUGINS, PRESETS, did_you_mean

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DEPENDENCIES = frozenset({"length", "input", "parameters", "annotation"})


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that was loaded."""

    name: str
    """The entry point's name, or the file's without its ending."""
    path: Path
    """The module's file; of a package, its `__init__.py`."""
    sha256: str
    """Of the file's bytes; of a package, of all its Python files."""


_loaded: dict[object, Plugin] = {}


def loaded() -> list[Plugin]:
    """Return the plug-ins of this process, in the order they were loaded in."""
    return list(_loaded.values())


def load_plugins(files: Sequence[Path] = ()) -> list[Plugin]:
    """Load every installed plug-in and these files; what this process has loaded already is left as it is.

    Returns:
        All plug-ins of this process.

    Raises:
        ConfigError: a file is missing, fails when it is imported, uses a name that is taken, or enters a class that
            does not keep the contract of a strategy. The registries are then as they were.
    """
    # The names of the package itself come first, so that it is the plug-in that is told of a clash.
    import maskbench.data
    import maskbench.masks  # noqa: F401

    for entry in sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name):
        if entry not in _loaded:
            _loaded[entry] = _load_installed(entry)
    for file in files:
        path = file.resolve()
        if not path.is_file():
            raise ConfigError(f"--plugin {file}: there is no such file")
        sha256 = _sha256([path])
        if (path, sha256) not in _loaded:
            _loaded[path, sha256] = _load_file(file, path, sha256)
    return loaded()


def _load_file(shown: Path, path: Path, sha256: str) -> Plugin:
    # The name holds the content's hash: no other module can have it.
    name = f"maskbench_plugin_{sha256[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"--plugin {shown}: must be a Python file, ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _entering(str(shown), path):
            spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise
    return Plugin(path.stem, path, sha256)


def _load_installed(entry: EntryPoint) -> Plugin:
    package = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    with _entering(f"the installed plug-in {entry.name!r}{package}", None):
        found = entry.load()
        if callable(found):
            found()
    module = sys.modules[entry.module]
    path = Path(module.__file__ or entry.module)
    files = path.parent.rglob("*.py") if path.name == "__init__.py" else [path]
    return Plugin(entry.name, path, _sha256(sorted(files)))


def _sha256(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _entering(shown: str, path: Path | None) -> Iterator[None]:
    """Turn whatever goes wrong while a plug-in enters its strategies into one message, and take them out again."""
    strategies, presets = set(MASKS.names()), set(PRESETS)
    try:
        try:
            yield
        except (Exception, SystemExit) as error:
            raise ConfigError(_told(shown, path, error)) from error
        for name in sorted(set(MASKS.names()) - strategies):
            cls = MASKS.lookup(name)
            if name in presets:
                raise ConfigError(
                    f"{_place(shown, path, cls)}: error: {name!r} is already the name of a preset"
                )
            for problem in problems(name, cls):
                raise ConfigError(f"{_place(shown, path, cls)}: error: strategy {name!r}: {problem}")
    except ConfigError:
        for name in set(MASKS.names()) - strategies:
            MASKS.remove(name)
        for name in set(PRESETS) - presets:
            del PRESETS[name]
        raise


def _told(shown: str, path: Path | None, error: BaseException) -> str:
    """Return what went wrong and the plug-in's own line that it comes from."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and path is not None and error.filename == str(path):
        line, text = error.lineno or 1, error.text or ""
        reason = f"{type(error).__name__}: {error.msg}"
    else:
        own = [
            f for f in traceback.extract_tb(error.__traceback__) if path is None or f.filename == str(path)
        ]
        # Of an installed plug-in the last frame is the nearest there is to a line of its own.
        line, text = (own[-1].lineno or 1, own[-1].line or "") if own else (1, "")
        shown = shown if path is not None or not own else f"{shown}: {own[-1].filename}"
    message = f"{shown}:{line}: error: the plug-in cannot be loaded: {' '.join(reason.split())}"
    return f"{message}\n  {text.strip()}" if text.strip() else message


def _place(shown: str, path: Path | None, cls: type) -> str:
    try:
        file, line = inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return shown
    return f"{shown}:{line}" if path is not None else f"{shown}: {file}:{line}"


def problems(name: str, cls: Any) -> Iterator[str]:
    """Yield, as sentences, what keeps `cls` from being a strategy; nothing where it keeps the contract."""
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        yield "must be a class derived from one of the kinds in maskbench.masks.base, such as AttentionMask"
        return
    if not _NAME.fullmatch(name):
        yield "a name is made of small letters, digits and underscores, and begins with a letter"
    if inspect.isabstract(cls):
        yield f"does not define {', '.join(sorted(cls.__abstractmethods__))}"
    if not (cls.__doc__ or "").strip():
        yield "has no docstring; its first paragraph is the description in the catalogue"
    yield from _wrong_sites(cls)
    if not isinstance(getattr(cls, "source", None), str) or not cls.source.strip():
        yield "declares no source: the paper and year it comes from, or whose idea it is"
    yield from _wrong_options(cls)
    yield from _wrong_declarations(cls)


def _wrong_sites(cls: type[Strategy]) -> Iterator[str]:
    sites = getattr(cls, "sites", None)
    if not isinstance(sites, set | frozenset) or not sites:
        yield 'declares no sites: where it may be placed, such as frozenset({"encoder_self"})'
        return
    for site in sorted(map(str, sites - set(SITES))):
        yield f"sites names {site!r}, which is no site{did_you_mean(site, SITES)} (sites: {', '.join(SITES)})"
    beyond = sorted(map(str, (sites & set(SITES)) - _sites_of_kind(cls)))
    if beyond:
        yield f"sites names {beyond[0]!r}, where {_a(cls.kind)} is never asked"


def _sites_of_kind(cls: type[Strategy]) -> frozenset[str]:
    kinds: list[tuple[type[Strategy], frozenset[str]]] = [
        (TokenMask, INPUT_SITES),
        (InputFeature, INPUT_SITES),
        (TensorGate, INPUT_SITES | {"memory", "logits"}),
        (LogitMask, frozenset({"logits"})),
        (LossMask, frozenset({"loss"})),
    ]
    return next((sites for kind, sites in kinds if issubclass(cls, kind)), ATTENTION_SITES)


def _wrong_options(cls: type[Strategy]) -> Iterator[str]:
    options = getattr(cls, "Options", None)
    if not (isinstance(options, type) and issubclass(options, StrategyOptions)):
        yield "declares no Options: a class derived from StrategyOptions, with its options and their ranges"
        return
    if not isinstance(getattr(cls, "example", None), options):
        yield f"declares no example: a {options.__name__} with which it visibly does something"


def _wrong_declarations(cls: type[Strategy]) -> Iterator[str]:
    unknown = sorted(map(str, set(cls.depends_on) - _DEPENDENCIES))
    if unknown:
        yield f"depends_on names {unknown[0]!r} (known: {', '.join(sorted(_DEPENDENCIES))})"
    if cls.stochastic != (cls.default_refresh is not None):
        yield "stochastic and default_refresh go together: who draws says when a new mask is drawn, by default"
    wrong = [phase for phase in cls.default_phases if phase not in get_args(Phase)]
    if wrong or not cls.default_phases:
        yield f"default_phases holds {' and '.join(get_args(Phase))}, or one of them"


def _a(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
