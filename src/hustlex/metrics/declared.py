"""Every metric there is: its name, labels and their bounds. What is not declared here is not exported.

A label holds a name of the program (an operation, a task type, a queue, a policy) or a word of a closed set: never an
id, a phone, a key, an error's text. A name over the bound of its label is counted as ``_other``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

RUN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
WAIT = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
CALL = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
PEOPLE = (5, 10, 20, 30, 45, 60, 120, 300, 600)

_TYPES, _QUEUES, _ALL_QUEUES, _OPS, _CACHES, _POLICIES, _COUNTRIES, _CHANNELS = 100, 50, 200, 150, 100, 100, 60, 100


class Metric(msgspec.Struct, frozen=True):
    """One family of series."""

    name: str
    """With the prefix."""
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    """One line."""
    labels: Mapping[str, int] = {}
    """By name, how many different values it may have."""
    bounds: tuple[float, ...] = ()
    """Of a histogram."""
    fleet: bool = False
    """Whether it is of all processes together: told by the exporter, and by no worker or API."""
    worst: bool = False
    """Of several processes of one machine the largest counts, else the sum."""

    @property
    def width(self) -> int:
        """Numbers of one series: one, or the buckets, the last without a bound, and the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


def _counter(name: str, about: str, **labels: int) -> Metric:
    return Metric(f"hustlex_{name}_total", "counter", about, labels)


def _gauge(name: str, about: str, *, worst: bool = False, **labels: int) -> Metric:
    return Metric(f"hustlex_{name}", "gauge", about, labels, worst=worst)


def _seconds(name: str, about: str, bounds: tuple[float, ...], **labels: int) -> Metric:
    return Metric(f"hustlex_{name}_seconds", "histogram", about, labels, bounds)


def _fleet(name: str, about: str, kind: Literal["counter", "gauge"] = "gauge", /, **labels: int) -> Metric:
    return Metric(f"hustlex_{name}", kind, about, labels, fleet=True)


_CALLS = (
    _counter("calls", "Calls to the server, and answers without it (memory)", op=_OPS, outcome=12),
    _seconds("call_duration", "From the call until its answer, repeats included", CALL, room=16),
    _gauge("calls_in_flight", "Calls that have no answer yet"),
    _counter("call_repeats", "Calls that were sent once more after a failure", role=2),
    _gauge("connections", "Connections: open; busy, in the hands of one caller (a thread, a wait)", role=2, state=2),
    _counter("dials", "Connections that were opened (ok), or could not be", role=2, outcome=2),
    _gauge("breaker_open", "1 while calls do without it: a server (state, cache), ratelimit", worst=True, breaker=3),
    _counter("slow_calls", "Calls that took longer than the slow log allows", op=_OPS),
    _gauge("degraded", "1 while the room works by second best", worst=True, room=16),
    _gauge("build_info", "1; what is running", worst=True, version=4, python=4),
    _gauge("labels_folded", "Values of labels that are counted as _other", metric=100),
)
_JOBS = (
    _counter("tasks", "Attempts that are over", type=_TYPES, queue=_QUEUES, outcome=12),
    _seconds("task_duration", "Of an attempt, in the worker's hands", RUN, type=_TYPES),
    _seconds("task_wait", "Pending until a worker took it; of those taken at once the longest", WAIT, queue=_QUEUES),
    _gauge("tasks_held", "Leased tasks that their limits hold back", type=_TYPES),
    _counter("tasks_recovered", "Tasks of workers that died", queue=_QUEUES, how=2),
    _counter("enqueued", "What became of jobs that were handed over", queue=_QUEUES, outcome=8),
    _gauge("worker_slots", "Handlers: total, running, held (leased, not started), hung", kind=4),
    _gauge("worker_trouble", "1 while this part does not work", worst=True, part=16),
    _gauge("loop_lag_seconds", "How late the event loop was, at most, in the last 15 s", worst=True),
    _gauge("process_resident_bytes", "Memory of this process"),
    _gauge("blocking_seconds", "Longest a handler kept the event loop in 10 minutes", worst=True, type=_TYPES),
    _counter("schedule_fires", "Instants of periodic entries", outcome=4),
    _seconds("schedule_delay", "How late an instant was seen to", WAIT),
    _counter("outbox_relayed", "Jobs of the outbox that a relay took", outcome=4),
    _gauge("outbox_pending", "Jobs of the outbox that no queue has taken; told up to 10,000", worst=True),
    _gauge("outbox_lag_seconds", "How long the oldest job of the outbox has waited", worst=True),
)
_CODES = (
    _counter("otp_issue", "Codes asked for", purpose=16, outcome=25, country=_COUNTRIES),
    _counter("otp_steps", "Codes by how far they came: refused, sent, delivered, verified", step=4, country=_COUNTRIES),
    _counter("otp_resend", "Codes asked for again", purpose=16, outcome=25),
    _counter("otp_verify", "Codes typed", purpose=16, outcome=25, lane=2),
    _counter("otp_totp", "Codes of authenticators typed", purpose=16, outcome=25, lane=2),
    _seconds("otp_time_to_verify", "From the message until the right code", PEOPLE),
    _counter("otp_send_dropped", "Messages that were not sent after all", outcome=12),
    _counter("otp_delivery", "What became of messages", outcome=12, channel=6),
    _counter("otp_refused", "Refusals by a cap, breaker or budget", outcome=25, scope=6),
    _counter("otp_unusual_number", "Numbers of no known range", country=_COUNTRIES),
    _counter("otp_guessing", "Series of wrong codes that look like guessing", country=_COUNTRIES),
    _gauge("otp_budget_ratio", "Spent of the day's budget", worst=True, country=_COUNTRIES),
)
_RIGHTS = (
    _counter("token_checks", "Checks of access tokens", result=2, reason=20),
    _counter("token_logins", "Logins", outcome=4),
    _counter("token_refreshes", "Refreshes", outcome=14),
    _counter("token_revocations", "Logouts and revocations", kind=5),
    _counter("token_theft", "Refresh tokens that were used twice"),
    _gauge("token_view_lag_seconds", "What a bounded check may have missed", worst=True),
    _gauge("token_view_entries", "Revocations held in memory"),
    _counter("ratelimit_decisions", "Decisions", policy=_POLICIES, outcome=8, source=7),
    _counter("pin_attempts", "PINs typed", outcome=6),
    _counter("idempotency", "Idempotency keys shown", outcome=8),
    _counter("idempotency_settled", "Claims by what became of them: kept, given_back, settled, lost", outcome=5),
    _counter("webhook_events", "Events of providers shown", provider=20, outcome=8),
)
_CACHE = (
    _counter("cache_requests", "Reads", cache=_CACHES, result=7),
    _counter("cache_computations", "Computations", cache=_CACHES, result=2),
    _counter("cache_fills", "Results of computations", cache=_CACHES, result=4),
    _counter("cache_waits", "Waits for another process' computation", cache=_CACHES, result=2),
    _counter("cache_invalidations", "Keys invalidated", cache=_CACHES),
    _counter("cache_failures", "Calls that were passed over, since the server did not answer", cache=_CACHES),
    _gauge("cache_near_entries", "Copies in this process", cache=_CACHES),
    _gauge("cache_near_bytes", "Bytes of their bodies", cache=_CACHES),
    _counter("cache_near_evicted", "Copies that made room for others", cache=_CACHES),
)
_EVENTS = (
    _gauge("event_channels", "Channels that are followed", channel=_CHANNELS),
    _gauge("event_streams", "Live connections of clients to this process: event streams and sockets", kind=2),
    _gauge("event_subscribers", "Subscribers in this process, open streams included", channel=_CHANNELS),
    _counter("event_gaps", "Gaps that subscribers were shown", channel=_CHANNELS, reason=7),
)
_FLEET = (
    _fleet("queue_tasks", "Tasks", queue=_ALL_QUEUES, state=6),
    _fleet("queue_groups", "Groups with tasks waiting", queue=_ALL_QUEUES),
    _fleet("queue_wait_seconds", "How long the next pending task has waited", queue=_ALL_QUEUES),
    _fleet("queue_overdue_seconds", "How late the oldest scheduled or retry task is", queue=_ALL_QUEUES),
    _fleet("queue_work", "Pending, active, and due within 60 s: to scale by", queue=_ALL_QUEUES),
    _fleet("queue_paused", "1 while nothing of it starts", queue=_ALL_QUEUES),
    _fleet("queue_limit", "Unfinished tasks it may hold", queue=_ALL_QUEUES),
    _fleet("queue_serving_workers", "Living worker processes that take from it", queue=_ALL_QUEUES),
    _fleet("queue_orphans", "Active tasks whose lease is over", queue=_ALL_QUEUES),
    _fleet("queue_quarantined", "Messages that nobody could read, set aside", queue=_ALL_QUEUES),
    _fleet("queue_ended_total", "Attempts that ended, Go's included", "counter", queue=_ALL_QUEUES),
    _fleet("queue_failed_total", "Attempts that failed, Go's included", "counter", queue=_ALL_QUEUES),
    _fleet("queues_left_out", "Queues over the bound, which are not told"),
    _fleet("schedule_overdue", "Periodic entries that should have fired a minute ago"),
    _fleet("idempotency_in_doubt", "Requests with a key that began and whose owner is gone, as far as was looked"),
    _fleet("otp_slowed", "Countries, prefixes and addresses whose codes a breaker slows down, as far as was looked"),
    _fleet("workers", "Living worker processes", kind=2, status=5),
    _fleet("redis_up", "1 while every node of the server answers", role=2),
    _fleet("redis_memory_ratio", "Used of what it may hold, of the fullest node", role=2),
    _fleet("redis_clients", "Connections", role=2),
    _fleet("redis_replica_silent_seconds", "Since the replica said something that is silent the longest", role=2),
    _fleet("redis_evicted_total", "Keys evicted", "counter", role=2),
    _fleet("doctor", "The doctor's brief check, once a minute: 0 is well, 1 a warning, 2 a failure", role=2, check=64),
    _fleet("attention", "1 while this rule finds what needs a person, as the console's home says it", rule=20),
    _fleet("scrape_errors", "1 while this part could not be asked", part=8),
)

METRICS: Mapping[str, Metric] = {
    metric.name: metric for metric in (*_CALLS, *_JOBS, *_CODES, *_RIGHTS, *_CACHE, *_EVENTS, *_FLEET)
}
"""By name."""
