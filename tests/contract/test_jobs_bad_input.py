"""Bad input at every public door of jobs, worker, outbox and delivery: one sentence of ours, or a value."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from hustlex import jobs
from hustlex._sync.jobs import Jobs as BlockingJobs
from hustlex.core.op import Op
from hustlex.delivery import ConsoleSender, Courier, EventTask, Texts, deliver_codes, publish_events
from hustlex.jobs import (
    Aggregate,
    BulkActs,
    Inspector,
    Job,
    Jobs,
    Limits,
    Partitions,
    PeriodicConfig,
    Rate,
    Schedules,
    State,
    Task,
    Tasks,
    Workflow,
    default_delay,
    gather,
)
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind
from hustlex.outbox import Outbox, OutboxRelay
from hustlex.worker import Reserved, Scheduler, Worker
from tests.support.blocking import Blocking
from tests.support.sweep import Sample, complaints, unswept

MINUTE, LATER = timedelta(minutes=1), datetime(2030, 1, 1, tzinfo=UTC)
HEADERS = {"traceparent": "00-1"}
OPTIONS: tuple[dict[str, Any], ...] = (
    {"queue": "low", "task_id": "a", "max_retry": 3, "timeout": MINUTE, "deadline": LATER, "retention": MINUTE},
    {"process_in": MINUTE, "unique_for": MINUTE, "unique_until": "done", "unique_key": "k", "headers": HEADERS},
    {"process_at": LATER},
    {"group": "g"},
    {"debounce": MINUTE},
    {"expires_in": MINUTE, "if_finished": "replace", "at_front": True},
    {"expires_at": LATER},
)


def _plain(text: str = "") -> None: ...


async def _serve(text: str = "") -> None: ...


def _define(_: Any, **given: Any) -> Any:
    return Tasks().task(**given)(_serve)


def _cron(_: Any, **given: Any) -> Any:
    return Tasks().cron(**given)


JOB = Job("a")
ENTRY = {"name": "n", "spec": "@daily", "job": JOB, "timezone": "UTC", "dst": "once", "missed": "all", "max_missed": 5}
PAGE = {"cursor": "", "size": 30}

PURE = [
    *(Sample(Job.with_options, given, call=lambda _, **more: JOB.with_options(**more)) for given in OPTIONS),
    *(Sample(Tasks, given) for given in OPTIONS),
    *(Sample(Tasks.task, {"task_type": "t", **given}, call=_define) for given in OPTIONS),
    Sample(
        Tasks.task,
        {
            "task_type": "t",
            "max_concurrency": 1,
            "max_per_worker": 1,
            "rate": Rate(5),
            "key": "text",
            "retry_delay": MINUTE,
            "is_failure": bool,
            "max_crashes": 2,
            "cpu": False,
            "prefix": False,
        },
        call=lambda _, **given: _define(
            _, **{**given, "is_failure": given["is_failure"] if given["is_failure"] is not bool else lambda _: True}
        ),
    ),
    Sample(
        Tasks,
        {
            "lifespan": None,
            "retry_delay": MINUTE,
            "is_failure": lambda _: True,
            "max_crashes": 2,
            "worker": {},
            "queues": ["default"],
        },
    ),
    Sample(Tasks.cron, ENTRY, call=_cron),
    Sample(
        Tasks.aggregate,
        {"group": "g", "grace": MINUTE, "max_delay": MINUTE, "max_size": 5},
        call=lambda _, **given: Tasks().aggregate(**given)(lambda group, tasks: JOB),
    ),
    Sample(Tasks.include, {"other": Tasks()}, call=lambda _, **given: Tasks().include(**given)),
    Sample(Task, {"task_type": "t", "function": _serve, "options": {}, "limits": Limits(), "cpu": False}),
    Sample(Rate, {"count": 1, "per": MINUTE}),
    Sample(Partitions, {"queue": "mail", "count": 4}),
    Sample(Partitions.of, {"key": "a"}, call=lambda _, **given: Partitions("mail", 2).of(**given)),
    Sample(Partitions.shares, {"share": 1}, call=lambda _, **given: Partitions("mail", 2).shares(**given)),
    Sample(Limits, {"max_concurrency": 1, "max_per_worker": 1, "rate": Rate(1), "key": "a"}),
    Sample(
        Aggregate,
        {"pattern": "g", "function": lambda group, tasks: JOB, "grace": MINUTE, "max_delay": MINUTE, "max_size": 5},
    ),
    Sample(Job.then, {"following": JOB}, call=lambda _, **given: JOB.then(**given)),
    Sample(Job.taking, {"result": jobs.RESULT}, call=lambda _, **given: JOB.taking(**given)),
    Sample(Workflow.then, {"following": JOB}, call=lambda _, **given: gather(JOB).then(**given)),
    Sample(gather, {"then": JOB}, call=lambda _, then: gather(JOB, then=then)),
    Sample(gather, {"part": JOB}, call=lambda _, part: gather(JOB, part)),
    Sample(PeriodicConfig, {"spec": "@daily", "job": JOB}),
    Sample(Reserved, {"slots": 2, "weight": 1}),
    Sample(default_delay, {"retried": 1}),
]


@pytest.mark.parametrize("sample", PURE, ids=str)
async def test_what_is_defined(sample: Sample) -> None:
    assert await complaints(sample) == []


SENT = [
    *(
        Sample(Jobs.enqueue, {"job": "t", "payload": {"a": 1}, **given}, call=lambda hub, **more: hub.enqueue(**more))
        for given in OPTIONS
    ),
    Sample(Jobs.enqueue_many, {"jobs": [JOB]}),
    Sample(Jobs.start, {"workflow": JOB.then(JOB), "workflow_id": "w"}),
    Sample(Jobs.result, {"task": "kept", "timeout": timedelta(0), "queue": "default"}),
    Sample(Jobs.explain, {"task_id": "kept", "queue": "default"}),
    Sample(Jobs.limit_queue, {"queue": "default", "max_size": 5}),
    Sample(Jobs.cancel, {"task": "kept", "queue": "default"}),
]
FOLLOWED = Sample(
    Jobs.follow,
    {"task": "kept", "queue": "default", "since": ""},
    call=lambda hub, **given: _first(hub.follow(**given)),
)


async def _first(items: AsyncGenerator[Any]) -> Any:
    async with aclosing(items):
        return await anext(items, None)


@pytest.fixture(params=["aio", "blocking"])
async def hub(request: pytest.FixtureRequest, driver: Any, blocking_driver: Any) -> Any:
    """The room, with a task to look at."""
    if request.param == "aio":
        made: Any = Jobs(driver)
    else:
        made = Blocking(BlockingJobs(blocking_driver))
    await made.enqueue("t", task_id="kept", process_in=timedelta(days=1))
    return made


@pytest.mark.parametrize("sample", SENT, ids=str)
async def test_what_is_sent(sample: Sample, hub: Jobs) -> None:
    assert await complaints(sample, hub) == []


async def test_what_is_followed(driver: Any) -> None:
    made = Jobs(driver)
    await made.enqueue("t", task_id="kept", process_in=timedelta(days=1))
    assert await complaints(FOLLOWED, made) == []


async def _failed(door: str, inspector: Inspector, **given: Any) -> Any:
    """With a group of failures."""
    counts = [FailureCount("a", FailureKind("t", "E", "", ""), 1, ("t1",))]
    await _called(inspector, record.failures(queue_keys("default"), counts, 0))
    return await getattr(inspector, door)(**given)


async def _called(inspector: Any, call: Op[Any]) -> None:
    driver: Any = inspector._target._driver if isinstance(inspector, Blocking) else inspector._driver
    answer = driver.run(call)
    if isawaitable(answer):
        await answer


QUEUE, ONE = {"queue": "default"}, {"queue": "default", "task_id": "kept"}
GROUPED = {"queue": "default", "state": State.AGGREGATING, "group": "g"}
LOOKS = [
    Sample(Inspector.queue, {"name": "default"}),
    Sample(Inspector.summaries, {"queues": ["default"]}),
    Sample(Inspector.history, {**QUEUE, "days": 3}),
    Sample(Inspector.groups, QUEUE),
    Sample(Inspector.time_series, {**QUEUE, "hours": 1, "days": 1}),
    Sample(Inspector.recent, {"queues": ["default"]}),
    Sample(Inspector.error_groups, {"queues": ["default"], "size": 5}),
    Sample(Inspector.servers, {"running_of": ["a"]}),
    *(
        Sample(door, {**QUEUE, "signature": "a", **more}, call=partial(_failed, door.__name__))
        for door, more in ((Inspector.mute_errors, {"length": MINUTE}), (Inspector.unmute_errors, {}))
    ),
    Sample(Inspector.tasks, {**GROUPED, "size": 30}),
    Sample(Inspector.task, ONE),
    Sample(
        Inspector.search,
        {"query": "state:scheduled type:t", "queues": ["default"], "cursor": "", "size": 5, "view": lambda *_: ""},
        spare={"view": {"generator function"}},
    ),
    Sample(Inspector.clone, {**ONE, "to": "low", "changes": {"a": 1}}),
    Sample(Inspector.merge_payload, {**ONE, "changes": {"a": 1}}),
    Sample(Inspector.run_all, GROUPED),
    Sample(Inspector.archive_all, GROUPED),
    Sample(Inspector.delete_all, GROUPED),
    Sample(Inspector.update_payload, {**ONE, "payload": {"a": 1}}),
    Sample(Inspector.reschedule, {**ONE, "process_in": timedelta(days=2)}),
    Sample(Inspector.reschedule, {**ONE, "process_at": LATER}),
    Sample(Inspector.pause, QUEUE),
    Sample(Inspector.unpause, QUEUE),
    Sample(Inspector.cancel, {"task_id": "kept"}),
    Sample(Inspector.stop_worker, {"server_id": "nobody"}),
    Sample(Inspector.open_steps, PAGE),
    Sample(Inspector.scan_groups, {**QUEUE, "cursor": "", "size": 5}),
    Sample(Inspector.told, ONE),
    Sample(Inspector.quarantined, {**QUEUE, "cursor": "", "size": 5}),
    Sample(
        Inspector.workflow,
        {**QUEUE, "step_id": "w:0", "queues": ["default"]},
        call=lambda inspector, **given: _shown(inspector, given),
    ),
    Sample(Inspector.enqueue_events, {"entry_id": "e", **PAGE}),
]
ACTS = [
    Sample(act, given, call=lambda inspector, act=act, **given: _again(inspector, act.__name__, given))
    for act, given in (
        (Inspector.run, ONE),
        (Inspector.archive, ONE),
        (Inspector.delete, ONE),
        (Inspector.delete_queue, {**QUEUE, "force": True}),
    )
]


ASIDE = {"queue": "default", "task_id": "aside"}
ACTS += [
    Sample(act, ASIDE, call=lambda inspector, act=act, **given: _parked(inspector, act.__name__, given))
    for act in (Inspector.put_back, Inspector.discard)
]


def _room_of(inspector: Any) -> Any:
    if isinstance(inspector, Blocking):
        return Blocking(BlockingJobs(inspector._target._driver))
    return Jobs(inspector._driver)


async def _shown(inspector: Inspector, given: dict[str, Any]) -> Any:
    await _room_of(inspector).start(gather(Job("t")), workflow_id="w")
    return await inspector.workflow(**given)


async def _parked(inspector: Inspector, act: str, given: dict[str, Any]) -> Any:
    """With a message that was set aside."""
    await _room_of(inspector).enqueue("t", task_id="aside")
    keys = queue_keys("default")
    for call in (lease.cycle(keys, "2026-01-01", "w:1", 1, (), 0), lease.park(keys, b"aside", "w:1")):
        await _called(inspector, call)
    return await getattr(inspector, act)(**given)


async def _again(inspector: Inspector, act: str, given: dict[str, Any]) -> Any:
    await _room_of(inspector).enqueue("t", task_id="kept", process_in=timedelta(days=1))
    return await getattr(inspector, act)(**given)


@pytest.mark.parametrize("sample", [*LOOKS, *ACTS], ids=str)
async def test_what_operators_ask(sample: Sample, hub: Jobs) -> None:
    assert await complaints(sample, hub.inspector) == []


ACT = {"bulk_id": "kept"}
BULKS = [
    Sample(BulkActs.plan, {"verb": "run", "query": "type:t", "queues": ["default"], "by": "ada", "label": "l"}),
    Sample(BulkActs.plan, {"verb": "reschedule", "query": "type:t", "start_at": datetime(2030, 1, 1, tzinfo=UTC)}),
    Sample(BulkActs.newest, {"count": 5}),
    *(
        Sample(act, given, call=lambda bulk, act=act, **given: _of_bulk(bulk, act.__name__, given))
        for act, given in (
            (BulkActs.step, {**ACT, "may": lambda _: True, "view": lambda *_: ""}),
            (BulkActs.start, ACT),
            (BulkActs.pause, ACT),
            (BulkActs.stop, ACT),
            (BulkActs.undo, ACT),
            (BulkActs.halt, {**ACT, "why": "odd"}),
            (BulkActs.get, ACT),
            (BulkActs.report, {**ACT, "page": 1}),
        )
    ),
]


async def _of_bulk(bulk: BulkActs, act: str, given: dict[str, Any]) -> Any:
    """An act whose id fits is one that is ready, or is done for undoing."""
    if given["bulk_id"] == "kept":
        planned = await bulk.plan("delete", "type:t")
        given = {**given, "bulk_id": planned.id}
        if act != "step":
            await bulk.step(planned.id)
        if act in ("pause", "undo", "halt"):
            await bulk.start(planned.id)
        if act == "undo":
            await _room_of(bulk).enqueue("t", task_id="kept", process_in=timedelta(days=1))
            await bulk.step(planned.id)
    return await getattr(bulk, act)(**given)


@pytest.mark.parametrize("sample", BULKS, ids=str)
async def test_what_is_done_to_many(sample: Sample, hub: Jobs) -> None:
    assert await complaints(sample, hub.inspector.bulk) == []


CHANGES = {name: value for name, value in ENTRY.items() if name != "name"}
ENTRIES = [
    Sample(Schedules.add, ENTRY, call=lambda schedules, **given: _fresh(schedules, given)),
    Sample(Schedules.change, {"name": "n", **CHANGES}),
    *(Sample(act, {"name": "n"}) for act in (Schedules.pause, Schedules.resume, Schedules.run, Schedules.get)),
    Sample(Schedules.remove, {"name": "other"}),
]


async def _fresh(schedules: Schedules, given: dict[str, Any]) -> None:
    if given["name"] == "n":
        await schedules.remove("n")
    await schedules.add(**given)


@pytest.mark.parametrize("sample", ENTRIES, ids=str)
async def test_what_is_stored_by_the_clock(sample: Sample, hub: Jobs) -> None:
    await hub.schedules.add(**ENTRY)
    assert await complaints(sample, hub.schedules) == []


HOSTS = [
    Sample(
        Worker,
        {
            "queues": {"default": 1},
            "limits": {"default": Limits(max_concurrency=5)},
            "concurrency": 4,
            "cpu_processes": 1,
            "strict": False,
            "shutdown_timeout": MINUTE,
            "clock": lambda: 0,
            "retry_delay": MINUTE,
            "is_failure": lambda _: True,
            "error_handler": lambda *_: None,
            "middleware": (),
            "aggregator": lambda group, tasks: JOB,
            "max_crashes": 3,
            "health_check": lambda trouble: None,
            "health_check_interval": MINUTE,
            "recover_crashed": "retry",
            "park_unknown": MINUTE,
            "archive_max_size": 5,
            "archive_max_age": MINUTE,
        },
        call=lambda driver, **given: Worker(driver, Tasks(), **given),
    ),
    Sample(Worker, {"tasks": Tasks()}, call=lambda driver, tasks: Worker(driver, tasks)),
    Sample(
        Scheduler,
        {"tasks": Tasks(), "provider": lambda: iter(()), "provider_interval": MINUTE, "clock": lambda: 0},
        call=lambda driver, **given: Scheduler(driver, **given),
    ),
]


@pytest.mark.parametrize("sample", HOSTS, ids=str)
async def test_what_a_worker_is_told(sample: Sample, driver: Any) -> None:
    assert await complaints(sample, driver) == []


@pytest.fixture
def session() -> Iterator[Any]:
    """A database with an outbox in it."""
    from sqlalchemy import MetaData, create_engine
    from sqlalchemy.orm import Session

    metadata, engine = MetaData(), create_engine("sqlite://")
    outbox = Outbox(metadata)
    metadata.create_all(engine)
    with Session(engine) as session:
        yield outbox, session, engine
    engine.dispose()


async def test_the_outbox(session: Any, driver: Any) -> None:
    from sqlalchemy import MetaData

    outbox, opened, engine = session
    samples = [
        Sample(
            Outbox,
            {"metadata": MetaData(), "name": "jobs", "retention": MINUTE, "clock": lambda: 1, "queues": ["default"]},
            call=_table,
        ),
        Sample(
            OutboxRelay,
            {"engine": engine, "outbox": outbox, "clock": lambda: 0, "poll": MINUTE, "batch": 5},
            call=lambda _, **given: OutboxRelay(driver, **given),
        ),
        *(Sample(Outbox.add, {"session": opened, "job": "t", "payload": 1, **given}) for given in OPTIONS),
    ]
    for sample in samples:
        assert await complaints(sample, outbox) == []


def _table(_: Any, **given: Any) -> Outbox:
    from sqlalchemy import MetaData

    fresh = MetaData() if isinstance(given["metadata"], MetaData) else given["metadata"]
    return Outbox(**{**given, "metadata": fresh})


TEXTS = Texts(app="Gigs")


def test_every_option_of_every_door_is_swept() -> None:
    doors = [
        Jobs,
        Inspector,
        BulkActs,
        Schedules,
        Limits,
        Rate,
        Aggregate,
        Reserved,
        Worker,
        Scheduler,
        PeriodicConfig,
        Workflow,
    ]
    doors += [Job.with_options, Job.then, Job.taking, Tasks, Tasks.task, Tasks.cron, Tasks.aggregate, Tasks.include]
    made = {"Jobs", "Inspector", "BulkActs", "Schedules"}  # by the front, from its own driver
    left = {
        name
        for name in unswept(doors, [*PURE, *SENT, FOLLOWED, *LOOKS, *ACTS, *BULKS, *ENTRIES, *HOSTS])
        if name.partition("(")[0] not in made
    }
    assert left == {
        "Worker(driver)",
        "Scheduler(driver)",
        "Workflow(steps)",
        "Limits.group_of(task_type)",
        "Limits.group_of(arguments)",
        "Tasks.find(task_type)",
    }


async def test_delivery(tmp_path: Path) -> None:
    console = ConsoleSender(tmp_path / "sent")
    told = publish_events(Tasks(), "order:tell", lambda state: state)
    samples = [
        Sample(ConsoleSender, {"file": tmp_path / "sent"}),
        Sample(Courier, {"texts": TEXTS, "sender": console}, call=lambda _, texts, sender: Courier(texts, sender)),
        Sample(
            deliver_codes,
            {"sender": console, "texts": TEXTS, "front": lambda state: state, "task_type": "t", "queue": "q"},
            call=lambda _, sender, **given: deliver_codes(Tasks(), sender, **given),
        ),
        Sample(
            publish_events,
            {"tasks": Tasks(), "task_type": "order:tell", "channel": lambda state: state, "queue": "default"},
            call=lambda _, tasks, **given: publish_events(Tasks() if isinstance(tasks, Tasks) else tasks, **given),
        ),
        Sample(EventTask.job, {"order_id": 7}, call=lambda _, order_id: told.job(1, order_id=order_id)),
        Sample(deliver_codes, {"tasks": Tasks()}, call=lambda _, tasks: deliver_codes(tasks, console, texts=TEXTS)),
    ]
    for sample in samples:
        assert await complaints(sample) == []
