"""Servers, or what stands before them, that answer what no server should: nothing is taken for an answer that is none,
nobody is asked without end, and the next connection is a new beginning."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hustlex.diagnostics.nodes import of_cluster
from hustlex.drivers import aio
from hustlex.drivers.aio import Options, managed_connection
from hustlex.drivers.faults import decoded
from hustlex.errors import BadReply, Error, Refused, Timeout, Unavailable
from tests.conftest import LONG
from tests.contract.test_drivers import script
from tests.drivers.test_cluster import get
from tests.support.answering import answering
from tests.support.street import Street

GREETING = b"%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$5\r\nproto\r\n:3\r\n"
SECOND = timedelta(seconds=1)


class Odd:
    """greets: what is said to HELLO on the first connection; says: to the n-th GET of all connections, from 0."""

    def __init__(self, says: Callable[[int], bytes] = lambda _: b"$1\r\nv\r\n", greets: bytes = GREETING) -> None:
        self._says, self._greets = says, greets
        self.connections = self.asked = 0
        self._ended: list[asyncio.Event] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.Event()
        self._ended.append(ended)
        greeting = GREETING if self.connections else self._greets
        self.connections += 1
        try:
            while data := await reader.read(65_536):
                writer.write(greeting * data.count(b"HELLO") + b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
                for _ in range(data.count(b"\r\nGET\r\n") + data.count(b"\r\nEVAL")):
                    writer.write(self._says(self.asked))
                    self.asked += 1
        except OSError:
            pass
        finally:
            ended.set()

    async def gone(self) -> None:
        """Wait until all who were connected have left."""
        await asyncio.gather(*(ended.wait() for ended in self._ended))


@pytest.mark.parametrize(
    "greets", [b":1", b"$-1", b"_", b"*0", b"%0", b"+OK", b"#t", b"$2\r\nhi", b"*2\r\n+a\r\n:3", b">0\r\n+OK"]
)
async def test_a_greeting_that_is_none_is_no_connection(kind: Callable[..., Any], greets: bytes) -> None:
    """Else the password would count as given, and a call be answered by whatever it is."""
    odd = Odd(greets=greets + b"\r\n")
    async with answering(odd) as port:
        street = Street(kind(f"redis://app:secret@127.0.0.1:{port}", timeout=LONG))
        assert await street.run(get("k")) == b"v"
        await street.call("close")
        assert odd.connections > 1 and odd.asked == 1
        await odd.gone()


async def test_one_that_never_greets_is_told(kind: Callable[..., Any]) -> None:
    async def mumbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(b"+OK\r\n" * data.count(b"*"))

    async with answering(mumbles) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=SECOND))
        with pytest.raises(Unavailable, match="does not speak the Redis protocol"):
            await street.run(get("k"))
        await street.call("close")


async def test_a_greeting_in_single_bytes_ends_with_the_call(kind: Callable[..., Any]) -> None:
    """It is never silent for long, and it never ends."""
    sent: list[int] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"$999999\r\n")
        with contextlib.suppress(OSError):
            while not writer.is_closing() and len(sent) < 1_000:
                writer.write(b"x")
                sent.append(1)
                await asyncio.sleep(0.05)

    async with answering(slow) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=SECOND))
        with pytest.raises(Unavailable):
            await street.run(get("k"))
        await street.call("close")
        assert len(sent) < 1_000


@pytest.mark.parametrize("says", [b"%1\r\n*1\r\n:1\r\n:1\r\n", b"%1\r\n%1\r\n:1\r\n:2\r\n:3\r\n"])
@pytest.mark.parametrize("greets", [False, True])
async def test_a_map_that_can_be_none_is_no_answer(kind: Callable[..., Any], says: bytes, greets: bool) -> None:
    odd = Odd(lambda number: b"$1\r\nv\r\n" if greets or number else says, says if greets else GREETING)
    async with answering(odd) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=LONG))
        assert await street.run(get("k")) == b"v"
        await street.call("close")
        await odd.gone()


async def test_an_answer_too_many_is_nobodys(kind: Callable[..., Any]) -> None:
    odd = Odd(lambda number: b"$1\r\n%d\r\n$1\r\nx\r\n" % number)
    async with answering(odd) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=LONG))
        assert [await street.run(get("k")) for _ in range(5)] == [b"%d" % number for number in range(5)]
        await street.call("close")
        await odd.gone()


async def test_who_never_knows_a_script_is_not_asked_without_end(kind: Callable[..., Any]) -> None:
    """Sent whole it cannot be unknown: that is a refusal as others are."""
    odd = Odd(lambda _: b"-NOSCRIPT No matching script\r\n")
    async with answering(odd) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=SECOND))
        with pytest.raises(Refused, match="NOSCRIPT"):
            await street.run(script("return 1").op(("k",), (), int))
        await street.call("close")
        assert odd.asked < 100
        await odd.gone()


async def test_a_reply_without_end_does_not_hold_its_connection(
    kind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its length all that is said to others would be a part."""
    monkeypatch.setattr(managed_connection, "_OVERDUE_S", 0.0)
    odd = Odd(lambda number: b"$1\r\nv\r\n" if number and odd.connections > 1 else b"$999999999999\r\nx")
    async with answering(odd) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=SECOND))
        with pytest.raises(Timeout):
            await street.run(get("k"))
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await street.run(get("k")) == b"v"
                except Error:
                    continue
                break
        await street.call("close")
        await odd.gone()


async def test_an_answer_that_is_left_out_is_noticed_at_the_next_look() -> None:
    """From then on each caller hears what another one asked, and nothing in the protocol tells him."""
    odd = Odd(lambda number: b"$1\r\n%d\r\n" % number if number else b"")
    async with answering(odd) as port:
        options = Options(command=0.2, look=0.0)
        async with aio.Driver(f"redis://127.0.0.1:{port}", options) as driver:
            with pytest.raises(Timeout):
                await driver.run(get("k"))
            async with asyncio.timeout(60):
                while odd.connections < 2:
                    with contextlib.suppress(Error):
                        await driver.run(get("k"))
            assert await driver.run(get("k")) == b"%d" % (odd.asked - 1)
        await odd.gone()


@pytest.mark.parametrize("reply", [b"OK", 1, None, [[]], [[0, 1]], [[0, 1, None]], {b"a": 1}])
def test_what_are_no_slots_is_a_bad_reply(reply: object) -> None:
    with pytest.raises(BadReply):
        decoded(next(of_cluster()), reply)
