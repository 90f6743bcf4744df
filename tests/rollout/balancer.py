"""What spreads requests over the processes in service: connections that are kept, and nothing is ever sent twice.

So whatever a rollout breaks is seen by a customer. A real proxy would send some requests again, and hide it.
"""

from __future__ import annotations

import asyncio
import re
from itertools import count

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"connection: close", re.IGNORECASE)
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Balancer:
    """ports: those in service. wrong: what customers saw. closed: answers that ended their connection, by port."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.wrong: list[str] = []
        self.closed: dict[int, int] = {}
        self._idle: dict[int, list[Link]] = {}
        self._turns = count()

    async def post(self, path: str) -> bytes | None:
        """The body of a good answer; anything else is noted."""
        port = self.ports[next(self._turns) % len(self.ports)]
        try:
            status, body = await self.ask(port, "POST", path)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.wrong.append(f"{path} to {port}: {error!r}")
            return None
        if status != 200:
            self.wrong.append(f"{path} to {port}: {status} {body[:200]!r}")
            return None
        return body

    async def ask(self, port: int, method: str, path: str) -> tuple[int, bytes]:
        """One request to one process, on a connection that is kept if both want to."""
        idle = self._idle.setdefault(port, [])
        link = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        keep = False
        try:
            head, body = await _exchange(link, f"{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n")
            keep = not _CLOSE.search(head)
            self.closed[port] = self.closed.get(port, 0) + (not keep)
            return int(head.split(b" ", 2)[1]), body
        finally:
            if keep and port in self._idle:
                self._idle[port].append(link)
            else:
                link[1].close()

    def leave_out(self, port: int) -> None:
        """Nothing more goes there; its idle connections are closed."""
        self.ports = [each for each in self.ports if each != port]
        for _, writer in self._idle.pop(port, []):
            writer.close()

    def close(self) -> None:
        """All of them."""
        for port in list(self._idle):
            self.leave_out(port)


async def _exchange(link: Link, request: str) -> tuple[bytes, bytes]:
    reader, writer = link
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    assert length is not None, head
    return head, await reader.readexactly(int(length[1]))
