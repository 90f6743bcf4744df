"""One conformance suite for both drivers: what a room may rely on, whichever street it stands in."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from hustlex.core.op import Batch, Call, Effect, Flow, Op, Script, Sleep, command, do
from hustlex.drivers import aio, blocking, redis_py
from hustlex.drivers.faults import refusal
from hustlex.errors import BadReply, Denied, Error, Full, Misuse, OutcomeUnknown, Refused, Timeout, Unavailable
from tests.conftest import LONG
from tests.support.answering import answering
from tests.support.calls import Calls
from tests.support.proxy import Proxy
from tests.support.street import KINDS, Street

Run = Callable[..., Any]
QUICK = timedelta(milliseconds=300)


def same(reply: Any) -> Any:
    return reply


def get(key: str) -> Op[Any]:
    return command("test.get", Effect.READ, "GET", key, keys=(key,), decode=same)


def put(key: str, value: Any) -> Op[Any]:
    return command("test.set", Effect.IDEMPOTENT, "SET", key, value, keys=(key,), decode=same)


def increment(key: str, effect: Effect = Effect.ONCE) -> Op[int]:
    return command("test.increment", effect, "INCR", key, keys=(key,), decode=int)


def script(text: str, effect: Effect = Effect.ONCE) -> Script:
    return Script("test.script", text, hashlib.sha1(text.encode()).hexdigest(), effect, (), ())


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return KINDS[request.param]


@pytest.fixture
async def street(kind: Callable[..., Any], url: str) -> AsyncIterator[Street]:
    street = Street(kind(url, timeout=LONG))
    yield street
    await street.call("close")


@pytest.fixture
async def faulty_street(kind: Callable[..., Any], faulty: Proxy) -> AsyncIterator[Street]:
    street = Street(kind(faulty.url))
    yield street
    await street.call("close")


async def test_replies_arrive_as_the_server_sent_them(street: Street) -> None:
    assert await street.run(put("k", b"\x00\xff")) == b"OK"
    assert await street.run(get("k")) == b"\x00\xff"
    assert await street.run(get("nothing")) is None
    assert await street.run(increment("n")) == 1


async def test_many_answers_keep_their_order_and_their_own_errors(street: Street, raw: redis.Redis) -> None:
    raw.set("text", "x")
    answers = await street.call("run_many", [put("a", 1), increment("text"), get("a"), increment("n")])
    assert answers[0] == b"OK"
    assert isinstance(answers[1], Refused)
    assert answers[2:] == [b"1", 1]
    assert await street.call("run_many", []) == []


async def test_many_that_find_no_server_to_serve_them_are_each_answered_with_the_error(
    kind: Callable[..., Any], url: str
) -> None:
    """Nothing is raised, and all wait together, not one after the other."""

    async def replica(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(b"%2\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$5\r\nproto\r\n:3\r\n" * data.count(b"HELLO"))
            writer.write(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
        writer.close()

    cases: list[tuple[str, type[Exception], timedelta]] = [
        (re.sub(r"//.*@", "//:wrong@", url), Denied, LONG),
        ("redis://127.0.0.1:1", Unavailable, QUICK),
    ]
    ops = [increment("n"), *[get("k")] * 30]
    async with answering(replica) as port:
        cases.append((f"redis://127.0.0.1:{port}", Refused, timedelta(seconds=1)))
        for where, error, timeout in cases:
            street = Street(kind(where, timeout=timeout))
            began = time.monotonic()
            answers = await street.call("run_many", ops)
            assert [type(answer) for answer in answers] == [error] * len(ops), where
            assert time.monotonic() - began < 5
            await street.call("close")


async def test_an_attempt_that_the_end_cuts_short_does_not_hide_why_the_one_before_failed(
    kind: Callable[..., Any],
) -> None:
    came = 0

    async def replica_then_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        silent = came > 1
        while data := await reader.read(65_536):
            if not silent:
                writer.write(b"%2\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$5\r\nproto\r\n:3\r\n" * data.count(b"HELLO"))
                writer.write(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))

    async with answering(replica_then_silent) as port:
        for many in (False, True):
            came = 0
            street = Street(kind(f"redis://127.0.0.1:{port}", timeout=timedelta(seconds=1), failover=timedelta(0)))
            asked = street.call("run_many", [get("k"), increment("n")]) if many else street.run(get("k"))
            (answer,) = await asyncio.gather(asked, return_exceptions=True)
            assert {type(each) for each in (answer if many else [answer])} == {Refused}
            assert came > 1
            await street.call("close")


async def test_a_link_that_breaks_under_many_costs_one_repeat_of_all(faulty_street: Street, faulty: Proxy) -> None:
    """One after the other, each after its own pause, they would not be done before the deadline."""
    await faulty_street.run(put("k", "v"))
    read = command("test.get", Effect.READ, "GET", "k", keys=("k",), decode=same, timeout_ms=5_000)
    for lose in (faulty.lose_request, faulty.lose_reply):
        lose(containing=b"GET")
        assert await faulty_street.call("run_many", [read] * 2_000) == [b"v"] * 2_000


async def test_what_does_not_speak_the_protocol_is_said(kind: Callable[..., Any]) -> None:
    """Before the greeting and in the middle of an answer."""

    async def web(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def mad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(b"%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$5\r\nproto\r\n:3\r\n" * data.count(b"HELLO"))
            writer.write(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
            writer.write(b"?\r\n" * (data.count(b"\r\nGET\r\n") + data.count(b"\r\nINCR\r\n")))
        writer.close()

    for answers in (web, mad):
        async with answering(answers) as port:
            street = Street(kind(f"redis://127.0.0.1:{port}", timeout=timedelta(seconds=1)))
            with pytest.raises(Unavailable, match="does not speak the Redis protocol"):
                await street.run(get("k"))
            (answer, other) = await street.call("run_many", [get("k"), increment("n")])
            assert isinstance(answer, Unavailable)
            assert isinstance(other, Unavailable if answers is web else OutcomeUnknown)
            await street.call("close")


async def test_a_closed_driver_opens_no_connection_again(street: Street, raw: redis.Redis) -> None:
    await street.run(get("k"))
    await street.call("close")
    calls: list[Callable[[], Any]] = [
        lambda: street.run(get("k")),
        lambda: street.call("follow", _one_step()),
    ]
    if isinstance(street.driver, aio.Driver):
        calls += [lambda: street.driver.block(get("k"), 1), lambda: street.driver.subscribe("c").__aenter__()]
    for call in calls:
        with pytest.raises(Unavailable, match="the driver is closed"):
            await call()
    answers = await street.call("run_many", [get("k"), get("k")])
    assert [str(answer.message) for answer in answers] == ["the driver is closed"] * 2
    while any(client["name"] == "hustlex" for client in raw.client_list()):
        await asyncio.sleep(0.005)


def _one_step() -> Flow[Any]:
    return (yield from do(get("k")))


async def test_a_large_call_on_its_way_holds_up_no_small_one(faulty_street: Street, faulty: Proxy) -> None:
    """Neither 10 MB to the server, nor what is expected to be as much from it."""
    large, patience_ms = b"x" * (10 << 20), 60_000
    storing = command("test.set", Effect.IDEMPOTENT, "SET", "large", large, decode=same, timeout_ms=patience_ms)
    reading = command("test.get", Effect.READ, "GET", "large", decode=same, timeout_ms=patience_ms, large=True)
    for op, answer in ((storing, b"OK"), (reading, large)):
        op = replace(op, keys=("large",))
        await faulty_street.run(put("small", "v"))
        with faulty.holding(b"\r\nlarge\r\n"):
            slow = asyncio.create_task(faulty_street.run(op))
            for _ in range(10):
                assert await faulty_street.run(get("small")) == b"v"
            assert not slow.done()
        assert await slow == answer


async def test_a_batch_with_a_large_call_keeps_its_order(street: Street) -> None:
    large = b"x" * (1 << 20)
    ops = [put("k", "v"), get("k"), put("k", large), get("k"), put("k", "v"), get("k")]
    answers = await street.call("run_many", ops)
    assert answers[1::2] == [b"v", large, b"v"]


async def test_a_batch_larger_than_the_bound_is_answered_whole(street: Street) -> None:
    answers = await street.call("run_many", [increment("n") for _ in range(12_000)])
    assert sorted(answers) == list(range(1, 12_001))


async def test_a_script_unknown_to_the_server_is_loaded_and_run_once(street: Street, raw: redis.Redis) -> None:
    bump = script("return redis.call('INCR', KEYS[1])")
    for expected in (1, 2, 3):
        raw.script_flush()
        assert await street.run(bump.op(("n",), (), int)) == expected
    raw.script_flush()
    assert await street.call("run_many", [bump.op(("n",), (), int) for _ in range(5)]) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (command("t.x", Effect.ONCE, "NOSUCH", "a-secret", decode=same), Refused),
        (command("t.x", Effect.ONCE, "INCR", "text", decode=same), Refused),
        (command("t.x", Effect.READ, "GET", "text", decode=int), BadReply),
    ],
)
async def test_refusals_are_ours_and_show_no_argument(
    street: Street, raw: redis.Redis, op: Op[Any], expected: type[Exception]
) -> None:
    raw.set("text", "payload")
    with pytest.raises(expected) as caught:
        await street.run(op)
    assert "secret" not in str(caught.value)
    assert "payload" not in str(caught.value)
    assert str(caught.value).startswith("t.x: ")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("NOPERM User app has no permissions to run the 'config|get' command", "here +config|get is missing"),
        ("NOPERM this user has no permissions to run the 'get' command", "here +get is missing"),
        ("NOPERM No permissions to access a key", "prints the rights that each room needs"),
        ("NOPERM User 'secret' has no permissions to run the 'Secret x' command", "the rights that each room needs"),
    ],
)
def test_a_missing_right_is_named_and_nothing_else(text: str, rule: str) -> None:
    said = str(refusal(text))
    assert said.endswith(f"{rule})") and "ecret" not in said


@pytest.mark.one_server
async def test_a_user_who_may_not_is_told_which_right_is_missing(
    kind: Callable[..., Any], url: str, raw: redis.Redis
) -> None:
    raw.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">pw", "~*", "-@all", "+hello", "+client", "+ping")
    street = Street(kind(url.replace(f"//{url.partition('//')[2].partition('@')[0]}@", "//poor:pw@"), timeout=LONG))
    with pytest.raises(Denied, match=r"here \+get is missing"):
        await street.run(get("k"))
    await street.call("close")
    raw.execute_command("ACL", "DELUSER", "poor")


async def test_an_argument_that_cannot_be_sent_is_misuse(street: Street) -> None:
    for bad in (object(), "\ud800", None):
        with pytest.raises(Misuse):
            await street.run(put("k", bad))


async def test_a_full_server_refuses_writes_by_name(street: Street, raw: redis.Redis) -> None:
    raw.config_set("maxmemory", "1")
    try:
        with pytest.raises(Full):
            await street.run(put("k", "v"))
    finally:
        raw.config_set("maxmemory", "0")
    assert await street.run(put("k", "v")) == b"OK"


async def test_a_server_that_cannot_save_refuses_writes_at_once_with_the_reason(kind: Callable[..., Any]) -> None:
    said = b"-MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist on disk.\r\n"
    written: list[int] = []
    ending: list[Any] = []

    async def misconfigured(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ending.append(asyncio.current_task())
        while data := await reader.read(65_536):
            greeting = b"%1\r\n$5\r\nproto\r\n:3\r\n" * data.count(b"HELLO") + b"+OK\r\n" * data.count(
                b"\r\nCLIENT\r\n"
            )
            written.append(data.count(b"\r\nSET\r\n") + data.count(b"\r\nINCR\r\n"))
            writer.write(greeting + said * written[-1])
        writer.close()

    async with answering(misconfigured) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}", timeout=LONG))
        for op in (put("k", "v"), increment("n")):
            error = await _error_of(street.run(op))
            assert (type(error), error.server_code, error.maybe_executed, error.attempts) == (
                Refused,
                "MISCONF",
                False,
                1,
            )
            assert "cannot save to disk" in str(error)
        await street.call("close")
        await asyncio.gather(*ending)
    assert sum(written) == 2


async def test_a_missing_server_is_one_clear_sentence(kind: Callable[..., Any]) -> None:
    street = Street(kind("redis://127.0.0.1:1/0"))
    with pytest.raises(Unavailable, match=r"cannot reach the server at 127\.0\.0\.1:1: connection refused"):
        await street.run(get("k"))
    await street.call("close")


async def test_an_error_tells_attempts_time_and_node(
    kind: Callable[..., Any], faulty_street: Street, faulty: Proxy
) -> None:
    """Of what was never sent, lost, late and refused; of one call and of many; and it says no more than that."""
    away, node = Street(kind("redis://127.0.0.1:1/0", timeout=QUICK)), re.sub(r".*@|/\d+$", "", faulty.url)
    ops = [increment("secret"), get("secret")]
    for error in [await _error_of(away.run(op)) for op in ops] + await away.call("run_many", ops):
        assert isinstance(error, Unavailable)
        assert error.op and error.attempts >= 1 and error.node == "127.0.0.1:1"
        assert timedelta() < error.elapsed < timedelta(seconds=30)
        assert re.search(rf"refused \[attempts: {error.attempts}, \d+\.\d\d s\] \(is it", str(error))
    await away.call("close")
    await faulty_street.run(get("warm"))
    once, refused = increment("secret"), command("test.bad", Effect.READ, "GET", decode=same)
    for lost in (lambda: faulty_street.run(once), lambda: _first(faulty_street.call("run_many", [once]))):
        faulty.lose_reply(containing=b"INCR")
        error = await _error_of(lost())
        assert isinstance(error, OutcomeUnknown)
        assert (error.attempts, error.node) == (1, node)
        assert re.search(rf"executed \[{re.escape(node)}, attempts: 1, \d+\.\d\d s\] \(check", str(error))
        assert "secret" not in str(error)
    error = await _error_of(faulty_street.run(refused))
    assert (error.attempts, error.node, "attempts" in str(error)) == (1, node, False)
    faulty.black_hole = True
    error = await _error_of(faulty_street.run(replace(get("secret"), timeout_ms=60)))
    assert (type(error), error.node) == (Timeout, node)
    assert error.elapsed >= timedelta(milliseconds=59)


async def _error_of(call: Awaitable[Any]) -> Any:
    with pytest.raises(Error) as caught:
        await call
    return caught.value


async def _first(answers: Awaitable[list[Any]]) -> Any:
    (answer,) = await answers
    raise answer


async def test_a_server_that_hangs_up_on_the_handshake_was_sent_nothing(kind: Callable[..., Any]) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with answering(hang_up) as port:
        street = Street(kind(f"redis://127.0.0.1:{port}/0"))
        with pytest.raises(Unavailable, match="cannot reach"):
            await street.run(increment("n"))
        await street.call("close")


async def test_a_wrong_password_is_told_at_once(kind: Callable[..., Any], url: str) -> None:
    street = Street(kind(re.sub(r"//.*@", "//:wrong@", url)))
    with pytest.raises(Denied, match="WRONGPASS") as caught:
        await street.run(get("k"))
    assert "wrong@" not in str(caught.value)
    await street.call("close")


# -- a link that breaks


async def test_a_lost_reply_never_runs_a_once_call_twice(
    faulty_street: Street, faulty: Proxy, raw: redis.Redis
) -> None:
    await faulty_street.run(get("warm"))
    faulty.lose_reply(containing=b"INCR")
    with pytest.raises(OutcomeUnknown) as caught:
        await faulty_street.run(increment("n"))
    assert caught.value.maybe_executed
    assert raw.get("n") == b"1"


@pytest.mark.parametrize("times", [1, 3])
async def test_repeatable_calls_survive_lost_replies(
    faulty_street: Street, faulty: Proxy, raw: redis.Redis, times: int
) -> None:
    await faulty_street.run(get("warm"))
    faulty.lose_reply(containing=b"SET", times=times)
    assert await faulty_street.run(put("k", "v")) == b"OK"
    assert raw.get("k") == b"v"


async def test_a_call_that_was_never_executed_is_not_lost(faulty_street: Street, faulty: Proxy) -> None:
    await faulty_street.run(get("warm"))
    faulty.cut()
    assert await faulty_street.run(put("k", "v")) == b"OK"


async def test_a_silent_server_ends_at_the_deadline(faulty_street: Street, faulty: Proxy) -> None:
    await faulty_street.run(get("warm"))
    faulty.black_hole = True
    slow = Op("t.slow", Effect.READ, ("k",), ("GET", "k"), same, None, 80)
    with pytest.raises(Unavailable):
        await faulty_street.run(slow)


async def test_connecting_ends_with_the_call_that_needs_it(kind: Callable[..., Any], faulty: Proxy) -> None:
    """A server that takes the connection and says nothing: a call of 80 ms ends in well under a second."""
    faulty.black_hole = True
    street = Street(kind(faulty.url))
    took = []
    for _ in range(3):
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await street.run(Op("t.slow", Effect.READ, ("k",), ("GET", "k"), same, None, 80))
        took.append(time.monotonic() - begun)
    assert min(took) < 0.9
    faulty.black_hole = False
    faulty.cut()
    assert await street.run(put("k", "v")) == b"OK"
    await street.call("close")


def test_waiting_for_a_free_connection_ends_with_the_call_that_needs_it(
    faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_py, "_POOL", 1)
    with blocking.Driver(faulty.url) as driver, ThreadPoolExecutor(1) as other:
        driver.run(get("warm"))
        faulty.black_hole = True
        holding = other.submit(driver.run, command("test.get", Effect.READ, "GET", "x", decode=same, timeout_ms=3_000))
        while not driver._pools._route.pool.busy:
            time.sleep(0.001)
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            driver.run(command("test.get", Effect.READ, "GET", "x", decode=same, timeout_ms=50))
        assert time.monotonic() - begun < 2
        assert isinstance(holding.exception(), Unavailable)


async def test_replies_in_single_bytes_are_put_together(faulty_street: Street, faulty: Proxy) -> None:
    faulty.trickle = True
    await faulty_street.run(put("k", "x" * 300))
    assert await faulty_street.run(get("k")) == b"x" * 300


# -- flows


async def test_a_flow_runs_every_kind_of_step(street: Street) -> None:
    def story() -> Flow[tuple[Any, ...]]:
        yield from do(put("k", 5))
        batch = yield Batch((get("k"), increment("k")))
        yield Sleep(0)
        called = yield Call(lambda: "called")
        return batch, called

    assert await street.call("follow", story()) == ([b"5", 6], "called")


async def test_a_flow_sees_errors_and_can_clean_up(street: Street, raw: redis.Redis) -> None:
    def story() -> Flow[str]:
        try:
            yield Call(lambda: 1 / 0)
        except ZeroDivisionError:
            yield from do(put("cleaned", 1))
            return "cleaned"
        return "never"

    assert await street.call("follow", story()) == "cleaned"
    assert raw.get("cleaned") == b"1"


async def test_the_hook_sees_names_and_outcomes(kind: Callable[..., Any], url: str, raw: redis.Redis) -> None:
    raw.set("text", "x")
    calls = Calls()
    street = Street(kind(url, hook=calls))
    await street.run(get("k"))
    with pytest.raises(Refused):
        await street.run(increment("text"))
    assert [(call.op, call.error) for call in calls.ended] == [("test.get", ""), ("test.increment", "Refused")]
    await street.call("close")
