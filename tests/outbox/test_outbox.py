"""Jobs in the application's own transaction: with its commit, never without, and once however it dies."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from sqlalchemy import MetaData, create_engine, insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver, Options
from hustlex.errors import Conflict, Denied, Misuse, Refused, Unavailable
from hustlex.jobs import Jobs, State
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.wire import decode_task
from hustlex.outbox import Outbox, OutboxRelay, Relayed
from hustlex.testing import drain
from tests.conftest import LONG
from tests.outbox.shop import Shop, mail, open_engine, ship, tasks
from tests.support import forked
from tests.support.proxy import Proxy
from tests.worker.support import until

ROOT = Path(__file__).parents[2]
NEVER = timedelta(hours=1)


def pending(raw: redis.Redis, queue: str = "critical") -> list[str]:
    """Task ids, the next to run first."""
    return [task_id.decode() for task_id in reversed(raw.lrange(queue_keys(queue).pending, 0, -1))]


@pytest.fixture
def relay(driver: Driver, engine: AsyncEngine) -> OutboxRelay:
    """A relay that works only when it is told to."""
    return OutboxRelay(driver, engine, Shop.outbox)


# -- with the transaction


async def test_a_job_is_enqueued_with_the_commit_and_not_before(
    shop: Shop, relay: OutboxRelay, raw: redis.Redis
) -> None:
    async with AsyncSession(shop.engine) as session:
        await session.execute(insert(shop.orders), [{"id": 1}])
        task_id = shop.outbox.add(session, ship.job(1))
        if shop.engine.dialect.name != "sqlite":  # there the open transaction keeps the relay out
            await session.flush()
            assert await relay.flush() == Relayed()
        await session.commit()
    assert await relay.flush() == Relayed(enqueued=1)
    assert pending(raw) == [task_id]
    assert await shop.rows() == []
    assert await shop.count() == 1


async def test_a_rollback_leaves_nothing(shop: Shop, relay: OutboxRelay, raw: redis.Redis) -> None:
    async with AsyncSession(shop.engine) as session:
        shop.outbox.add(session, ship.job(1))
        await session.flush()
        shop.outbox.add(session, ship.job(2))
        await session.rollback()
        await session.commit()
    with pytest.raises(IntegrityError):
        await shop.buy(3, 3)
    assert await relay.flush() == Relayed()
    assert await shop.rows() == [] and raw.keys() == []


async def test_a_failing_insert_does_not_show_the_jobs_arguments(engine: AsyncEngine) -> None:
    nowhere = Outbox(MetaData(), name="never_made")
    async with AsyncSession(engine) as session:
        nowhere.add(session, "sms", {"to": "+2348031234567"})
        with pytest.raises(DBAPIError) as caught:
            await session.commit()
    assert "never_made" in str(caught.value)
    assert "+2348031234567" not in str(caught.value)


async def test_a_savepoint_that_rolls_back_takes_only_its_own_jobs(
    shop: Shop, relay: OutboxRelay, raw: redis.Redis
) -> None:
    async with AsyncSession(shop.engine) as session, session.begin():
        outer = shop.outbox.add(session, ship.job(1))
        async with session.begin_nested():
            kept = shop.outbox.add(session, ship.job(2))
        nested = await session.begin_nested()
        shop.outbox.add(session, ship.job(3))
        await nested.rollback()
    assert await relay.flush() == Relayed(enqueued=2)
    assert pending(raw) == [outer, kept]


async def test_it_goes_over_the_wire_as_a_plain_enqueue(shop: Shop, relay: OutboxRelay, driver: Driver) -> None:
    async with AsyncSession(shop.engine) as session, session.begin():
        task_id = shop.outbox.add(
            session, mail.job(7), queue="low", max_retry=2, timeout=timedelta(minutes=1), headers={"trace": "x"}
        )
        assert shop.outbox.add(session, "raw:type", {"a": 1}, task_id="mine", retention=timedelta(0)) == "mine"
    await relay.flush()
    inspector = Jobs(driver).inspector
    found = await inspector.task("low", task_id)
    assert (found.type, found.payload, found.max_retry) == ("order:mail", b'{"order":7}', 2)
    assert (found.timeout, found.headers) == (timedelta(minutes=1), {"trace": "x"})
    assert found.retention == timedelta(hours=1)
    raw_type = await inspector.task("default", "mine")
    assert (raw_type.type, raw_type.payload, raw_type.retention) == ("raw:type", b'{"a":1}', timedelta(0))


async def test_a_delay_counts_from_the_adding_not_from_the_relaying(engine: AsyncEngine, driver: Driver) -> None:
    clock = FixedClock()
    outbox = Outbox(MetaData(), clock=clock)
    async with AsyncSession(engine) as session, session.begin():
        soon = outbox.add(session, mail.job(1), process_in=timedelta(minutes=5))
        at = outbox.add(session, mail.job(2), process_at=datetime(2026, 1, 1, 0, 20, tzinfo=UTC))
    clock.advance(timedelta(minutes=6))
    await OutboxRelay(driver, engine, outbox, clock=clock).flush()
    inspector = Jobs(driver, clock=clock).inspector
    assert (await inspector.task("default", soon)).state is State.PENDING
    assert (await inspector.task("default", at)).next_process_at == datetime(2026, 1, 1, 0, 20, tzinfo=UTC)


async def test_what_can_never_work_is_refused_in_the_transaction(shop: Shop) -> None:
    async with AsyncSession(shop.engine) as session:
        for options in ({"queue": " "}, {"timeout": timedelta(milliseconds=1)}, {"queues": "typo"}):
            with pytest.raises(Misuse):
                shop.outbox.add(session, ship.job(1), **options)
        assert not session.new


async def test_a_relay_refuses_senseless_settings(engine: AsyncEngine, driver: Driver) -> None:
    for options in ({"batch": 0}, {"batch": 501}, {"poll": timedelta(0)}):
        with pytest.raises(Misuse):
            OutboxRelay(driver, engine, Shop.outbox, **options)


async def test_a_job_without_retention_when_the_outbox_keeps_nothing(engine: AsyncEngine) -> None:
    outbox = Outbox(MetaData(), retention=timedelta(0))
    async with AsyncSession(engine) as session:
        outbox.add(session, mail.job(1))
        (row,) = session.new
        assert decode_task(msgspec.msgpack.decode(row.draft, type=Draft).message).retention == 0


async def test_all_four_kinds_of_session(tmp_path: Path, driver: Driver, raw: redis.Redis) -> None:
    url = f"sqlite:///{tmp_path / 'kinds.db'}"
    plain = create_engine(url)
    engine = open_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
    Shop.metadata.create_all(plain)
    ids = []
    with Session(plain) as session, session.begin():
        ids.append(Shop.outbox.add(session, ship.job(1)))
    scoped = scoped_session(sessionmaker(plain))
    ids.append(Shop.outbox.add(scoped, ship.job(2)))
    scoped.commit()
    scoped.remove()
    async with AsyncSession(engine) as async_session, async_session.begin():
        ids.append(Shop.outbox.add(async_session, ship.job(3)))
    async_scoped = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
    ids.append(Shop.outbox.add(async_scoped, ship.job(4)))
    await async_scoped.commit()
    await async_scoped.remove()
    assert await OutboxRelay(driver, plain, Shop.outbox).flush() == Relayed(enqueued=4)
    assert pending(raw) == ids
    await engine.dispose()
    plain.dispose()


# -- order and wake-up


async def test_each_queue_gets_its_jobs_in_the_order_of_adding(
    shop: Shop, driver: Driver, engine: AsyncEngine, raw: redis.Redis
) -> None:
    expected: dict[str, list[str]] = {"critical": [], "default": []}
    for start in range(0, 240, 40):
        async with AsyncSession(engine) as session, session.begin():
            for n in range(start, start + 40):
                task = ship if n % 3 else mail
                expected["critical" if n % 3 else "default"].append(shop.outbox.add(session, task.job(n)))
    assert await OutboxRelay(driver, engine, Shop.outbox, batch=37).flush() == Relayed(enqueued=240)
    assert {queue: pending(raw, queue) for queue in expected} == expected


async def test_a_commit_wakes_the_relay_at_once(
    shop: Shop, driver: Driver, engine: AsyncEngine, raw: redis.Redis
) -> None:
    async with OutboxRelay(driver, engine, Shop.outbox, poll=NEVER) as relay:
        await until(lambda: relay.resting)
        (first,) = await shop.buy(1)
        await until(lambda: pending(raw) == [first])
        (second,) = await shop.buy(2)
        await until(lambda: pending(raw) == [first, second])
    (third,) = await shop.buy(3)
    assert pending(raw) == [first, second]
    async with OutboxRelay(driver, engine, Shop.outbox, poll=NEVER):
        await until(lambda: pending(raw) == [first, second, third])


async def test_only_a_commit_of_jobs_wakes_the_relay(shop: Shop, engine: AsyncEngine) -> None:
    rung: list[str] = []

    def ring() -> None:
        rung.append("ring")

    Shop.outbox.listen(ring)
    async with AsyncSession(engine) as session:
        shop.outbox.add(session, ship.job(1))
        async with session.begin_nested():
            shop.outbox.add(session, ship.job(2))
        assert rung == []
        await session.commit()
        assert rung == ["ring"]
        await session.execute(insert(shop.orders), [{"id": 1}])
        await session.commit()
        assert rung == ["ring"]
        shop.outbox.add(session, ship.job(3))
        await session.commit()
        assert rung == ["ring", "ring"]
    Shop.outbox.unlisten(ring)


async def test_a_commit_in_another_thread_wakes_it_too(tmp_path: Path, driver: Driver, raw: redis.Redis) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'threads.db'}")
    Shop.metadata.create_all(engine)

    def buy_and_wait() -> list[str]:
        """All of it in the thread, so that nothing else turns the loop."""
        with Session(engine) as session, session.begin():
            task_id = Shop.outbox.add(session, ship.job(1))
        until = time.monotonic() + 5
        while pending(raw) != [task_id] and time.monotonic() < until:
            time.sleep(0.002)
        return [task_id]

    async with OutboxRelay(driver, engine, Shop.outbox, poll=NEVER) as relay:
        await until(lambda: relay.resting)
        expected = await asyncio.to_thread(buy_and_wait)
        assert pending(raw) == expected
    engine.dispose()


async def test_what_another_process_added_is_found_by_polling(
    shop: Shop, driver: Driver, engine: AsyncEngine, raw: redis.Redis
) -> None:
    async with OutboxRelay(driver, engine, Shop.outbox, poll=timedelta(milliseconds=20)) as relay:
        await until(lambda: relay.resting)
        Shop.outbox.unlisten(relay.wake)
        (task_id,) = await shop.buy(1)
        await until(lambda: pending(raw) == [task_id])


# -- deaths


def killed(program: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "tests.outbox.shop", program, *arguments]
    ended = forked.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


async def freed(relay: OutboxRelay) -> Relayed:
    """The first round that finds rows: PostgreSQL holds those of a dead client until it notices."""
    async with asyncio.timeout(60):
        while (done := await relay.flush()) == Relayed():
            await asyncio.sleep(0.01)
    return done


async def test_a_death_between_commit_and_relay(
    shop: Shop, database: str, relay: OutboxRelay, raw: redis.Redis
) -> None:
    await asyncio.to_thread(killed, "die_after_committing", database)
    assert await shop.count() == 2
    assert raw.keys() == []
    ids = [row.task_id for row in await shop.rows()]
    assert await relay.flush() == Relayed(enqueued=2)
    assert pending(raw) == ids


async def test_a_death_between_relay_and_delete_enqueues_nothing_twice(
    shop: Shop, database: str, url: str, relay: OutboxRelay, raw: redis.Redis
) -> None:
    ids = await shop.buy(1, 2, 3)
    await asyncio.to_thread(killed, "die_before_deleting", database, url)
    assert pending(raw) == ids
    assert [row.task_id for row in await shop.rows()] == ids
    assert await freed(relay) == Relayed(duplicates=3)
    assert pending(raw) == ids
    assert await shop.rows() == []


async def test_a_death_between_relay_and_delete_runs_nothing_twice(
    shop: Shop, database: str, url: str, relay: OutboxRelay, driver: Driver
) -> None:
    """Also when the jobs were over before the next relay came: retention keeps their ids known."""
    await shop.buy(1, 2, 3)
    await asyncio.to_thread(killed, "die_before_deleting", database, url)
    assert (await drain(driver, tasks)).done == {"order:ship": 3}
    assert await freed(relay) == Relayed(duplicates=3)
    assert (await drain(driver, tasks)).attempts == ()


async def test_a_lost_reply_enqueues_nothing_twice(
    shop: Shop, engine: AsyncEngine, faulty: Proxy, raw: redis.Redis
) -> None:
    ids = await shop.buy(1, 2)
    async with Driver(faulty.url, timeout=LONG) as driver:
        faulty.lose_reply(containing=b"EVALSHA")
        assert await OutboxRelay(driver, engine, Shop.outbox).flush() == Relayed(enqueued=2)
    assert pending(raw) == ids


async def test_while_redis_is_away_jobs_wait_and_the_application_goes_on(
    shop: Shop, engine: AsyncEngine, faulty: Proxy, raw: redis.Redis
) -> None:
    faulty.refuse = True
    async with (
        Driver(faulty.url, Options(command=0.2)) as driver,
        OutboxRelay(driver, engine, Shop.outbox, poll=NEVER) as relay,
    ):
        ids = await shop.buy(1)
        await until(lambda: relay.trouble)
        async with asyncio.timeout(60):
            ids += await shop.buy(2, 3)
        assert [(row.failures, row.reason) for row in await shop.rows()] == [(0, None)] * 3
        faulty.refuse = False
        await until(lambda: pending(raw) == ids)
        await until(lambda: not relay.trouble)
    assert await shop.rows() == []


async def test_after_a_failure_the_relay_asks_redis_before_it_locks_rows(
    shop: Shop, engine: AsyncEngine, faulty: Proxy, statements: list[str]
) -> None:
    await shop.buy(1)
    faulty.refuse = True
    async with Driver(faulty.url, Options(command=0.1)) as driver:
        relay = OutboxRelay(driver, engine, Shop.outbox)
        relay.trouble = "a failure"
        statements.clear()
        with pytest.raises(Unavailable):
            await relay.tick()
    assert statements == []


async def test_a_server_that_swallows_everything_holds_the_rows_for_two_seconds(
    shop: Shop, engine: AsyncEngine, faulty: Proxy
) -> None:
    await shop.buy(1)
    async with Driver(faulty.url, Options(command=30)) as driver:
        await driver.run(ping())
        faulty.black_hole = True
        relay = OutboxRelay(driver, engine, Shop.outbox)
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable):
                await relay.tick()
        assert len(await shop.rows()) == 1
        faulty.cut()


# -- several relays


async def test_relays_in_parallel_enqueue_each_job_once(
    shop: Shop, database: str, driver: Driver, raw: redis.Redis
) -> None:
    ids = await shop.buy(*range(400))
    engines = [open_engine(database) for _ in range(4)]
    relays = [OutboxRelay(driver, engine, Shop.outbox, batch=7) for engine in engines]
    totals = await asyncio.gather(*(relay.flush() for relay in relays))
    assert sum(totals, Relayed()) == Relayed(enqueued=400)
    assert sorted(pending(raw)) == sorted(ids)
    assert await shop.rows() == []
    for engine in engines:
        await engine.dispose()


async def test_a_relay_passes_over_what_another_has_claimed(
    shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis
) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time: relays take turns")
    ids = await shop.buy(1, 2, 3, 4)
    slow = OutboxRelay(Gated(driver), engine, Shop.outbox, batch=2)
    first = asyncio.create_task(slow.tick())
    await slow._driver.reached.wait()
    assert await OutboxRelay(driver, engine, Shop.outbox).flush() == Relayed(enqueued=2)
    assert pending(raw) == ids[2:]
    slow._driver.open.set()
    await first
    assert pending(raw) == ids[2:] + ids[:2]


async def test_stopping_waits_for_the_batch(shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis) -> None:
    ids = await shop.buy(1)
    gated = Gated(driver)
    relay = OutboxRelay(gated, engine, Shop.outbox)
    relay.start()
    await gated.reached.wait()
    stopping = asyncio.create_task(relay.stop())
    await asyncio.sleep(0)
    gated.open.set()
    await stopping
    assert pending(raw) == ids
    assert await shop.rows() == []


class Gated:
    """A driver whose flows wait at a gate."""

    def __init__(self, driver: Driver) -> None:
        self._inner = driver
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def follow(self, flow: Any) -> Any:
        self.reached.set()
        await self.open.wait()
        return await self._inner.follow(flow)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# -- bad rows


async def spoil(shop: Shop, task_id: str, **values: Any) -> None:
    table = shop.outbox.table
    async with shop.engine.begin() as connection:
        await connection.execute(update(table).where(table.c.task_id == task_id).values(**values))


def ping() -> Any:
    from hustlex.core.op import Effect, command

    return command("test.ping", Effect.READ, "PING", decode=bool)


async def test_unreadable_rows_are_parked_at_once_and_block_nobody(
    shop: Shop, relay: OutboxRelay, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    ids = await shop.buy(1, 2, 3, 4)
    good = msgspec.msgpack.decode((await shop.rows())[2].draft, type=Draft)
    await spoil(shop, ids[0], draft=b"\xc1 what is this")
    await spoil(shop, ids[2], draft=msgspec.msgpack.encode(msgspec.structs.replace(good, message=b"\xff\xff")))
    assert await relay.flush() == Relayed(enqueued=2, parked=2)
    assert pending(raw) == [ids[1], ids[3]]
    rows = await shop.rows()
    assert [row.task_id for row in rows] == [ids[0], ids[2]]
    assert all(row.reason.startswith("unreadable: ") for row in rows)
    assert ids[0] in caplog.text and "parked" in caplog.text
    assert await relay.flush() == Relayed()


async def refused(relay: OutboxRelay, kind: type[Refused] = Refused) -> None:
    with pytest.raises(kind):
        await relay.tick()


async def test_a_row_that_redis_refuses_is_parked_after_five_attempts_and_blocks_nobody(
    shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis
) -> None:
    raw.set(queue_keys("critical").scheduled, "a string")
    ids = await shop.buy(1)
    (bad,) = await shop.buy(2, process_in=NEVER)
    ids += await shop.buy(3)
    relay = OutboxRelay(driver, engine, Shop.outbox)
    await refused(relay)
    assert sorted(pending(raw)) == sorted(ids)
    assert [(row.task_id, row.failures, row.reason) for row in await shop.rows()] == [(bad, 1, None)]
    for order in (4, 5, 6):
        (more,) = await shop.buy(order)
        await refused(relay)
        assert pending(raw)[-1] == more
    await relay.tick()
    (row,) = await shop.rows()
    assert "refused" in row.reason
    assert await relay.flush() == Relayed()
    raw.delete(queue_keys("critical").scheduled)
    await spoil(shop, bad, reason=None, failures=0)
    assert await relay.flush() == Relayed(enqueued=1)
    assert (await Jobs(driver).inspector.task("critical", bad)).state is State.SCHEDULED


async def test_refused_rows_at_the_head_leave_room_for_the_others(
    shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis
) -> None:
    raw.set(queue_keys("critical").scheduled, "a string")
    await shop.buy(1, 2, 3, process_in=NEVER)
    good = await shop.buy(4, 5, 6)
    relay = OutboxRelay(driver, engine, Shop.outbox, batch=2)
    for _ in range(4):
        with suppress(Refused):
            await relay.tick()
    assert sorted(pending(raw)) == sorted(good)


async def test_jobs_of_a_batch_that_a_refusal_cut_short_all_run(
    shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis
) -> None:
    """No task is left known and yet in no list."""
    raw.set(queue_keys("critical").scheduled, "a string")
    async with AsyncSession(engine) as session, session.begin():
        for n in range(10):
            shop.outbox.add(session, ship.job(n), **({"process_in": NEVER} if n == 5 else {}))
    await refused(OutboxRelay(driver, engine, Shop.outbox))
    raw.delete(queue_keys("critical").scheduled)
    assert (await drain(driver, tasks)).done == {"order:ship": 9}


async def test_a_queue_of_the_wrong_type_parks_only_its_own(
    shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis
) -> None:
    raw.set(queue_keys("default").pending, "a string")
    async with AsyncSession(engine) as session, session.begin():
        shop.outbox.add(session, mail.job(1))
        good = shop.outbox.add(session, ship.job(1))
    relay = OutboxRelay(driver, engine, Shop.outbox)
    for _ in range(4):
        await refused(relay)
        assert pending(raw) == [good]
    await relay.tick()
    assert "type" in (await shop.rows())[0].reason


async def test_missing_rights_park_nothing(shop: Shop, engine: AsyncEngine, raw: redis.Redis, url: str) -> None:
    raw.acl_setuser(
        "relay", enabled=True, passwords=["+pw"], keys=["asynq:{critical}:*", "asynq:queues"], commands=["+@all"]
    )
    try:
        async with AsyncSession(engine) as session, session.begin():
            forbidden = shop.outbox.add(session, mail.job(1))
            good = shop.outbox.add(session, ship.job(1))
        host = url.rpartition("@")[2]
        async with Driver(f"redis://relay:pw@{host}") as driver:
            relay = OutboxRelay(driver, engine, Shop.outbox)
            for _ in range(7):
                await refused(relay, Denied)
        assert pending(raw) == [good]
        assert [(row.task_id, row.reason) for row in await shop.rows()] == [(forbidden, None)]
    finally:
        raw.acl_deluser("relay")


async def test_a_full_server_parks_nothing(shop: Shop, relay: OutboxRelay, raw: redis.Redis) -> None:
    ids = await shop.buy(1)
    raw.config_set("maxmemory", 1)
    try:
        for _ in range(6):
            with pytest.raises(Refused):
                await relay.tick()
    finally:
        raw.config_set("maxmemory", 0)
    assert [(row.failures, row.reason) for row in await shop.rows()] == [(0, None)]
    assert await relay.flush() == Relayed(enqueued=1)
    assert pending(raw) == ids


async def test_jobs_for_a_full_queue_wait_and_block_nobody(
    shop: Shop, engine: AsyncEngine, driver: Driver, raw: redis.Redis
) -> None:
    await Jobs(driver).limit_queue("critical", max_size=2)
    orders = await shop.buy(*range(6))
    async with AsyncSession(engine) as session, session.begin():
        letter = shop.outbox.add(session, mail.job(1))
    relay = OutboxRelay(driver, engine, Shop.outbox, batch=3)
    for _ in range(7):
        with pytest.raises(Conflict, match="'critical' is full: 2 of 2 tasks"):
            await relay.tick()
    assert pending(raw) == orders[:2] and pending(raw, "default") == [letter]
    assert {row.reason for row in await shop.rows()} == {None}
    await Jobs(driver).limit_queue("critical", max_size=None)
    assert (await relay.flush()).enqueued == 4
    assert sorted(pending(raw)) == sorted(orders)


async def test_a_debounced_job_is_one_job(shop: Shop, engine: AsyncEngine, relay: OutboxRelay) -> None:
    async with AsyncSession(engine) as session, session.begin():
        for _ in range(3):
            shop.outbox.add(session, mail.job(1), debounce=timedelta(minutes=1))
    assert await relay.flush() == Relayed(enqueued=1, duplicates=2)


async def test_the_same_task_id_twice_and_a_taken_lock_are_duplicates(
    shop: Shop, engine: AsyncEngine, relay: OutboxRelay, raw: redis.Redis
) -> None:
    async with AsyncSession(engine) as session, session.begin():
        for _ in range(2):
            shop.outbox.add(session, ship.job(1), task_id="ship:1")
        for _ in range(2):
            shop.outbox.add(session, ship.job(2), unique_for=timedelta(minutes=1))
    assert await relay.flush() == Relayed(enqueued=2, duplicates=2)
    assert len(pending(raw)) == 2


async def test_an_idle_relay_only_looks(engine: AsyncEngine, relay: OutboxRelay, statements: list[str]) -> None:
    assert await relay.tick() == 1.0
    writes = [statement for statement in statements if statement.startswith(("INSERT", "DELETE"))]
    assert writes == [] and len(statements) <= 2


async def test_the_claim_reads_the_index(shop: Shop, engine: AsyncEngine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL prefers a sequential scan on an empty table")
    query = "SELECT id FROM hustlex_outbox WHERE reason IS NULL ORDER BY failures, id LIMIT 500"
    async with engine.connect() as connection:
        plan = str((await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))).all())
    assert "ix_hustlex_outbox_waiting" in plan
