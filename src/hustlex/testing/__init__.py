"""For the tests of applications: run jobs at once or all that wait, and ask what was enqueued. On a real server.

``hustlex.testing.pytest_plugin`` brings the fixtures; pytest finds it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hustlex.core.time import FixedClock
    from hustlex.testing.drained import Attempt, Drained, drain
    from hustlex.testing.eager_jobs import EagerJobs, Ran, eager
    from hustlex.testing.patience import patient
    from hustlex.testing.waiting import assert_enqueued, enqueued

__all__ = [
    "Attempt",
    "Drained",
    "EagerJobs",
    "FixedClock",
    "Ran",
    "assert_enqueued",
    "drain",
    "eager",
    "enqueued",
    "patient",
]

_HOMES = {
    "Attempt": "hustlex.testing.drained",
    "Drained": "hustlex.testing.drained",
    "EagerJobs": "hustlex.testing.eager_jobs",
    "FixedClock": "hustlex.core.time",
    "Ran": "hustlex.testing.eager_jobs",
    "assert_enqueued": "hustlex.testing.waiting",
    "drain": "hustlex.testing.drained",
    "eager": "hustlex.testing.eager_jobs",
    "enqueued": "hustlex.testing.waiting",
    "patient": "hustlex.testing.patience",
}


def __getattr__(name: str) -> Any:
    """Load a helper when it is first asked for: the plugin is imported by every run of pytest."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hustlex.testing' has no attribute {name!r}")
