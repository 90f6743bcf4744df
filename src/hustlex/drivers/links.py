"""The blocking driver's connections: who has which, and the bytes on them. redis-py opens and closes them.

Lesson of the profile: a PING by redis-py's pool and its reading took 148,000 instructions and nine system calls, two of
which set a timeout that was set already.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis

from hustlex.core import forks
from hustlex.drivers.url import Endpoint

SHORTEST_S = 0.001
_NEARLY = 1.01
"""A timeout that is set stays while it is no more than this longer than what is left: a call may end so much later."""
_AT_ONCE = 65_536
_NOTHING = object()


class Links:
    """Connections to one server, one for each caller at a time; the one that was used last goes first.

    make: a connection that is not open yet. most: how many there are at once, others wait.
    """

    def __init__(self, make: Callable[[], Any], most: int) -> None:
        self._make = make
        self._most = most
        self.forked()
        forks.watch(self)

    def forked(self) -> None:
        """See ``core.forks``."""
        self._all: list[Any] = []
        self._free: list[Any] = []
        self._waiting = 0
        self._given = threading.Condition()

    def take(self, deadline: float) -> Any:
        """One that is open. Raises ConnectionError, also when none gets free in time; see ``give``."""
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._another(deadline)
        try:
            link = connection.link  # another thread may close it meanwhile
            if link is None:
                connection.connect()
            elif link.unread() or link.poll(0):  # nobody waits for an answer: it is the server's farewell, or nobody's
                connection.disconnect()
                connection.connect()
        except BaseException:
            self.give(connection)
            raise
        return connection

    def give(self, connection: Any) -> None:
        """The caller is done with it. Who waits counts itself before it looks, so one of the two sees the other."""
        self._free.append(connection)
        if self._waiting:
            with self._given:
                self._given.notify()

    def _another(self, deadline: float) -> Any:
        with self._given:
            self._waiting += 1
            try:
                while True:
                    if self._free:
                        try:
                            return self._free.pop()
                        except IndexError:
                            continue
                    if len(self._all) < self._most:
                        self._all.append(self._make())
                        return self._all[-1]
                    told = self._given.wait(max(SHORTEST_S, deadline - time.monotonic()))
                    if not told and not self._free:  # it may be told in the moment in which it stops waiting
                        raise ConnectionError("no connection got free")
            finally:
                self._waiting -= 1

    @property
    def busy(self) -> int:
        """How many are with a caller."""
        return len(self._all) - len(self._free)

    def close(self) -> None:
        """Close all; what is in flight fails."""
        for connection in [*self._all]:
            connection.disconnect()

    def close_free(self) -> None:
        """Close those that nobody has: each is taken first, else a call could begin on it."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._free.pop())
        for connection in taken:
            connection.disconnect()
            self.give(connection)


class Handshake:
    """A socket whose reads all together end with the call that needs it: one byte at a time would take for ever."""

    def __init__(self, sock: Any, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv_into(self, *into: Any) -> int:
        """As a socket's. Raises TimeoutError when the deadline has passed."""
        self._sock.settimeout(max(SHORTEST_S, self._deadline - time.monotonic()))
        read: int = self._sock.recv_into(*into)
        return read

    def over(self) -> Any:
        """The socket itself."""
        return self._sock


class OpenLink:
    """The bytes of one open connection.

    Raises TimeoutError when the deadline passes, another OSError or hiredis' ProtocolError.
    """

    def __init__(self, sock: Any, timeout: float) -> None:
        self._sock = sock
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._timeout = timeout
        sock.settimeout(timeout)
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        self.poll = poller.poll
        self.unread = self._reader.has_data

    def write(self, packed: bytes, deadline: float) -> None:
        """Hand all of it to the kernel."""
        self._wait_until(deadline)
        self._sock.sendall(packed)

    def read(self, deadline: float) -> Any:
        """The next reply; a refusal is a hiredis.ReplyError."""
        gets = self._reader.gets
        try:
            reply = gets()
            while reply is _NOTHING or type(reply) is hiredis.PushNotification:
                if reply is _NOTHING:
                    self._wait_until(deadline)
                    data = self._sock.recv(_AT_ONCE)
                    if not data:
                        raise ConnectionError("the server closed the connection")
                    self._reader.feed(data)
                reply = gets()
        except TypeError:  # a key of a map that can be none
            raise hiredis.ProtocolError from None
        return reply

    def _wait_until(self, deadline: float) -> None:
        left = max(SHORTEST_S, deadline - time.monotonic())
        if not left <= self._timeout <= left * _NEARLY:
            self._timeout = left
            self._sock.settimeout(left)


def addresses(endpoint: Endpoint) -> int:
    """How many redis-py will try, one after the other: each gets its share of the time."""
    if endpoint.path or endpoint.numeric:
        return 1
    return max(1, len(socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)))
