"""How far a queue's workers are behind."""

from __future__ import annotations

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.jobs.keys import QueueKeys

_LAG = load("hustlex.jobs", "lease/lag")


class Lag(msgspec.Struct, frozen=True):
    """wait_ms: how long the next pending task has waited; 0 when none is, or nobody noted since when."""

    pending: int
    wait_ms: int
    paused: bool


def lag(queue: QueueKeys, now_ms: int) -> Op[Lag]:
    """Look at one queue; changes nothing."""
    return _LAG.op((queue.pending, queue.paused), (now_ms, queue.task_prefix), _lag)


def _lag(reply: Reply) -> Lag:
    return Lag(int(reply[1]), int(reply[2]), reply[3] == 1)
