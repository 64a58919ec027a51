"""Which number format a run computes in.

Weights, moments, norms, softmax and the loss are float32 always; `bfloat16` means that matrix products take bfloat16
inputs (autocast). No loss scaling is needed, since bfloat16 has float32's range.

Measured with one thread of a processor with AVX-512 BF16, seconds of a whole step in float32 over bfloat16:
0.9 to 1.2 at d_model 32, 1.0 to 1.4 at 64, 1.3 to 2.0 at 128, 1.7 to 2.1 at 256.
"""

from __future__ import annotations

from typing import Literal

import torch

SMALLEST_WIDTH = 64
"""The d_model from which bfloat16 pays."""


def compute_dtype(
    precision: Literal["auto", "float32", "bfloat16"], d_model: int, device: torch.device
) -> torch.dtype:
    """Return the format of matrix products: for `auto`, bfloat16 where the device has it and the model is wide enough."""
    if precision == "auto":
        pays = d_model >= SMALLEST_WIDTH and has_bfloat16(device)
        return torch.bfloat16 if pays else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return the context in which a model computes in `dtype`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)
