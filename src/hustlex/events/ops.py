"""Operations of the events room."""

from __future__ import annotations

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command

_PUBLISH = load("hustlex.events", "publish")


def publish(channel: str, payload: bytes, now_ms: int) -> Op[int]:
    """Send one live message. channel: the full pub/sub channel. Answers the number of connections that took it."""
    return _PUBLISH.op((), (channel, now_ms, payload), _receivers)


def listeners(channel: str) -> Op[int]:
    """How many connections listen to a channel. channel: the full pub/sub channel."""
    return command(
        "events.listeners", Effect.READ, "PUBSUB", "NUMSUB", channel, decode=lambda reply: int(_flat(reply)[1])
    )


def _flat(reply: Reply) -> list[Reply]:
    """Channels and numbers; a server may answer a map."""
    return [each for pair in reply.items() for each in pair] if isinstance(reply, dict) else list(reply)


def _receivers(reply: Reply) -> int:
    return int(reply[1])
