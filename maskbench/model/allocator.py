"""Let glibc keep the memory that tensors give back.

By default glibc maps every large block anew and returns it to the system when it is freed, so each step touches
hundreds of megabytes of fresh pages, and every first touch is a page fault. Kept memory made a bfloat16 training step
at d_model 256 a quarter shorter. Peak memory does not change; between peaks the process holds on to it.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library of this process to reuse freed memory; call it before the first large tensor.

    Results do not depend on it. Returns False where there is no glibc, and nothing has changed then.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, 64 << 20))
    return all(mallopt(name, value) == 1 for name, value in settings)
