"""Plug-ins: installed packages, and files named with `--plugin`.

A plug-in is Python code that registers strategies, presets, corpora or metrics when it is imported. An installed package
announces itself in an entry point group such as `maskbench.strategies`: a module, or a function to call. Every process
that looks up a name loads the same plug-ins first, so a training process finds them too.

What is registered is checked against its contract as soon as the plug-in is loaded (`maskbench.plugins.contracts`), and
its methods are guarded (`maskbench.plugins.guards`), so that a mistake is told with the plug-in's own line.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from maskbench.errors import ConfigError
from maskbench.plugins.contracts import find_violations, first_line, locate_entry
from maskbench.plugins.faults import (
    add_plugin_code,
    describe_fault,
    is_from_outside,
    plugin_errors,
    plugin_line,
    shorten_path,
    source_line,
)
from maskbench.plugins.guards import guard_class
from maskbench.registry import (
    CORPORA,
    MASKS,
    METRICS,
    REGISTRIES,
    collect_clashes,
    find_installed_plugins,
    restore_registries_on_error,
)

__all__ = ["Plugin", "load_plugins", "loaded_plugins", "plugin_errors"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that was loaded."""

    name: str
    """The entry point's name, or the file's without its ending."""
    path: Path
    """The module's file; of a package, its `__init__.py`."""
    sha256: str
    """Of the file's bytes; of a package, or a file that imports modules beside it, of all its Python files."""
    files: tuple[Path, ...] = field(default=(), compare=False)
    """The Python files that the hash is of."""
    package: str | None = field(default=None, compare=False)
    """Name and version of the installed package that it comes from, None for a file."""
    registered: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    """Kind of registry and name of everything it registered, such as `("mask strategy", "round_robin")`."""


_loaded: dict[object, Plugin] = {}


def loaded_plugins() -> list[Plugin]:
    """Return the plug-ins of this process in the order of loading."""
    return list(_loaded.values())


def load_plugins(files: Sequence[Path] = ()) -> list[Plugin]:
    """Load every installed plug-in and these files, except those that this process has already loaded.

    Returns:
        All plug-ins of this process.

    Raises:
        ConfigError: a file is missing, fails when it is imported, uses a name that is taken, or registers something that
            breaks its contract; the message names everything that is wrong. The registries are then as they were.
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
        key = path, _sha256([path])
        if key not in _loaded:
            _loaded[key] = _load_file(file, path)
    return loaded_plugins()


def _load_file(shown: Path, path: Path) -> Plugin:
    # The name holds the content's hash: no other module can have it.
    name = f"maskbench_plugin_{_sha256([path])[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"--plugin {shown}: must be a Python file, ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    add_plugin_code(path)
    try:
        with _check_registrations(str(shown)) as registered:
            spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise
    files = _imported_from(path.parent, module, path)
    for file in files:
        add_plugin_code(file)
    return _finished(Plugin(path.stem, path, _sha256(files), files, None, frozenset(registered)))


def _load_installed(entry: EntryPoint) -> Plugin:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else None
    shown = f"the installed plug-in {entry.name!r}{f' of {package}' if package else ''}"
    _add_installed_code(entry.module)
    with _check_registrations(shown) as registered:
        found = entry.load()
        if callable(found):
            found()
    module = sys.modules[entry.module]
    path = Path(module.__file__ or entry.module)
    files = tuple(sorted(path.parent.rglob("*.py"))) if path.name == "__init__.py" else (path,)
    return _finished(Plugin(entry.name, path, _sha256(files), files, package, frozenset(registered)))


def _add_installed_code(module: str) -> None:
    """Add the top-level package or module to what counts as plug-in code, before anything of it is imported."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        add_plugin_code(Path(folder))
    if spec.origin is not None and not spec.submodule_search_locations:
        add_plugin_code(Path(spec.origin))


def _imported_from(folder: Path, module: ModuleType, path: Path) -> tuple[Path, ...]:
    """Return a plug-in's file, and those beside it that it imports, directly or through one another."""
    found, waiting = {path: None}, [module]
    while waiting:
        for value in list(vars(waiting.pop()).values()):
            other = value if isinstance(value, ModuleType) else sys.modules.get(_module_name(value))
            file = getattr(other, "__file__", None)
            if other is None or not file:
                continue
            beside = Path(file).resolve()
            if beside.is_relative_to(folder) and "site-packages" not in beside.parts and beside not in found:
                found[beside] = None
                waiting.append(other)
    first, *others = found
    return (first, *sorted(others))


def _module_name(value: Any) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""


def _finished(plugin: Plugin) -> Plugin:
    """Mark what a plug-in registered with the hash of its code."""
    for kind, name in plugin.registered:
        if kind == CORPORA.kind:
            CORPORA[name].code_sha256 = plugin.sha256
    return plugin


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _check_registrations(shown: str) -> Iterator[set[tuple[str, str]]]:
    """Check and guard what the body registers; on an error, raise one `ConfigError` and restore the registries.

    Yields:
        A set that holds, when the body has ended well, the kind and name of everything that it registered.
    """
    before = {registry.kind: set(registry) for registry in REGISTRIES}
    registered: set[tuple[str, str]] = set()
    with restore_registries_on_error():
        problems: list[str] = []
        cause: BaseException | None = None
        with collect_clashes() as clashes:
            try:
                yield registered
            except BaseException as error:
                if is_from_outside(error) and not isinstance(error, ConfigError):
                    raise
                cause = error
                problems.append(_describe_error(shown, error))
        new = {registry.kind: set(registry) - before[registry.kind] for registry in REGISTRIES}
        problems += [
            f"{locate_entry(entry, shown)}{message}\n  {first_line(entry)}".rstrip()
            for entry, message in clashes
        ]
        problems += find_violations(new, shown)
        if problems:
            raise ConfigError("\n".join(problems)) from cause
        for registry, what in ((MASKS, "strategy"), (CORPORA, "corpus"), (METRICS, "metric")):
            for name in new[registry.kind]:
                guard_class(what, name, registry[name])
        registered |= {(kind, name) for kind, names in new.items() for name in names}


def _describe_error(shown: str, error: BaseException) -> str:
    """Return the error and the plug-in's own line that raised it."""
    place = plugin_line(error)
    told = f"the plug-in cannot be loaded: {describe_fault(error)}"
    if place is None:
        return f"{shown}: error: {told}"
    file, line = place
    where = f"{shown}: {file}" if shown.startswith("the installed") else shorten_path(file)
    text = source_line(error, file, line)
    message = f"{where}:{line}: error: {told}"
    return f"{message}\n  {text}" if text else message
