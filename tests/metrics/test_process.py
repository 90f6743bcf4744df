"""What a process counts, on a real server through the fronts, and the text it tells."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hustlex.app import HustleX
from hustlex.core.answer.told import DOORS
from hustlex.core.telemetry import AttemptEnd, AttemptStart, CallEnd, CallStart, Combined, DoorEnd, Telemetry, telling
from hustlex.errors import ConfigurationError, Misuse, Unavailable
from hustlex.jobs import Tasks
from hustlex.metrics import Metrics, SlowLog, process_metrics
from hustlex.metrics.declared import METRICS
from hustlex.metrics.families import OTHER
from hustlex.metrics.worker import LoopLag, of_worker
from hustlex.pins import PinOk, PinWrong
from hustlex.ratelimit import Policy
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.worker import serve_health
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.metrics.conftest import Numbers, numbers
from tests.support.blocking import Blocking
from tests.worker.support import running, until

MINUTE = timedelta(minutes=1)
Told = Callable[[], Numbers]


@pytest.fixture(params=["aio", "blocking"])
async def front(request: pytest.FixtureRequest, url: str, metrics: Metrics) -> AsyncIterator[Any]:
    options: Any = {"secret": SECRET, "timeout": PATIENCE, "hook": metrics, "ratelimit": unhurried()}
    if request.param == "aio":
        async with HustleX(url, **options) as hx:
            yield hx
    else:
        with BlockingHustleX(url, **options) as hx:
            yield Blocking(hx)


async def use(hx: Any) -> Any:
    """A little of every room; a cache counts as long as somebody has it."""
    two = Policy("two", 2, MINUTE)
    for _ in range(4):
        await hx.ratelimit.check(two, "u1", endpoint="/pay")
    verifier = (await hx.pins.hash("u1", "4821")).verifier
    assert isinstance(await hx.pins.verify("u1", "4822", verifier), PinWrong)
    assert isinstance(await hx.pins.verify("u1", "4821", verifier), PinOk)
    issued = await hx.otp.issue("0803 123 4567", "login")
    await hx.otp.verify(issued.challenge, (await hx.otp.open(issued.challenge)).code)
    pair = await hx.tokens.login("u1")
    await hx.tokens.check(pair.access, mode="strict")
    await hx.tokens.check("junk")
    await hx.tokens.refresh(pair.refresh)
    await hx.tokens.revoke_all("u1")
    for _ in range(2):
        await hx.jobs.enqueue("send", {"to": "0803"}, task_id="t1", queue="mail")
    users = hx.cache("user", int, ttl=MINUTE, timeout=PATIENCE)
    await users.set(42, 1)
    assert (await users.get(42), await users.get(43)) == (1, None)
    return users


async def test_each_room_is_counted_by_its_words(front: Any, told: Told) -> None:
    users = await use(front)
    found = told()
    del users
    expected = {
        ("hustlex_ratelimit_decisions_total", ("allowed", "two", "redis")): 2,
        ("hustlex_ratelimit_decisions_total", ("denied", "two", "redis")): 1,
        ("hustlex_ratelimit_decisions_total", ("denied", "two", "local_deny")): 1,
        ("hustlex_pin_attempts_total", ("pin_wrong",)): 1,
        ("hustlex_pin_attempts_total", ("pin_ok",)): 1,
        ("hustlex_otp_issue_total", ("NG", "sent", "login")): 1,
        ("hustlex_otp_verify_total", ("anon", "verified", "login")): 1,
        ("hustlex_otp_time_to_verify_seconds_count", ()): 1,
        ("hustlex_token_logins_total", ("token_pair",)): 1,
        ("hustlex_token_checks_total", ("", "ok")): 1,
        ("hustlex_token_checks_total", ("malformed", "rejected")): 1,
        ("hustlex_token_refreshes_total", ("rotated",)): 1,
        ("hustlex_token_revocations_total", ("all",)): 1,
        ("hustlex_enqueued_total", ("enqueued", "mail")): 1,
        ("hustlex_enqueued_total", ("id_taken", "mail")): 1,
        ("hustlex_cache_requests_total", ("user", "fresh")): 1,
        ("hustlex_cache_requests_total", ("user", "miss")): 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["hustlex_calls_total", ("pins.attempt", "ok")] == 2
    assert found["hustlex_calls_total", ("ratelimit.check", "memory")] == 1
    calls = sum(value for (name, labels), value in found.items() if name == "hustlex_calls_total" and "ok" in labels)
    timed = sum(value for (name, _), value in found.items() if name == "hustlex_call_duration_seconds_count")
    assert 0 < timed <= calls


async def test_what_is_told_is_declared_and_holds_nobodys_data(front: Any, metrics: Metrics) -> None:
    await use(front)
    text = metrics.text().decode()
    for secret in ("0803", "803123", "u1", "4821", "t1", "42"):
        assert f'"{secret}' not in text
    shown = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert shown == {name: METRICS[name].kind for name in shown}
    assert not any(METRICS[name].fleet for name in shown)


async def test_failed_calls_have_the_word_of_their_failure(url: str, raw: Any, metrics: Metrics, told: Told) -> None:
    async with HustleX("redis://127.0.0.1:1", hook=metrics, timeout=timedelta(milliseconds=20)) as away:
        with pytest.raises(Unavailable):
            await away.jobs.inspector.queues()
    assert told()["hustlex_calls_total", ("jobs.queues", "unavailable")] == 1


async def test_a_workers_attempts_and_slots_are_told_on_its_health_port(
    url: str, driver: Any, metrics: Metrics, raw: Any
) -> None:
    tasks = Tasks()
    seen: list[str] = []

    @tasks.task("mail")
    async def mail(fails: bool) -> None:
        seen.append("mail")
        if fails:
            raise ValueError("no such mailbox")

    async with HustleX(url, timeout=PATIENCE, hook=metrics) as hx, running(hx.driver, tasks) as run:
        metrics.ask(of_worker(run.worker, tasks))
        await hx.jobs.enqueue(mail.job(False))
        await hx.jobs.enqueue(mail.job(True))
        await hx.jobs.enqueue("nobody:42", b"")
        ended = run.worker.parts.executor
        await until(lambda: ended.succeeded + ended.failed >= 3)
        async with serve_health(run.worker, driver, 0, metrics=metrics.text) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            writer.close()
    assert b"200 OK" in head and b"text/plain; version=0.0.4" in head
    found = numbers(body)
    assert found["hustlex_tasks_total", ("done", "default", "mail")] == 1
    assert found["hustlex_tasks_total", ("retry", "default", "mail")] == 1
    assert found["hustlex_tasks_total", ("put_off", "default", "_unknown")] >= 1
    assert found["hustlex_task_duration_seconds_count", ("mail",)] == 2
    assert found["hustlex_worker_slots", ("total",)] == 10
    assert "nobody" not in body.decode()


def test_each_label_has_its_bound_and_what_is_folded_is_told(metrics: Metrics, told: Told) -> None:
    most = METRICS["hustlex_enqueued_total"].labels["queue"]
    for number in range(most + 3):
        metrics.families["enqueued_total"].add((f"q{number}", "enqueued"))
    metrics.families["enqueued_total"].add(("x" * 300, "enqueued"))
    found = told()
    assert found["hustlex_enqueued_total", ("enqueued", OTHER)] == 4
    assert sum(name == "hustlex_enqueued_total" for name, _ in found) == most + 1
    assert found["hustlex_labels_folded", ("hustlex_enqueued_total",)] == 4


def test_a_flood_of_series_finds_an_end_and_no_other_suffers(metrics: Metrics, told: Told) -> None:
    family = metrics.families["tasks_total"]
    for kind in range(34):
        for queue in range(50):
            for outcome in range(10):
                family.add((f"t{kind}", f"q{queue}", f"o{outcome}"))
    metrics.families["pin_attempts_total"].add(("pin_ok",))
    assert sum(name == "hustlex_tasks_total" for name, _ in told()) < 16_000


def test_names_with_quotes_and_lines_are_one_label(metrics: Metrics, told: Told) -> None:
    odd = 'a"b\\c\nd'
    metrics.families["enqueued_total"].add((odd, "enqueued"))
    assert told()["hustlex_enqueued_total", ("enqueued", odd)] == 1


def test_threads_lose_no_count(metrics: Metrics, told: Told) -> None:
    def count() -> None:
        for _ in range(2_000):
            end = metrics(CallStart(("a.b",)))
            end(CallEnd(("a.b",), seconds=0.002))
            with telling(metrics, "c.d"):
                pass

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = told()
    assert found["hustlex_calls_total", ("a.b", "ok")] == 8_000
    assert found["hustlex_calls_total", ("c.d", "ok")] == 8_000
    assert found["hustlex_calls_in_flight", ()] == 0
    assert found["hustlex_call_duration_seconds_bucket", ("0.001", "a")] == 0
    assert found["hustlex_call_duration_seconds_bucket", ("0.0025", "a")] == 8_000
    assert found["hustlex_call_duration_seconds_sum", ("a",)] == pytest.approx(16)


ENDS = [None, Unavailable("away"), ValueError("odd"), asyncio.CancelledError(), KeyboardInterrupt()]


def test_a_call_is_counted_alike_with_words_and_without(metrics: Metrics, told: Told) -> None:
    spoken = Metrics()
    for op, error in itertools.product(("pins.attempt", "otp.verify", "odd"), ENDS * 3):
        for hook in (metrics, Combined(spoken, SlowLog())):
            flying = -1.0
            with contextlib.suppress(BaseException), telling(hook, op):
                flying = told()["hustlex_calls_in_flight", ()]
                if error is not None:
                    raise error
            assert flying == (hook is metrics)
    ours, theirs = told(), numbers(spoken.text())
    same = {name for name, _ in ours if name.startswith("hustlex_call") and not name.endswith(("_bucket", "_sum"))}
    assert same == {"hustlex_calls_total", "hustlex_call_duration_seconds_count", "hustlex_calls_in_flight"}
    assert {name: ours[name] for name in ours if name[0] in same} == {
        name: theirs[name] for name in theirs if name[0] in same
    }
    assert ours["hustlex_calls_total", ("pins.attempt", "unavailable")] == 3


def test_what_is_derived_from_the_metrics_hears_each_call() -> None:
    heard: list[str] = []

    class Own(Metrics):
        def __call__(self, start: CallStart) -> Any:
            heard.append(start.op)
            return super().__call__(start)

    with telling(own := Own(), "pins.attempt"):
        pass
    assert heard == ["pins.attempt"]
    assert numbers(own.text())["hustlex_calls_total", ("pins.attempt", "ok")] == 1


def test_a_source_that_fails_changes_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(str(tmp_path))
    metrics.ask(lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    with telling(metrics, "pins.attempt"):
        pass
    assert "was not asked for" in caplog.text
    assert metrics.families["calls_total"].place(("pins.attempt", "ok")) > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="looks at one server")
def test_a_child_begins_with_nothing(metrics: Metrics) -> None:
    metrics(CallStart(("a.b",)))(CallEnd(("a.b",), seconds=0.1))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        text = metrics.text()
        os.write(writer, b"1" if b"a.b" not in text else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"
    os.close(reader)
    os.close(writer)
    assert b"a.b" in metrics.text()


def test_the_loops_lag_is_the_worst_of_a_while(metrics: Metrics, told: Told) -> None:
    lag = LoopLag()
    metrics.ask(lag.write)
    assert told()["hustlex_loop_lag_seconds", ()] == 0
    lag.note(0.25)
    lag.note(-0.1)
    assert told()["hustlex_loop_lag_seconds", ()] == 0.25


def test_every_door_that_answers_later_is_told() -> None:
    from hustlex.idempotency import Idempotency
    from hustlex.jobs import Jobs
    from hustlex.otp import Otp
    from hustlex.pins import Pins
    from hustlex.ratelimit import RateLimit
    from hustlex.tokens import Tokens

    for kind in (Idempotency, Jobs, Otp, Pins, RateLimit, Tokens):
        doors = {
            name
            for each in kind.__mro__
            for name, door in vars(each).items()
            if not name.startswith("_") and inspect.iscoroutinefunction(inspect.unwrap(door))
        }
        assert doors - {"start", "close"} <= set(DOORS[kind.__name__.lower()]), kind
        assert all(hasattr(kind, door) for door in DOORS[kind.__name__.lower()])


@pytest.mark.parametrize("hook", [None, lambda _: None])
async def test_who_does_not_listen_for_rooms_costs_them_nothing(url: str, hook: Any) -> None:
    async with HustleX(url, secret=SECRET, hook=hook) as hx:
        assert not vars(hx.pins).keys() & set(DOORS["pins"])
        assert not vars(hx.durable("memory").pins).keys() & set(DOORS["pins"])
    async with HustleX(url, secret=SECRET, hook=Metrics()) as hx:
        assert vars(hx.pins).keys() >= set(DOORS["pins"])


class Ears(Telemetry):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def door(self, name: str, about: Any) -> Callable[[DoorEnd], None]:
        self.told.append(name)
        return lambda end: self.told.append(f"{name} {type(end.answer).__name__}{end.error}")

    def attempt(self, start: AttemptStart) -> Callable[[AttemptEnd], None]:
        return lambda end: self.told.append(f"{start.type} {end.outcome}")


class Broken(Telemetry):
    """Fails at everything."""

    def __call__(self, start: CallStart) -> None:
        raise RuntimeError

    def door(self, name: str, about: Any) -> None:
        raise RuntimeError

    def headers(self, *, later: bool) -> dict[str, str]:
        raise RuntimeError

    def attempt(self, start: AttemptStart) -> None:
        raise RuntimeError


async def test_ears_hear_doors_in_both_styles_and_a_broken_one_changes_nothing(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard = ["pins.reset", "pins.reset bool", "jobs.enqueue", "jobs.enqueue NoneTypeMisuse"]
    with caplog.at_level(logging.CRITICAL):
        for style in ("aio", "blocking"):
            ears = Ears()
            hook = Combined(Broken(), ears, lambda _: None)
            if style == "aio":
                async with HustleX(url, secret=SECRET, timeout=PATIENCE, hook=hook) as hx:
                    await hx.durable("memory").pins.reset("u1")
                    with pytest.raises(Misuse):
                        await hx.jobs.enqueue("", b"")
                    with pytest.raises(Misuse, match="await"):
                        bool(hx.pins.reset("u1"))
            else:
                with BlockingHustleX(url, secret=SECRET, timeout=PATIENCE, hook=hook) as blocking:
                    blocking.pins.reset("u1")
                    with pytest.raises(Misuse):
                        blocking.jobs.enqueue("", b"")
            assert ears.told == heard


async def test_a_broken_hook_fails_no_attempt(url: str, caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    @tasks.task("t")
    async def t() -> None: ...

    ears = Ears()
    with caplog.at_level(logging.CRITICAL):
        hook = Combined(ears, Broken())
        async with HustleX(url, timeout=PATIENCE, hook=hook) as hx, running(hx.driver, tasks) as run:
            await hx.jobs.enqueue(t.job())
            await until(lambda: run.worker.parts.executor.succeeded == 1)
    assert "t done" in ears.told


def test_the_metrics_of_a_process_are_one_and_bad_arguments_are_refused(
    monkeypatch: pytest.MonkeyPatch, metrics: Metrics
) -> None:
    monkeypatch.setattr("hustlex.metrics.process._mine", [])
    assert process_metrics() is process_metrics()
    with pytest.raises(ConfigurationError):
        Metrics("/proc/nowhere")
    for bad in ("", 5):
        with pytest.raises(Misuse):
            Metrics(bad)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        Combined(metrics, 5)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        Metrics().ask("x")  # type: ignore[arg-type]
