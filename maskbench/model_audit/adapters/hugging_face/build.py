"""Builds models of transformers: small ones with random weights, and saved ones."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskbench.errors import ConfigError
from maskbench.model_audit.adapters.hugging_face.small_configurations import small_settings


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ConfigError(
            f"this needs Hugging Face transformers: pip install transformers ({error})"
        ) from error


def build_small(name: str, config: Mapping[str, str], seed: int = 0) -> tuple[nn.Module, Sequence[str]]:
    """Return a small model of a class of transformers with random weights, and Python lines that build it.

    Args:
        config: settings of its configuration, as text.
        seed: of its weights.

    Raises:
        ConfigError: transformers is missing, or the class or a setting is not there, or it cannot be built.
    """
    library = _transformers()
    cls: Any = getattr(library, name, None)
    settings_class: Any = getattr(cls, "config_class", None)
    if settings_class is None:
        raise ConfigError(f"transformers {library.__version__} has no model class {name!r}")
    defaults = settings_class()
    own, names = defaults.to_dict(), getattr(defaults, "attribute_map", {})
    wanted = small_settings(defaults)
    if "is_decoder" in own and not own.get("is_encoder_decoder"):
        heads = importlib.import_module("transformers.models.auto.modeling_auto")
        if name in heads.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
            wanted["is_decoder"] = True
    for key, text in config.items():
        if names.get(key, key) not in own:
            raise ConfigError(f"{settings_class.__name__} has no setting {key!r}")
        wanted[names.get(key, key)] = _value(text)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built: nn.Module = cls(settings_class(**wanted))
    except Exception as error:
        shown = ", ".join(f"{key}={value}" for key, value in wanted.items())
        raise ConfigError(
            f"{name} cannot be built with {shown}: {type(error).__name__}: {error}; other sizes: --config key=value"
        ) from error
    given = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
    lines = (
        "import transformers",
        f"torch.manual_seed({seed})",
        f"config = transformers.{settings_class.__name__}({given})",
        f"model = transformers.{name}(config).eval()",
    )
    return built.eval(), lines


def _value(text: str) -> Any:
    """Return a setting's value: JSON where it is, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def load_saved(folder: Path) -> nn.Module:
    """Return a model that was saved with `save_pretrained`; nothing is downloaded.

    Raises:
        ConfigError: transformers is missing, or the folder holds no such model.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise ConfigError(f"{folder} has no config.json, so it is no saved Hugging Face model")
    library = _transformers()
    names = json.loads(file.read_text(encoding="utf-8")).get("architectures") or []
    cls = next((getattr(library, name) for name in names if hasattr(library, name)), None)
    if cls is None:
        raise ConfigError(f"{file} names no class of transformers {library.__version__}: {names}")
    built: nn.Module = cls.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return built.eval()
