"""Settings that all tests share."""

from __future__ import annotations

import os

# Processes side by side, each with a thread for every core, mostly wait for one another. Before NumPy is loaded.
if os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# A busy machine makes single examples slow at random: that is no failure of what is tested.
settings.register_profile(
    "isogloss",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("isogloss")
