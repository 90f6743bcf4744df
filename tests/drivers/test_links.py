"""What keeps connections good: who may wait, how old they become, who logs in, and what refuses HELLO."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.op import Effect, command
from hustlex.drivers import aio, blocking
from hustlex.drivers.address import parse_address
from hustlex.drivers.aio import Options
from hustlex.drivers.faults import NotSent
from hustlex.drivers.links import OpenLink
from hustlex.drivers.login import login
from hustlex.drivers.pack import pack
from hustlex.drivers.redis_py import ServerPool
from hustlex.errors import ConfigurationError, Misuse, OutcomeUnknown, Overloaded, Unavailable
from hustlex.tokens import TokenOptions
from tests.conftest import LONG, SECRET
from tests.drivers.test_cluster import get, increment, put
from tests.support.answering import answering
from tests.support.proxy import Proxy
from tests.support.street import Street

ME = command("test.me", Effect.READ, "CLIENT", "ID", decode=int)


# -- HELLO refused


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR unknown command 'HELLO', with args beginning with: '3'",
        b"-ERR unsupported command 'hello'",
        b"-NOPROTO unsupported protocol version",
        b"-invalid request",
    ],
)
async def test_who_refuses_hello_is_told_plainly_and_at_once(kind: Callable[..., Any], answer: bytes) -> None:
    ending: list[Any] = []

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ending.append(asyncio.current_task())
        while data := await reader.read(65_536):
            writer.write((answer + b"\r\n") * data.count(b"HELLO") + b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
        writer.close()

    async with answering(old) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=LONG))
        with pytest.raises(ConfigurationError, match=r"refuses HELLO 3 \(RESP3\) \(Redis 7, .* an old proxy does not"):
            await street.run(get("k"))
        await street.call("close")
        await asyncio.gather(*ending)


# -- a name of several addresses


async def test_an_address_that_says_nothing_does_not_hold_up_the_next(
    kind: Callable[..., Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as crowd:
        for _ in range(4):  # whoever comes next gets no answer to his first packet
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())

        def resolver(host: Any, asked: Any, *args: Any, **options: Any) -> Any:
            if host != "state.test":
                return resolve(host, asked, *args, **options)
            places = (deaf.getsockname()[1], urlsplit(url).port)
            return [each for port in places for each in resolve("127.0.0.1", port, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        street = Street(kind(url.replace("127.0.0.1", "state.test"), timeout=LONG))
        assert await street.run(put("k", "v")) == b"OK"
        await street.call("close")


@pytest.mark.parametrize(("version", "fits"), [("6.2.14", False), ("5.0.0", False), ("7.0.15", True), ("10.1.0", True)])
async def test_a_server_that_is_too_old_is_one_sentence(kind: Callable[..., Any], version: str, fits: bool) -> None:
    greeting = f"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n+{version}\r\n$5\r\nproto\r\n:3\r\n".encode()

    ending: list[Any] = []

    async def server_of_this_version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ending.append(asyncio.current_task())
        while data := await reader.read(65_536):
            writer.write(greeting * data.count(b"HELLO") + b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
            writer.write(b"$1\r\nv\r\n" * data.count(b"\r\nGET\r\n"))
        writer.close()

    async with answering(server_of_this_version) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=LONG))
        if fits:
            assert await street.run(get("k")) == b"v"
        else:
            with pytest.raises(ConfigurationError) as caught:
                await street.run(get("k"))
            assert str(caught.value).endswith(f" is Redis {version} (Redis 7.0, Valkey 7.2 or newer is needed)")
            assert "\n" not in str(caught.value)
        await street.call("close")
        await asyncio.gather(*ending)


# -- who may wait


async def test_while_a_server_is_away_for_long_one_caller_looks_and_the_others_fail_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hustlex.drivers.patience.OPEN_AFTER_S", -1.0)
    async with aio.Driver("redis://127.0.0.1:1", timeout=LONG) as driver:
        first = asyncio.create_task(driver.run(get("k")))
        outage = driver._topology.connection(get("k"))._outage  # type: ignore[attr-defined]
        while not outage.lasts(asyncio.get_running_loop().time()):
            await asyncio.sleep(0)
        for answer in await driver.run_many([get("k"), get("k")]):
            assert "127.0.0.1:1 is away: connection refused (one call at a time tries it)" in str(answer)
        assert not first.done()
        first.cancel()


async def test_it_is_found_again_by_the_one_that_looks(faulty: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.drivers.patience.OPEN_AFTER_S", -1.0)
    async with aio.Driver(faulty.url, timeout=LONG) as driver:
        await driver.run(get("k"))
        faulty.refuse = True
        faulty.cut()
        first = asyncio.create_task(driver.run(get("k")))
        while not any(isinstance(answer, Unavailable) for answer in await driver.run_many([get("k", timeout_ms=50)])):
            await asyncio.sleep(0)
        faulty.refuse = False
        while await driver.run_many([get("k")]) != [None]:
            await asyncio.sleep(0)
        await asyncio.gather(first, return_exceptions=True)  # it looked, or came while somebody else did
        assert await asyncio.gather(*[driver.run(get("k")) for _ in range(9)]) == [None] * 9


def test_threads_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.drivers.patience.OPEN_AFTER_S", -1.0)
    pool = ServerPool(parse_address("redis://127.0.0.1:1").servers[0])
    with pytest.raises(NotSent):
        pool.exchange([b"*1\r\n$4\r\nPING\r\n"], float("inf"))
    assert pool._looking.acquire(blocking=False)  # as another thread that looks
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 is away"):
        pool.exchange([b"*1\r\n$4\r\nPING\r\n"], float("inf"))
    pool._looking.release()
    with pytest.raises(NotSent):
        pool.exchange([b"*1\r\n$4\r\nPING\r\n"], float("inf"))


async def test_a_line_that_is_too_long_refuses_at_once(faulty: Proxy) -> None:
    async with aio.Driver(faulty.url, Options(in_flight=1, line=3, drain=0.1), timeout=LONG) as driver:
        await driver.run(get("k"))
        faulty.black_hole = True
        calls = [asyncio.create_task(driver.run(get("k"))) for _ in range(6)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
        assert {type(call.exception()) for call in done} == {Overloaded}
        assert len(waiting) >= 4
        for call in waiting:
            call.cancel()
        await asyncio.wait(waiting)


async def test_a_connection_over_its_bound_takes_no_more(faulty: Proxy) -> None:
    """ASKING and what it is asked for are two."""
    async with aio.Driver(faulty.url, Options(in_flight=1, drain=0.1), timeout=LONG) as driver:
        await driver.run(get("k"))
        faulty.black_hole = True
        connection, packed = driver._topology.connection(get("k")), pack(get("k"))
        deadline = asyncio.get_running_loop().time() + LONG.total_seconds()
        asking = asyncio.create_task(connection.exchange(packed, deadline, asking=True))
        await asyncio.sleep(0)
        assert connection.submit(packed, deadline) is None
        asking.cancel()
        await asyncio.wait((asking,))


# -- how old a connection becomes


async def test_an_old_connection_is_replaced_between_calls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.drivers.aio.managed_connection._TEND_EVERY", 0.005)
    async with aio.Driver(url, Options(age=0.02), timeout=LONG) as driver:
        seen: set[int] = set()
        while len(seen) < 3:
            answers = await driver.run_many([ME] * 20)
            assert all(isinstance(answer, int) for answer in answers)
            seen.update(answer for answer in answers if isinstance(answer, int))


async def test_threads_replace_theirs_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.drivers.redis_py.AGE_S", 0.0)
    with blocking.Driver(url, timeout=LONG) as driver:
        assert len({driver.run(ME) for _ in range(3)}) == 3


# -- who logs in


@pytest.fixture
def account(raw: redis.Redis) -> Iterator[Callable[[str], None]]:
    """Sets the password of the user "changing"."""

    def set_password(password: str) -> None:
        raw.acl_setuser("changing", enabled=True, reset_passwords=True, passwords=[f"+{password}"], commands=["+@all"],
                        keys=["*"])  # fmt: skip

    yield set_password
    raw.acl_deluser("changing")


async def test_a_password_that_changes_is_asked_for_before_each_connection(
    kind: Callable[..., Any], server: Any, raw: redis.Redis, account: Callable[[str], None]
) -> None:
    current, asked = "first-password", 0

    def credentials() -> tuple[str, str]:
        nonlocal asked
        asked += 1
        return "changing", current

    async def later() -> tuple[str, str]:
        return credentials()

    for give in (credentials, later) if kind is aio.Driver else (credentials,):
        account(current)
        before = asked
        street = Street(kind(f"redis://nobody:wrong@127.0.0.1:{server.port}", timeout=LONG, credentials=give))
        await street.run(put("k", "1"))
        await street.run(get("k"))
        assert asked == before + 1
        current += "-and-on"
        account(current)
        raw.client_kill_filter(user="changing")
        assert await street.run(get("k")) == b"1"
        assert asked > before + 1
        await street.call("close")


def test_a_dial_that_is_interrupted_leaves_nothing_half_open(url: str, raw: redis.Redis) -> None:
    place, asked = urlsplit(url), list[int]()

    def credentials() -> tuple[str, str]:
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return place.username or "default", place.password or ""

    with blocking.Driver(url, timeout=LONG, credentials=credentials) as driver:
        raw.client_kill_filter(_id=str(driver.run(ME)))
        with pytest.raises(KeyboardInterrupt):
            driver.run(ME)
        assert driver.run(increment("n")) == 1


def test_a_call_on_its_way_when_another_thread_closes_is_lost(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = OpenLink.write
    with blocking.Driver(url, timeout=LONG) as driver:
        driver.run(ME)

        def and_close(link: OpenLink, packed: bytes, deadline: float) -> None:
            write(link, packed, deadline)
            driver.close()

        monkeypatch.setattr(OpenLink, "write", and_close)
        with pytest.raises(OutcomeUnknown):
            driver.run(increment("n"))


@pytest.mark.parametrize("answer", [None, "password", ("a",), ("a", 1), ["a", "b"]])
async def test_what_is_no_user_and_password_is_misuse(kind: Callable[..., Any], url: str, answer: Any) -> None:
    street = Street(kind(url, timeout=LONG, credentials=lambda: answer))
    with pytest.raises(Misuse, match="credentials gave no user and password"):
        await street.run(get("k"))
    await street.call("close")


async def test_a_function_that_fails_is_asked_again_until_the_deadline(kind: Callable[..., Any], url: str) -> None:
    def broken() -> tuple[str, str]:
        raise OSError("a secret of the vault")

    street = Street(kind(url, timeout=timedelta(milliseconds=200), credentials=broken))
    with pytest.raises(Unavailable, match=r"credentials could not be had \(OSError\)") as caught:
        await street.run(get("k"))
    assert "vault" not in str(caught.value)
    await street.call("close")


def test_threads_cannot_await_a_login() -> None:
    async def later() -> tuple[str, str]:
        return "a", "b"

    answer: Awaitable[Any] = later()
    with pytest.raises(Misuse, match="pass a plain function"):
        login(answer)
    answer.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [{"credentials": ("user", "password")}, {"failover": 5}, {"failover": timedelta(minutes=2)}],
)
def test_bad_options_of_a_front_are_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        HustleX("redis://localhost", secret=SECRET, **options)


# -- what a replica has


async def test_whoever_waits_for_a_replica_of_a_cluster_waits_at_the_node_that_wrote(cluster: Any) -> None:
    url = cluster.url
    async with HustleX(url, secret=SECRET, tokens=TokenOptions(durability="replica"), timeout=LONG / 10) as hx:
        for number in range(6):
            pair = (await hx.tokens.login(f"user-{number}")).or_raise()
            for node in cluster.primaries():
                cluster.ask(node, "CONFIG", "RESETSTAT")
            ended = await hx.tokens.logout(pair.access)
            assert ended.durable
            wrote = [_calls(cluster, node, "evalsha") + _calls(cluster, node, "eval") for node in cluster.primaries()]
            waited = [_calls(cluster, node, "wait") for node in cluster.primaries()]
            assert sum(waited)
            assert all(bool(writes) >= bool(waits) for writes, waits in zip(wrote, waited, strict=True))


def _calls(cluster: Any, node: Any, name: str) -> int:
    stats = cluster.ask(node, "INFO", "commandstats")
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


# -- memory


async def test_one_node_of_a_cluster_that_may_evict_is_enough_to_refuse(cluster: Any) -> None:
    *_, last = cluster.primaries()
    cluster.ask(last, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    try:
        async with HustleX(cluster.url, secret=SECRET, strict_memory=True, timeout=LONG / 10) as hx:
            with pytest.raises(ConfigurationError, match=r"may evict codes.*allkeys-lru"):
                await hx.tokens.login("user")
    finally:
        cluster.ask(last, "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
    async with HustleX(cluster.url, secret=SECRET, strict_memory=True, timeout=LONG / 10) as hx:
        (await hx.tokens.login("user")).or_raise()
