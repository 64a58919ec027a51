"""What all tests share; its place also puts this folder on the import path."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no failure, so no example has a time limit.
settings.register_profile("maskbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("maskbench")
