"""Numbers for operators: what each process counts (``process_metrics``), what all do together (``FleetMetrics``), and
a log of slow calls (``SlowLog``).

A hook of the front and of workers (``core.telemetry``) turns what it is told into Prometheus' text; see
docs/guides/metrics.md and, for the names, docs/reference/metrics.md.
"""

from typing import TYPE_CHECKING, Any

from hustlex.metrics.process import Metrics, process_metrics
from hustlex.metrics.slow import SlowLog
from hustlex.metrics.text import CONTENT_TYPE

if TYPE_CHECKING:
    from hustlex.metrics.fleet import FleetMetrics, QueueScale
    from hustlex.metrics.history import RoomHistory, RoomPoint, room_history

__all__ = [
    "CONTENT_TYPE",
    "FleetMetrics",
    "Metrics",
    "QueueScale",
    "RoomHistory",
    "RoomPoint",
    "SlowLog",
    "process_metrics",
    "room_history",
]


def __getattr__(name: str) -> Any:
    """Load what needs a front or the room of jobs when it is first asked for."""
    if name in ("FleetMetrics", "QueueScale"):
        from hustlex.metrics import fleet

        return getattr(fleet, name)
    if name in ("RoomHistory", "RoomPoint", "room_history"):
        from hustlex.metrics import history

        return getattr(history, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
