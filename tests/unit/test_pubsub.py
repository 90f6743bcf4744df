"""What the pub/sub connection hears, without one."""

from __future__ import annotations

import asyncio

import pytest

from hustlex.drivers.aio.listener import Listener
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.pubsub import PubSub


async def test_a_message_in_the_packet_that_ends_a_break_comes_after_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard before a gap follows what was heard before it, without anything missing between."""
    monkeypatch.setattr(Listener, "start", lambda _: None)
    pubsub = PubSub(lambda: pytest.fail("nobody dials"), Options())
    subscription = pubsub.subscribe(["news"])
    entering = asyncio.create_task(subscription.__aenter__())
    await asyncio.sleep(0)
    pubsub.hear([b"subscribe", b"news", 1])
    messages = await entering
    pubsub.hear([b"message", b"news", b"1"])
    pubsub.lost()
    pubsub.hear([b"subscribe", b"news", 1])
    pubsub.hear([b"message", b"news", b"7"])
    heard = [await anext(messages) for _ in range(3)]
    assert [(each.gap, each.data) for each in heard] == [(False, b"1"), (True, b""), (False, b"7")]
    await subscription.__aexit__(None, None, None)
