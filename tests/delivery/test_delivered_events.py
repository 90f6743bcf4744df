"""Events that go with a transaction: published by a job, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from hustlex import HustleX
from hustlex.delivery import publish_events
from hustlex.errors import Misuse
from hustlex.jobs import Tasks
from hustlex.testing import drain
from tests.conftest import PATIENCE


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int


@pytest.fixture
async def hx(url: str) -> AsyncIterator[HustleX]:
    async with HustleX(url, timeout=PATIENCE) as front:
        yield front


def orders(hx: HustleX) -> Any:
    return hx.events.channel("orders:{order_id}", Paid, kind="replay")


async def kept(hx: HustleX, order_id: int) -> list[Any]:
    return [message.data for message in await orders(hx).history(order_id=order_id)]


async def test_a_job_publishes_its_event_once_however_often_it_runs(hx: HustleX) -> None:
    tasks = Tasks()
    told = publish_events(tasks, "order:tell", orders)
    for _ in range(2):  # the same id again: as after a crash before the acknowledgement
        await hx.jobs.enqueue(told.job(Paid(5), order_id=42), task_id="receipt-7")
        await drain(hx, tasks, state=hx)
    await hx.jobs.enqueue(told.job(Paid(6), order_id=42))
    await drain(hx, tasks, state=hx)
    assert await kept(hx, 42) == [Paid(5), Paid(6)]


async def test_what_cannot_be_published_fails_its_job_and_says_why(hx: HustleX) -> None:
    tasks, odd = Tasks(), Tasks()
    told = publish_events(tasks, "order:tell", orders)
    with pytest.raises(Misuse, match="as JSON"):
        told.job(object(), order_id=1)
    with pytest.raises(Misuse):
        told.job(Paid(1), order_id=None)  # type: ignore[arg-type]
    live = publish_events(odd, "order:tell", lambda hx: hx.events.channel("orders:{order_id}", Paid))
    for task, job in ((tasks, told.job({"type": "sold"}, order_id=1)), (odd, live.job(Paid(1), order_id=1))):
        queued = (await hx.jobs.enqueue(job, max_retry=0)).or_raise()
        await drain(hx, task, state=hx)
        ended = await hx.jobs.inspector.task("default", queued.id)
        assert ended.last_error.startswith(("Misuse: the event is not", "Misuse: what channel returned")), (
            ended.last_error
        )
    assert await kept(hx, 1) == []


def test_bad_options_get_one_sentence() -> None:
    with pytest.raises(Misuse):
        publish_events(None, "order:tell", orders)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        publish_events(Tasks(), "order:tell", None)  # type: ignore[arg-type]
