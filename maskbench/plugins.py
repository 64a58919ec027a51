"""Plug-ins: installed packages, and files named with `--plugin`.

A plug-in is Python code that registers strategies, presets, corpora or metrics when it is imported. An installed package
announces itself in an entry point group such as `maskbench.strategies`: a module, or a function to call. Every process
that looks up a name loads the same plug-ins first, so a training process finds them too.

Each strategy and each metric is checked against its contract as soon as it is registered, so that the message for a
mistake in a class names that class and the rule.
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
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args

from maskbench.config.schema.experiment import SITES
from maskbench.config.schema.metrics import MetricInfo, SliceKind
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
from maskbench.metrics.base import Metric
from maskbench.registry import (
    MASKS,
    METRICS,
    PRESETS,
    did_you_mean,
    find_installed_plugins,
    restore_registries_on_error,
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_METRIC_NEEDS = ("junk", "links", "deps", "tags", "origin")
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


def loaded_plugins() -> list[Plugin]:
    """Return the plug-ins of this process in the order of loading."""
    return list(_loaded.values())


def load_plugins(files: Sequence[Path] = ()) -> list[Plugin]:
    """Load every installed plug-in and these files, except those that this process has already loaded.

    Returns:
        All plug-ins of this process.

    Raises:
        ConfigError: a file is missing, fails when it is imported, uses a name that is taken, or registers a class that
            breaks the contract of a strategy or a metric. The registries are then as they were.
    """
    # The package registers its own names first, so that a clash is reported as the plug-in's.
    import maskbench.data
    import maskbench.masks
    import maskbench.metrics  # noqa: F401

    for entry in find_installed_plugins():
        if entry not in _loaded:
            _loaded[entry] = _load_installed(entry)
    for file in files:
        path = file.resolve()
        if not path.is_file():
            raise ConfigError(f"--plugin {file}: there is no such file")
        sha256 = _sha256([path])
        if (path, sha256) not in _loaded:
            _loaded[path, sha256] = _load_file(file, path, sha256)
    return loaded_plugins()


def _load_file(shown: Path, path: Path, sha256: str) -> Plugin:
    # The name holds the content's hash: no other module can have it.
    name = f"maskbench_plugin_{sha256[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"--plugin {shown}: must be a Python file, ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _check_registrations(str(shown), path):
            spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise
    return Plugin(path.stem, path, sha256)


def _load_installed(entry: EntryPoint) -> Plugin:
    package = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    with _check_registrations(f"the installed plug-in {entry.name!r}{package}", None):
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
def _check_registrations(shown: str, path: Path | None) -> Iterator[None]:
    """Check what the body registers; on an error, raise one `ConfigError` and restore the registries."""
    before, metrics_before = set(MASKS), set(METRICS)
    with restore_registries_on_error():
        try:
            yield
        except (Exception, SystemExit) as error:
            raise ConfigError(_describe_error(shown, path, error)) from error
        for name in sorted(set(MASKS) - before):
            cls = MASKS[name]
            if name in PRESETS:
                place = _locate_class(shown, path, cls)
                raise ConfigError(f"{place}: error: {name!r} is already the name of a preset")
            for problem in find_contract_violations(name, cls):
                place = _locate_class(shown, path, cls)
                raise ConfigError(f"{place}: error: strategy {name!r}: {problem}")
        for name in sorted(set(METRICS) - metrics_before):
            for problem in find_metric_violations(name, METRICS[name]):
                place = _locate_class(shown, path, METRICS[name])
                raise ConfigError(f"{place}: error: metric {name!r}: {problem}")


def _describe_error(shown: str, path: Path | None, error: BaseException) -> str:
    """Return the error and the plug-in's own line that raised it."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and path is not None and error.filename == str(path):
        line, text = error.lineno or 1, error.text or ""
        reason = f"{type(error).__name__}: {error.msg}"
    else:
        own = [
            f for f in traceback.extract_tb(error.__traceback__) if path is None or f.filename == str(path)
        ]
        # The path of an installed plug-in is not known here: take the last frame.
        line, text = (own[-1].lineno or 1, own[-1].line or "") if own else (1, "")
        shown = shown if path is not None or not own else f"{shown}: {own[-1].filename}"
    message = f"{shown}:{line}: error: the plug-in cannot be loaded: {' '.join(reason.split())}"
    return f"{message}\n  {text.strip()}" if text.strip() else message


def _locate_class(shown: str, path: Path | None, cls: type) -> str:
    """Return the file and line of a class, or `shown` where its source is not known."""
    try:
        file, line = inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return shown
    return f"{shown}:{line}" if path is not None else f"{shown}: {file}:{line}"


def find_contract_violations(name: str, cls: Any) -> Iterator[str]:
    """Yield a sentence for every part of a strategy's contract that `cls` breaks."""
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        yield "must be a class derived from one of the kinds in maskbench.masks.base, such as AttentionMask"
        return
    yield from _find_wrong_class(name, cls)
    if not (cls.__doc__ or "").strip():
        yield "has no docstring; its first paragraph is the description in the catalogue"
    yield from _find_wrong_sites(cls)
    if not isinstance(getattr(cls, "source", None), str) or not cls.source.strip():
        yield "declares no source: the paper and year it comes from, or whose idea it is"
    yield from _find_wrong_options(cls)
    yield from _find_wrong_declarations(cls)


def _find_wrong_class(name: str, cls: Any) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield "a name is made of small letters, digits and underscores, and begins with a letter"
    if inspect.isabstract(cls):
        yield f"does not define {', '.join(sorted(cls.__abstractmethods__))}"


def _find_wrong_sites(cls: type[Strategy]) -> Iterator[str]:
    sites = getattr(cls, "sites", None)
    if not isinstance(sites, set | frozenset) or not sites:
        yield 'declares no sites: where it may be placed, such as frozenset({"encoder_self"})'
        return
    for site in sorted(map(str, sites - set(SITES))):
        yield f"sites names {site!r}, which is no site{did_you_mean(site, SITES)} (sites: {', '.join(SITES)})"
    beyond = sorted(map(str, (sites & set(SITES)) - _sites_of_kind(cls)))
    if beyond:
        yield f"sites names {beyond[0]!r}, where {_with_article(cls.kind)} is never asked"


def _sites_of_kind(cls: type[Strategy]) -> frozenset[str]:
    kinds: list[tuple[type[Strategy], frozenset[str]]] = [
        (TokenMask, INPUT_SITES),
        (InputFeature, INPUT_SITES),
        (TensorGate, INPUT_SITES | {"memory", "logits"}),
        (LogitMask, frozenset({"logits"})),
        (LossMask, frozenset({"loss"})),
    ]
    return next((sites for kind, sites in kinds if issubclass(cls, kind)), ATTENTION_SITES)


def _find_wrong_options(cls: type[Strategy]) -> Iterator[str]:
    options = getattr(cls, "Options", None)
    if not (isinstance(options, type) and issubclass(options, StrategyOptions)):
        yield "declares no Options: a class derived from StrategyOptions, with its options and their ranges"
        return
    if not isinstance(getattr(cls, "example", None), options):
        yield f"declares no example: a {options.__name__} with which it visibly does something"


def _find_wrong_declarations(cls: type[Strategy]) -> Iterator[str]:
    unknown = sorted(map(str, set(cls.depends_on) - _DEPENDENCIES))
    if unknown:
        yield f"depends_on names {unknown[0]!r} (known: {', '.join(sorted(_DEPENDENCIES))})"
    if cls.stochastic != (cls.default_refresh is not None):
        yield "stochastic and default_refresh go together: who draws says when a new mask is drawn, by default"
    wrong = [phase for phase in cls.default_phases if phase not in get_args(Phase)]
    if wrong or not cls.default_phases:
        yield f"default_phases holds {' and '.join(get_args(Phase))}, or one of them"


def find_metric_violations(name: str, cls: Any) -> Iterator[str]:
    """Yield a sentence for every part of a metric's contract that `cls` breaks."""
    if not (isinstance(cls, type) and issubclass(cls, Metric)):
        yield "must be a class derived from Metric, TokenMetric or TranslationMetric in maskbench.metrics.base"
        return
    yield from _find_wrong_class(name, cls)
    if not isinstance(getattr(cls, "higher_is_better", None), bool):
        yield "declares no higher_is_better: True or False"
    for attribute, meaning in (
        ("unit", "what 1.0 of it is, such as 'share of sentences'"),
        ("description", "one line that says what the number is"),
        ("source", "the paper and year it comes from, or whose idea it is"),
    ):
        text = getattr(cls, attribute, None)
        if not isinstance(text, str) or not text.strip():
            yield f"declares no {attribute}: {meaning}"
    if not all(isinstance(limit, int | float) for limit in (cls.low, cls.high)) or not cls.low < cls.high:
        yield "low and high are numbers, the least and the greatest value, and low is below high"
    for attribute, known in (("needs", _METRIC_NEEDS), ("slices", get_args(SliceKind))):
        unknown = sorted(map(str, set(getattr(cls, attribute)) - set(known)))
        if unknown:
            yield f"{attribute} names {unknown[0]!r} (known: {', '.join(known)})"
    numbers = cls.sentence_numbers
    if numbers is not None and (isinstance(numbers, bool) or not isinstance(numbers, int) or numbers < 1):
        yield "sentence_numbers is None, or how many numbers a sentence adds"
    elif numbers not in (None, 2) and cls.score_counts is MetricInfo.score_counts:
        yield f"adds {numbers} numbers a sentence, but does not define score_counts, which makes a value of them"


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
