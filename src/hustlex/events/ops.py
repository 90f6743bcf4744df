"""Operations of the events room."""

from __future__ import annotations

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply

_PUBLISH = load("hustlex.events", "publish")


def publish(channel: str, payload: bytes, now_ms: int) -> Op[int]:
    """Send one live message. channel: the full pub/sub channel. Answers the number of connections that took it."""
    return _PUBLISH.op((), (channel, now_ms, payload), _receivers)


def _receivers(reply: Reply) -> int:
    return int(reply[1])
