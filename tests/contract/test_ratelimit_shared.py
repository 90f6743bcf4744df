"""Checks of callers who wait at once share calls, and are answered as if each had gone by itself."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.keys import slot
from hustlex.core.op import Op
from hustlex.core.telemetry import Hook
from hustlex.drivers.aio import Driver
from hustlex.errors import BadReply
from hustlex.ratelimit import Decision, Outcome, Policy, RateLimit, RateLimitOptions, Source
from hustlex.ratelimit.coalescing import aio
from hustlex.ratelimit.engine import ops, shared
from tests.support.calls import Calls
from tests.support.proxy import Proxy

AGE = timedelta(days=300)
"""A window that does not end while a test runs."""
PAY: Any = {"endpoint": "/pay"}
PATIENT = timedelta(seconds=10)
CALLERS = 64


class Counting(Driver):
    """alone, together: the operations that went by themselves, and those of several. at_once: which of these."""

    def __init__(self, url: str, *, hook: Hook | None = None) -> None:
        super().__init__(url, hook=hook)
        self.alone: list[Op[Any]] = []
        self.together: list[Op[Any]] = []
        self.at_once: list[bool] = []

    async def run(self, op: Op[Any]) -> Any:
        self.alone.append(op)
        return await super().run(op)

    def send(self, op: Op[Any], *, at_once: bool = False) -> asyncio.Future[Any]:
        self.together.append(op)
        self.at_once.append(at_once)
        return super().send(op, at_once=at_once)

    def forget(self) -> None:
        self.alone.clear()
        self.together.clear()


@asynccontextmanager
async def room(url: str, *, hook: Hook | None = None, **options: Any) -> AsyncIterator[tuple[RateLimit, Counting]]:
    driver = Counting(url, hook=hook)
    try:
        limits = RateLimit(driver, options=RateLimitOptions(**{"timeout": PATIENT} | options))
        await limits.check(counter("warm", 10), "w", **PAY)
        driver.forget()
        yield limits, driver
    finally:
        await driver.close()


def counter(name: str, limit: int, **more: Any) -> Policy:
    return Policy(name, limit, AGE, "counter", **more)


async def all_of(limits: RateLimit, policy: Policy, names: list[str]) -> list[Decision]:
    return await asyncio.gather(*(limits.check(policy, name, **PAY) for name in names))


def seen(decision: Decision) -> tuple[Any, ...]:
    return (decision.outcome, decision.source, decision.cost, [state.remaining for state in decision.per_policy])


async def test_a_check_of_one_key_shares_a_call_with_the_others(url: str) -> None:
    async with room(url) as (limits, driver):
        decisions = await all_of(limits, counter("p", 40), ["u1"] * CALLERS)
        assert [each.remaining for each in decisions] == [*range(39, -1, -1), *[0] * 24]
        assert [bool(each) for each in decisions] == [True] * 40 + [False] * 24
        assert all(each.retry_after > timedelta(0) for each in decisions[40:])
        assert len(driver.alone) == 9
        assert driver.at_once == [True, False]  # the server works on a full call while the next one gathers


async def test_a_check_of_many_keys_shares_calls_where_a_call_may_cross_slots(url: str) -> None:
    async with room(url) as (limits, driver):
        names = [f"u{number}" for number in range(CALLERS)]
        assert all(await all_of(limits, counter("p", 1), names))
        assert not any(await all_of(limits, counter("p", 1, local_deny=False), names))
        calls = len(driver.alone) + len(driver.together)
        assert calls <= 9 + 2 + 3 if driver.crosses_slots else calls == 2 * CALLERS
        for op in driver.together:
            assert driver.crosses_slots or len({slot(key) for key in op.keys}) == 1


async def test_a_caller_alone_waits_for_nobody(url: str) -> None:
    async with room(url) as (limits, driver):
        for _ in range(5):
            await limits.check(counter("p", 10), "u1", **PAY)
        await asyncio.gather(*(limits.check(counter("p", 10), name, **PAY) for name in ("u2", "u3")))
        assert (len(driver.alone), driver.together) == (7, [])
        await all_of(limits, counter("p", 100), ["u4"] * CALLERS)
        for _ in range(20):
            await limits.check(counter("p", 100), "u5", **PAY)
        driver.forget()
        await limits.check(counter("p", 100), "u5", **PAY)
        assert (len(driver.alone), driver.together) == (1, [])


async def test_checks_that_have_little_in_common_go_by_themselves_for_a_while(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "_PAUSE_S", 0.05)
    async with room(url) as (limits, driver):
        policies = [counter(f"p{number}", 1) for number in range(CALLERS)]
        for _ in range(2):
            driver.forget()
            await asyncio.gather(*(limits.check(policy, "u1", endpoint=policy.name) for policy in policies))
        assert (len(driver.alone), driver.together) == (CALLERS, [])
        while not driver.together:
            await all_of(limits, counter("p", 1_000), ["u1"] * CALLERS)


async def test_checks_made_before_there_is_a_connection_are_no_reason_to_share_none_later(url: str) -> None:
    driver, names = Counting(url), [f"u{number}" for number in range(CALLERS)]
    limits = RateLimit(driver, options=RateLimitOptions(timeout=PATIENT))
    for _ in range(2):
        driver.forget()
        assert all(await all_of(limits, counter("p", 2), names))
    assert not driver.crosses_slots or len(driver.alone) + len(driver.together) <= 9 + 3
    await driver.close()


POLICIES: list[Any] = [
    counter("counter", 7),
    counter("dear", 9, cost=2),
    Policy("fixed", 6, AGE, "fixed"),
    Policy("strict", 8, AGE),
    [counter("wide", 12), Policy("narrow", 5, AGE, "fixed")],
    counter("shadow", 3, shadow=True),
]


@pytest.mark.parametrize("seed", range(6))
async def test_checks_at_once_are_answered_as_one_by_one(url: str, raw: redis.Redis, seed: int) -> None:
    for script in (ops._CHECK, *ops._SHORT.values(), *shared._SCRIPTS.values()):
        raw.script_load(script.text)  # a call whose script is not there yet is sent twice, the second time after others
    chosen = random.Random(seed)

    def ask() -> tuple[int, int, int]:
        return chosen.randrange(len(POLICIES)), chosen.randrange(chosen.choice((1, 3, 40))), chosen.choice((1, 1, 1, 2))

    async with room(url, local_deny=False) as (limits, driver):

        def check(side: str, policy: int, who: int, cost: int) -> Awaitable[Decision]:
            return limits.check(POLICIES[policy], f"{side}{who}", endpoint=f"/{policy}", cost=cost)

        await asyncio.gather(*(check("warm", 0, who, 1) for who in range(CALLERS)))  # each node is connected
        for _ in range(4):
            asked = [ask() for _ in range(chosen.randrange(1, 90))]
            at_once = await asyncio.gather(*(check("a", *each) for each in asked))
            assert [*map(seen, at_once)] == [seen(await check("b", *each)) for each in asked]
        assert driver.together


async def test_a_check_whose_caller_was_cancelled_before_it_was_sent_costs_nothing(url: str) -> None:
    async with room(url) as (limits, _):
        tasks = [asyncio.create_task(_check(limits, "u1")) for _ in range(20)]
        asyncio.get_running_loop().call_soon(lambda: [task.cancel() for task in tasks[10:]])
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in answers] == [Decision] * 10 + [asyncio.CancelledError] * 10
        assert (await limits.peek(counter("p", 100), "u1", **PAY)).remaining == 90


async def test_a_check_whose_caller_was_cancelled_later_disturbs_no_other(url: str) -> None:
    async with room(url) as (limits, driver):
        tasks = [asyncio.create_task(_check(limits, "u1")) for _ in range(20)]
        while not driver.together:
            await asyncio.sleep(0)
        for task in tasks[5:15]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert Counter(type(each) for each in answers) == {Decision: 10, asyncio.CancelledError: 10}
        assert (await limits.peek(counter("p", 100), "u1", **PAY)).remaining == 80  # as one that was sent by itself


async def _check(limits: RateLimit, who: str) -> Decision:
    return await limits.check(counter("p", 100), who, **PAY)


async def test_a_check_by_a_wrong_clock_is_corrected_for_each_caller(url: str) -> None:
    driver = Driver(url)
    limits = RateLimit(driver, local_clock=lambda: 1_000_000, options=RateLimitOptions(timeout=PATIENT))
    policy = Policy("p", 30, timedelta(hours=24), "counter")
    decisions = await all_of(limits, policy, ["u1"] * CALLERS)
    assert sum(map(bool, decisions)) == 30
    assert sorted(each.remaining for each in decisions if each) == [*range(30)]
    await driver.close()


async def test_a_key_that_holds_no_count_fails_only_who_asks_for_it(url: str, raw: redis.Redis) -> None:
    policy = counter("p", 9)
    async with room(url) as (limits, _):
        await all_of(limits, policy, ["u1", "u2"])
        (key,) = [key for key in raw.scan_iter("*{u1}*") if raw.type(key) == b"string"]
        raw.set(key, "no number")
        decisions = await all_of(limits, policy, ["u2"] * 5 + ["u1", "u2"] * 10)
        assert [each.source for each in decisions[5::2]] == [Source.LOCAL_FALLBACK] * 10
        others = [*decisions[:5], *decisions[6::2]]
        assert [each.outcome for each in others] == [Outcome.ALLOWED] * 8 + [Outcome.DENIED] * 7


@pytest.mark.parametrize(
    ("on_error", "source", "passing"),
    [("local", Source.LOCAL_FALLBACK, 5), ("open", Source.FAIL_OPEN, CALLERS), ("closed", Source.FAIL_CLOSED, 0)],
)
async def test_each_caller_of_a_check_that_is_not_answered_is_judged_by_the_policy(
    faulty: Proxy, on_error: Any, source: Source, passing: int
) -> None:
    async with room(faulty.url, timeout=timedelta(milliseconds=150)) as (limits, driver):
        faulty.black_hole = True
        policy = counter("p", 5, on_error=on_error)
        decisions = await asyncio.gather(*(limits.check(policy, "u1", endpoint="/gigs") for _ in range(CALLERS)))
        assert {each.source for each in decisions} == {source}
        assert sum(map(bool, decisions)) == passing
        assert driver.together
        assert limits.degraded
        faulty.black_hole = False


@pytest.mark.parametrize("read", [lambda *_: 1 / "x", lambda *_: []])
async def test_each_caller_of_a_check_with_a_bad_reply_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    async with room(url) as (limits, _):
        monkeypatch.setattr(shared, "_each", read)
        checks = (limits.check(counter("p", 100), "u1", **PAY) for _ in range(20))
        answers = await asyncio.gather(*checks, return_exceptions=True)
        assert Counter(map(type, answers)) == {Decision: 9, BadReply: 11}
        monkeypatch.undo()
        assert await limits.check(counter("p", 100), "u1", **PAY)


who: ContextVar[str] = ContextVar("who")


async def test_each_caller_of_a_shared_check_is_told_to_the_hooks_in_its_own_context(url: str) -> None:
    calls, told = Calls(), list[str]()

    async def ask(limits: RateLimit, name: str) -> None:
        who.set(name)
        await limits.check(counter("p", 10), "u1", **PAY)

    async with room(url, hook=calls, on_decision=lambda _: told.append(who.get("nobody"))) as (limits, driver):
        calls.clear()
        told.clear()
        await asyncio.gather(*(ask(limits, f"n{number}") for number in range(CALLERS)))
        assert driver.together
        assert sorted(told) == sorted(f"n{number}" for number in range(CALLERS))
        asked = [call for call in calls.started if not call.memory]
        assert {call.op for call in asked} == {"ratelimit.check_counter"}
        assert len(asked) == CALLERS
        assert not calls.open


async def test_an_answer_of_a_shared_check_may_be_a_task_and_is_given_once(url: str) -> None:
    async with room(url) as (limits, driver):
        await all_of(limits, counter("p", 100), ["u1"] * CALLERS)
        driver.forget()
        answer: Any = limits.check(counter("p", 100), "u1", **PAY)
        assert (await asyncio.create_task(answer)).remaining == 35
        with pytest.raises(RuntimeError, match="already awaited"):
            await answer
        assert driver.together


def test_a_check_is_served_in_one_loop_after_the_other(url: str) -> None:
    driver = Counting(url)
    limits = RateLimit(driver, options=RateLimitOptions(timeout=PATIENT))

    async def left_behind() -> None:
        await all_of(limits, counter("p", 1_000), ["u1"] * CALLERS)
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
        await asyncio.gather(*(limits.check(counter("p", 1_000), "u1", **PAY) for _ in range(CALLERS)))

    first = asyncio.new_event_loop()
    with pytest.raises(RuntimeError, match="stopped"):
        first.run_until_complete(left_behind())

    async def later() -> list[Decision]:
        decisions = await all_of(limits, counter("p", 1_000), ["u2"] * CALLERS)
        await driver.close()
        return decisions

    assert [each.remaining for each in asyncio.run(later())] == [*range(999, 999 - CALLERS, -1)]
    for task in asyncio.all_tasks(first):
        task.cancel()
    first.run_until_complete(asyncio.sleep(0))
    first.close()
