"""Events as metrics: counts with closed sets of labels, for any exporter.

``OtpOptions(watch=metrics)`` fills it; ``samples()`` is what an exporter shows, as Prometheus would write it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from hustlex.core import check
from hustlex.otp.telemetry import OtpEvent

LABELS: Mapping[str, tuple[str, ...]] = {
    "otp_issue_total": ("purpose", "outcome", "country"),
    "otp_resend_total": ("purpose", "outcome"),
    "otp_verify_total": ("purpose", "outcome", "lane"),
    "otp_totp_total": ("purpose", "outcome", "lane"),
    "otp_time_to_verify_seconds_sum": ("country",),
    "otp_time_to_verify_seconds_count": ("country",),
    "otp_send_dropped_total": ("outcome",),
    "otp_delivery_total": ("outcome", "channel"),
    "otp_refused_total": ("outcome", "scope"),
    "otp_unusual_number_total": ("country",),
    "otp_guessing_total": ("country",),
    "otp_budget_percent": ("country",),
}
"""By name of a metric: its labels."""


class Sample(msgspec.Struct, frozen=True):
    """One line of an exporter. labels: name -> value."""

    name: str
    labels: dict[str, str]
    value: float


class OtpMetrics:
    """A hook for ``OtpOptions.watch``. The conversion of a country is verified / sent of ``samples()``."""

    def __init__(self) -> None:
        self._values: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: OtpEvent) -> None:
        """Count one event."""
        check.instance("event", event, OtpEvent)
        with self._lock:
            for name, amount in _counts(event):
                self._values[(name, tuple(getattr(event, label) for label in LABELS[name]))] += amount
            if event.event == "budget":
                self._values[("otp_budget_percent", (event.country,))] = event.percent

    def samples(self) -> Iterator[Sample]:
        """Everything counted so far, in no order."""
        with self._lock:
            values = dict(self._values)
        for (name, labels), value in values.items():
            yield Sample(name, dict(zip(LABELS[name], labels, strict=True)), value)


def _counts(event: OtpEvent) -> Iterator[tuple[str, int]]:
    """Which counters an event raises; seconds are whole ones."""
    if event.event in ("issue", "resend", "verify", "totp"):
        yield f"otp_{event.event}_total", 1
    if event.event == "open" and event.outcome != "delivery":
        yield "otp_send_dropped_total", 1
    if event.event == "report":
        yield "otp_delivery_total", 1
    if event.event == "guesses":
        yield "otp_guessing_total", 1
    if event.unusual:
        yield "otp_unusual_number_total", 1
    if event.scope:
        yield "otp_refused_total", 1
    if event.age:
        yield "otp_time_to_verify_seconds_count", 1
        yield "otp_time_to_verify_seconds_sum", round(event.age)
