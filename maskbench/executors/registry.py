"""Executors by name: the built-in ones, and those that installed packages add."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from maskbench.errors import ConfigError, MaskbenchError, StopSignal
from maskbench.executors import Executor
from maskbench.registry import did_you_mean

GROUP = "maskbench.executors"
"""The entry point group of installed executors: a name, and the `ExecutorFactory` it stands for."""

LOCAL = "local"
"""The executor that is used unless another one is named."""

_METHODS = ("warm_up", "count_workers", "execute")

_BUILT_IN = (EntryPoint(LOCAL, "maskbench.executors.local:LocalExecutor", GROUP),)


class ExecutorFactory(Protocol):
    """Makes an executor."""

    def __call__(self, *, workers: int | None, preload: Sequence[str]) -> Executor:
        """Return an executor.

        Args:
            workers: how many tasks run at once; None: as many as their resources allow.
            preload: modules that a process of the executor may import before it knows its task.
        """


def build_executor(name: str = LOCAL, *, workers: int | None = None, preload: Sequence[str] = ()) -> Executor:
    """Return the executor called `name`; see `ExecutorFactory` for the arguments.

    Raises:
        ConfigError: there is none, or the package that has it cannot be imported.
    """
    # A built-in name stands for the built-in executor, whatever is installed.
    known = {entry.name: entry for entry in (*entry_points(group=GROUP), *_BUILT_IN)}
    if name not in known:
        names = ", ".join(sorted(known))
        raise ConfigError(f"no executor named {name!r}{did_you_mean(name, known)} (known: {names})")
    try:
        factory: ExecutorFactory = known[name].load()
        executor = factory(workers=workers, preload=preload)
    except (StopSignal, MaskbenchError, KeyboardInterrupt):
        raise
    except BaseException as error:
        # SystemExit among them: it would end the program with a code that says that all is well.
        raise ConfigError(
            f"the executor {name!r} cannot be loaded: {type(error).__name__}: {error} ({known[name].value})"
        ) from error
    missing = [method for method in _METHODS if not callable(getattr(executor, method, None))]
    if missing:
        raise ConfigError(
            f"the executor {name!r} ({known[name].value}) has no {', '.join(missing)}; see maskbench.executors.Executor"
        )
    return executor
