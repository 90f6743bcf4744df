"""Numbers for operators: what each process counts (``process_metrics``), what all do together (``FleetMetrics``), and
a log of slow calls (``SlowLog``).

A hook of the front and of workers (``core.telemetry``) turns what it is told into Prometheus' text; see
docs/guides/metrics.md and, for the names, docs/reference/metrics.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hustlex.metrics.process import Metrics, process_metrics
from hustlex.metrics.slow import SlowLog
from hustlex.metrics.text import CONTENT_TYPE

if TYPE_CHECKING:
    from hustlex.metrics.durations import Durations, task_durations
    from hustlex.metrics.fleet import FleetMetrics, QueueScale
    from hustlex.metrics.history import RoomHistory, RoomPoint, room_history
    from hustlex.metrics.refused import RefusedCaller, refused_callers

__all__ = [
    "CONTENT_TYPE",
    "Durations",
    "FleetMetrics",
    "Metrics",
    "QueueScale",
    "RefusedCaller",
    "RoomHistory",
    "RoomPoint",
    "SlowLog",
    "process_metrics",
    "refused_callers",
    "room_history",
    "task_durations",
]


_LATER = {
    "Durations": "durations",
    "FleetMetrics": "fleet",
    "QueueScale": "fleet",
    "RefusedCaller": "refused",
    "RoomHistory": "history",
    "RoomPoint": "history",
    "refused_callers": "refused",
    "room_history": "history",
    "task_durations": "durations",
}


def __getattr__(name: str) -> Any:
    """Load what needs a front or the room of jobs when it is first asked for."""
    if name in _LATER:
        return getattr(import_module(f"hustlex.metrics.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
