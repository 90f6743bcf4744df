"""Who has which of a blocking driver's connections."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator

import hiredis
import pytest

from hustlex.core import forks
from hustlex.drivers.address import parse_address
from hustlex.drivers.links import Links, OpenLink
from hustlex.drivers.pools import ClusterPools

FAR = 60.0


class Made:
    """A connection that opens by being told to. farewell: whether the server has hung up."""

    def __init__(self) -> None:
        self.link: Made | None = None
        self.opened = 0
        self.farewell = False

    def connect(self) -> None:
        self.link = self
        self.opened += 1
        self.farewell = False

    def disconnect(self) -> None:
        self.link = None

    def unread(self) -> bool:
        return False

    def poll(self, milliseconds: int) -> list[int]:
        assert milliseconds == 0
        return [1] if self.farewell else []


def test_the_one_used_last_goes_first() -> None:
    links = Links(Made, 3)
    one, two = links.take(0), links.take(0)
    assert links.busy == 2
    links.give(one)
    links.give(two)
    assert links.take(0) is two
    assert links.take(0) is one
    assert (one.opened, links.busy) == (1, 2)


def test_one_that_the_server_left_is_opened_anew() -> None:
    links = Links(Made, 1)
    links.give(one := links.take(0))
    one.farewell = True
    assert links.take(0) is one
    assert one.opened == 2


def test_none_is_lost_by_a_failed_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links(Made, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Made, "connect", lambda _: (_ for _ in ()).throw(OSError()))
        with pytest.raises(OSError):
            links.take(0)
    assert links.busy == 0
    assert links.take(0).opened == 1


def test_no_more_than_so_many_are_made_and_nobody_waits_beyond_its_deadline() -> None:
    links = Links(Made, 1)
    links.take(0)
    with pytest.raises(ConnectionError):
        links.take(time.monotonic())
    assert links._waiting == 0


def test_who_is_told_as_it_stops_waiting_takes_what_got_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be nobody's: the others that wait are told of the next one only."""
    links = Links(Made, 1)
    one = links.take(0)
    monkeypatch.setattr(links._given, "wait", lambda _: links._free.append(one))
    assert links.take(time.monotonic() + FAR) is one


def test_who_takes_one_while_the_free_are_closed_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    links, taken, disconnect = Links(Made, 3), list[Made](), Made.disconnect
    for connection in [links.take(0), links.take(0)]:
        links.give(connection)

    def meanwhile(self: Made) -> None:
        disconnect(self)
        if not taken:
            taken.append(links.take(0))

    monkeypatch.setattr(Made, "disconnect", meanwhile)
    links.close_free()
    assert taken[0].link is taken[0]
    assert (links.busy, [connection.link for connection in links._free]) == (1, [None, None])


def test_every_caller_gets_one_in_the_end() -> None:
    """Many threads, few connections: nobody sleeps while one is free, and none is with two."""
    links, held, double, done = Links(Made, 2), set[int](), [], []

    def call() -> None:
        for _ in range(300):
            connection = links.take(time.monotonic() + FAR)
            if id(connection) in held:
                double.append(connection)
            held.add(id(connection))
            held.discard(id(connection))
            links.give(connection)
        done.append(1)

    threads = [threading.Thread(target=call) for _ in range(8)]
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(FAR)
    finally:
        sys.setswitchinterval(often)
    assert (len(done), double, links.busy) == (8, [], 0)
    assert len(links._all) <= 2


def test_a_child_process_begins_without_any() -> None:
    links = Links(Made, 1)
    inherited = links.take(0)
    links.forked()
    assert links.take(0) is not inherited


def test_a_child_process_asks_for_the_map_whoever_asked_in_its_parent() -> None:
    pools = ClusterPools(parse_address("redis+cluster://127.0.0.1:1"))
    assert pools in forks._watched
    pools._asking.acquire()
    pools._making.acquire()
    pools.forked()
    assert pools._asking.acquire(blocking=False)
    assert pools._making.acquire(blocking=False)


@pytest.fixture
def pair() -> Iterator[tuple[OpenLink, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield OpenLink(ours, FAR), theirs


def test_replies_are_read_one_by_one_and_pushes_passed_over(pair: tuple[OpenLink, socket.socket]) -> None:
    link, server = pair
    server.sendall(b"+one\r\n>2\r\n+invalidate\r\n+k\r\n-ERR no\r\n$3\r\nt")
    assert link.read(time.monotonic() + FAR) == b"one"
    refused = link.read(time.monotonic() + FAR)
    assert isinstance(refused, hiredis.ReplyError) and str(refused) == "ERR no"
    server.sendall(b"wo\r\n")
    assert link.read(time.monotonic() + FAR) == b"two"


def test_a_reply_is_waited_for_until_its_deadline(pair: tuple[OpenLink, socket.socket]) -> None:
    link, server = pair
    with pytest.raises(TimeoutError):
        link.read(time.monotonic() + 0.01)
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        link.read(time.monotonic() + FAR)


def test_a_timeout_that_fits_is_not_set_again(pair: tuple[OpenLink, socket.socket]) -> None:
    """It is a system call."""
    link, _ = pair
    link.write(b"x", time.monotonic() + FAR)
    assert link._timeout == FAR
    link.write(b"x", time.monotonic() + FAR / 2)
    assert link._timeout <= FAR / 2
