"""What all tests share; its place also puts this folder on the import path."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Read when torch is imported: small tensors gain nothing from threads, and tests run beside other processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure, so no example has a time limit; CI looks at the same examples every time.
settings.register_profile(
    "maskbench",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("maskbench")
