"""Batches of grouped tasks: taking them, reading them, and putting one task in their place."""

from __future__ import annotations

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.group.aggregate import Aggregate
from hustlex.jobs.keys import QueueKeys

_CHECK = load("hustlex.jobs", "group/check_group")
_READ = load("hustlex.jobs", "group/read_set")
_SETTLE = load("hustlex.jobs", "group/settle_set")
_PARK = load("hustlex.jobs", "group/park_member")


class AggregationSet(msgspec.Struct, frozen=True):
    """Tasks of an aggregation set, oldest first: id and message. deadline_s: Unix second, others take it apart then."""

    deadline_s: int
    tasks: list[tuple[bytes, bytes]]


def groups(queue: QueueKeys) -> Op[list[str]]:
    """Names of the groups that have tasks waiting."""
    return command("jobs.groups", Effect.READ, "SMEMBERS", queue.groups, keys=(queue.groups,), decode=_names)


def _names(reply: Reply) -> list[str]:
    return sorted(name.decode("utf-8", "surrogateescape") for name in reply)


def check(queue: QueueKeys, group: str, set_id: str, rules: Aggregate, now_ms: int) -> Op[bool]:
    """Make an aggregation set if it is time to. set_id: fresh UUIDv4 text."""
    keys = (queue.group(group), queue.aggregation_set(group, set_id), queue.aggregation_sets, queue.groups)
    args = (now_ms, rules.max_size, int(rules.max_delay.total_seconds()), int(rules.grace.total_seconds()), group)
    return _CHECK.op(keys, args, lambda reply: bool(reply[0]))


def read(queue: QueueKeys, set_key: str) -> Op[AggregationSet | None]:
    """The tasks of a set; None when it is gone."""
    return _READ.op((set_key, queue.aggregation_sets), (queue.task_prefix,), _batch)


def _batch(reply: Reply) -> AggregationSet | None:
    return AggregationSet(reply[1], list(zip(reply[2::2], reply[3::2], strict=True))) if reply[0] else None


def settle(queue: QueueKeys, set_key: str, draft: Draft | None, now_ms: int) -> Op[str]:
    """Put one task in the place of a set's. draft: None = nothing. Answers "" when done, else why nothing was done."""
    keys = (set_key, queue.aggregation_sets, queue.pending, queue.scheduled, queue.groups)
    made = draft.row if draft else ("", b"", "", "", 0, "", "", "")
    return _SETTLE.op(keys, (now_ms, queue.prefix, *made), _reason)


_REASONS = {1: "", 0: "others took it apart, its time was over"}


def _reason(reply: Reply) -> str:
    if reply[0] == 2:
        return "another task holds the lock of the new one" if reply[1] else "the id of the new task is taken"
    return _REASONS[reply[0]]


def park(queue: QueueKeys, set_key: str, task_id: bytes) -> Op[bool]:
    """Set an undecodable task of a set aside."""
    task = queue.task(task_id.decode("utf-8", "surrogateescape"))
    return _PARK.op((set_key, f"{queue.prefix}x:parked", task), (task_id,), lambda reply: bool(reply[0]))


def expire(queue: QueueKeys, set_key: str, now_s: int) -> Op[int]:
    """Let whoever reclaims stale sets put this one's tasks back at once. now_s: Unix second."""
    sets = queue.aggregation_sets
    return command("jobs.expire_set", Effect.IDEMPOTENT, "ZADD", sets, "XX", now_s, set_key, keys=(sets,), decode=int)
