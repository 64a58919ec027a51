"""The environment of a run: settings for determinism, and the fingerprint of machine and versions."""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import psutil
import torch

import maskbench
from maskbench.plugins import loaded_plugins
from maskbench.runs.identity import SoftwareEnvironment

_PACKAGES = ("torch", "numpy", "tokenizers", "sacrebleu", "safetensors")


@contextmanager
def deterministic_torch(threads: int) -> Iterator[None]:
    """Context in which torch uses `threads` threads and only deterministic algorithms.

    Results are equal bit by bit. The number of threads decides how sums are split, so it is part of a run's
    identity.
    """
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    # Same as `use_deterministic_algorithms(True)`, which also imports the compiler and costs seconds per run.
    torch.set_deterministic_debug_mode("error")
    # Filling every new tensor with NaN finds reads of unset memory, but costs a pass over it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def use_threads(threads: int) -> None:
    """Set torch's number of threads in this process; call it before the first tensor operation."""
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)


def pick_device() -> torch.device:
    """Return the device of models: the CPU, the only one where resumed runs are known to give equal bytes."""
    return torch.device("cpu")


def current_origin(threads: int, dtype: torch.dtype, device: torch.device) -> SoftwareEnvironment:
    """Return the versions and the fingerprint of the environment, for run.json."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    environment = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": threads,
        "dtype": str(dtype).removeprefix("torch."),
    }
    own = {"maskbench": maskbench.__version__, "python": platform.python_version()}
    plugins = {plugin.name: plugin.sha256 for plugin in loaded_plugins()}
    return SoftwareEnvironment({**own, **versions}, environment, plugins)


def environment_changes(record: Mapping[str, Any], now: SoftwareEnvironment) -> list[str]:
    """Return the differences of the environment in run.json and `now`, such as `threads 1 -> 2`."""
    code_before, code_now = record.get("plugins", {}), now.plugins
    if "plugin_files" in record:
        # Only the plug-ins that the run uses can change it.
        code_before, code_now = (
            {entry["name"]: entry["sha256"] for entry in entries}
            for entries in (record["plugin_files"], now.plugin_files)
        )
    before = {**record.get("versions", {}), **record.get("environment", {}), **_codes(code_before)}
    here = {**now.versions, **now.environment, **_codes(code_now)}
    return [f"{key} {before.get(key)} -> {here[key]}" for key in here if before.get(key) != here[key]]


def _codes(plugins: Mapping[str, str]) -> dict[str, str]:
    return {f"plug-in {name}": sha256[:12] for name, sha256 in plugins.items()}


def peak_memory_mb() -> float:
    """Return the peak memory of this process, in megabytes."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return float(peak) / (1e6 if sys.platform == "darwin" else 1e3)


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C library of this process reuse freed memory; call it before the first large tensor.

    Results do not depend on it. Returns False, and changes nothing, if there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, 64 << 20))
    return all(mallopt(name, value) == 1 for name, value in settings)


SMALLEST_WIDTH = 64
"""The smallest d_model at which bfloat16 is faster than float32."""


def compute_dtype(
    precision: Literal["auto", "float32", "bfloat16"], d_model: int, device: torch.device
) -> torch.dtype:
    """Return the dtype of matrix products; `auto`: bfloat16 if the device has it and the model is wide."""
    if precision == "auto":
        pays = d_model >= SMALLEST_WIDTH and has_bfloat16(device)
        return torch.bfloat16 if pays else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 natively; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return the context in which a model computes in `dtype`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)
