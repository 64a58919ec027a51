"""From what a user names to a subject: `package.module:build`, `file.py:build`, `hf:ClassName`, or a folder of a saved model."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskbench.errors import ConfigError
from maskbench.model_audit.adapters.hugging_face.build import build_small, load_saved
from maskbench.model_audit.adapters.torch_modules import (
    TorchAttention,
    TorchDecoder,
    TorchEncoder,
    TorchTransformer,
)
from maskbench.model_audit.subject import ModelSubject

SETTINGS = ("vocab_size", "max_length", "first_word", "pad", "multiple", "causal", "left_padding", "width")
"""Settings of a subject that the command line can give."""


def load_target(target: str, config: Mapping[str, str] | None = None, **further: Any) -> ModelSubject:
    """Return the subject that a user names.

    Args:
        target: see the module.
        config: settings as text: of the configuration of a Hugging Face class, or of the subject of another module (`SETTINGS`).
        further: what `ModelSubject` takes.

    Raises:
        ConfigError: it cannot be found, built or audited; the message says why and what to do.
    """
    if target.startswith("hf:"):
        model, lines = build_small(target.removeprefix("hf:"), config or {})
        return _checked(target, model, further, lines)
    further = {**further, **_settings_of_subject(config or {})}
    if Path(target).is_dir():
        model = load_saved(Path(target))
        lines = (
            "import transformers",
            f"model = transformers.{type(model).__name__}.from_pretrained({target!r}).eval()",
        )
        return _checked(target, model, further, lines)
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(
            f"{target!r} names no model: write package.module:function, file.py:function, hf:ClassName, or the folder of a "
            "saved Hugging Face model"
        )
    module = _imported_file(Path(place)) if place.endswith(".py") else _imported(place)
    built, call = _built(target, place, name, module)
    if place.endswith(".py"):
        file = Path(place).resolve()
        found = f"runpy.run_path({str(file)!r})[{name!r}]"
        lines = ("import runpy", "import sys", f"sys.path.insert(0, {str(file.parent)!r})")
    else:
        found = f"importlib.import_module({place!r}).{name}"
        lines = ("import importlib", "import sys", f"sys.path.insert(0, {str(Path.cwd())!r})")
    lines = (*lines, "torch.manual_seed(0)", f"model = {found}{call}.eval()")
    return _checked(target, built, further, lines)


def _settings_of_subject(config: Mapping[str, str]) -> dict[str, Any]:
    """Return settings of a `ModelSubject`.

    Raises:
        ConfigError: there is no such setting, or its value is no number and no truth value.
    """
    found: dict[str, Any] = {}
    for name, text in config.items():
        if name not in SETTINGS:
            raise ConfigError(
                f"--config {name}: a model that is not hf:ClassName has the settings {', '.join(SETTINGS)}"
            )
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = None
        if not isinstance(found[name], int):
            raise ConfigError(f"--config {name}={text}: write a whole number, true or false")
    return found


def _built(target: str, place: str, name: str, module: Any) -> tuple[object, str]:
    """Return what a name of a module builds, and how it is called in Python; a model itself is not called."""
    build = getattr(module, name, None)
    if isinstance(build, nn.Module | ModelSubject):
        return build, ""
    if not callable(build):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        near = get_close_matches(name, known, 3) or known[:10]
        raise ConfigError(
            f"{place} has no function {name!r}" + (f"; it has {', '.join(near)}" if near else "")
        )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(), "()"
    except (Exception, SystemExit) as error:
        said = f"{target} failed: {type(error).__name__}: {error}"
        if _needs_arguments(build):
            said += f"; it is called without arguments: write a function that returns {name}(...)"
        raise ConfigError(said) from error


def _needs_arguments(build: Callable[..., object]) -> bool:
    try:
        inspect.signature(build).bind()
    except TypeError:
        return True
    return False


def _checked(target: str, built: object, further: Mapping[str, Any], lines: Sequence[str]) -> ModelSubject:
    """Return the subject of what was built.

    Args:
        lines: Python that builds it without maskbench.
    """
    if isinstance(built, ModelSubject):
        if further.keys() - {"name"}:
            raise ConfigError(
                f"{target} returned a ModelSubject, which has settings of its own; leave out --config"
            )
        return built
    if not isinstance(built, nn.Module):
        what = f"the class {built.__name__}" if isinstance(built, type) else type(built).__name__
        raise ConfigError(f"{target} returned {what}; it must return a torch.nn.Module or a ModelSubject")
    try:
        subject = subject_for(built, **{"name": type(built).__name__, **further})
        subject.build_lines = (*lines, *subject.unwrap_lines)
        return subject
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{target}: {error}") from error


def subject_for(module: nn.Module, **further: Any) -> ModelSubject:
    """Return the subject of a module, by its class and how it can be called.

    Raises:
        ValueError: it is not known how the module is called.
    """
    library = type(module).__module__.split(".")[0]
    if isinstance(module, nn.Transformer):
        return TorchTransformer(module, **further)
    if isinstance(module, nn.TransformerEncoder | nn.TransformerEncoderLayer):
        return TorchEncoder(module, **further)
    if isinstance(module, nn.TransformerDecoder | nn.TransformerDecoderLayer):
        return TorchDecoder(module, **further)
    if isinstance(module, nn.MultiheadAttention):
        return TorchAttention(module, **further)
    if any(base.__module__.startswith("transformers.") for base in type(module).__mro__):
        from maskbench.model_audit.adapters import hugging_face

        return hugging_face.subject_of(module, **further)
    if library == "x_transformers":
        from maskbench.model_audit.adapters import x_transformers

        return x_transformers.subject_of(module, **further)
    from maskbench.model_audit.adapters import plain

    return plain.subject_of(module, **further)


def _imported(name: str) -> Any:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"the module {name!r} cannot be imported: {_said(error)}") from error
    finally:
        sys.path.remove("")


def _imported_file(file: Path) -> Any:
    if not file.is_file():
        raise ConfigError(f"there is no file {file}")
    # A name of its own, so that a file called `random.py` does not take the place of a module of Python.
    name = f"_audited_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{file} cannot be imported: {_said(error)}") from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "it ends the program; put what it does as a script under `if __name__ == '__main__':`"
    return f"{type(error).__name__}: {error}"
