"""A command that answers without end, as MONITOR: on a connection of its own, for a while."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from hustlex.drivers.aio.connection import ReplyError
from hustlex.drivers.aio.dial import Where, dial
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import Late, Lost, NotSent, refusal
from hustlex.errors import Unavailable


async def heard(where: Where, options: Options, packed: bytes, most: int, seconds: float) -> list[Any]:
    """What follows its first reply: so many at most, for so long at most. Raises as ``dial``, and Refused."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    found: list[Any] = []

    def end(*_: object) -> None:
        if not over.done():
            over.set_result(None)

    def take(reply: Any) -> None:
        found.append(reply)
        if len(found) >= most:
            end()

    connection = await dial(where, options, end)
    connection.on_reply = take
    try:
        begun = await connection.send(packed, loop.time() + options.command)
        if type(begun) is ReplyError:
            raise refusal(str(begun))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await over
    except (Late, Lost, NotSent) as failure:
        raise Unavailable(str(failure) or "no reply") from None
    finally:
        connection.abort("enough was heard")
    return found[:most]
