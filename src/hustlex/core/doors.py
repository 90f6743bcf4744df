"""The end of a server of asyncio's: nobody whom it has only just accepted is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_TURNS_TO_BEGIN = 4
"""Of the loop, from a connection that asyncio accepts to the task that serves it."""


async def accept_no_more(server: asyncio.Server) -> None:
    """Close a server. Whoever it accepted is connected by then, and the caller's to cut off.

    A connection that is accepted a turn before ``Server.close`` fails unseen, and its socket stays open, which whoever
    collects it is warned of (CPython's gh-109564): so first the loop looks no more at the door.
    """
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        with suppress(NotImplementedError):  # not on Windows
            loop.remove_reader(each.fileno())
    for _ in range(_TURNS_TO_BEGIN):
        await asyncio.sleep(0)
    server.close()
