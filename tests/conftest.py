"""Settings that all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes single examples slow at random: that is no failure of what is tested.
settings.register_profile(
    "isogloss",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("isogloss")


# Files whose tests share fits and compiled programs: on two workers each would be made twice.
_ONE_WORKER = (
    *("test_choices", "test_cli_compare", "test_compare", "test_fitting", "test_fitting_saved", "test_identify"),
    *("test_intervals", "test_languages_fits", "test_planning_evidence", "test_report", "test_transfer"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One Ray at a time: two that start at once get into each other's way."""
    for item in items:
        if item.path.name == "test_executors.py" and "ray" in item.name:
            item.add_marker(pytest.mark.xdist_group("ray"))
        elif item.path.stem in _ONE_WORKER:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
