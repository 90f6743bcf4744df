"""Where bulk acts are kept."""

from __future__ import annotations

from hustlex.jobs.keys import QueueKeys, named

BULKS = "asynq:x:bulks"
"""Ours: ids of bulk acts by the Unix ms of their making; the newest hundred."""


def record(bulk_id: str) -> str:
    """Ours: what is known of one bulk act."""
    return f"asynq:x:bulk:{{{named('bulk_id', bulk_id)}}}"


def items(bulk_id: str) -> str:
    """Ours: the tasks it is about."""
    return f"{record(bulk_id)}:items"


def report(bulk_id: str) -> str:
    """Ours: a letter for each of them."""
    return f"{record(bulk_id)}:report"


def taken(queue: QueueKeys, bulk_id: str) -> str:
    """Ours: what a bulk act did to tasks of a queue, and what they were, so that it can be repeated and undone."""
    return f"{queue.prefix}x:bulk:{bulk_id}"
