"""A console on a real server, and who speaks to it: browsers without a window, and a real one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from functools import partial
from html import unescape
from types import CodeType
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from hustlex.app import HustleX
from hustlex.core.op import Effect, command
from hustlex.dashboard import Dashboard, Operator
from hustlex.dashboard.audit import Audit
from hustlex.idempotency import Response, Scope
from hustlex.jobs import Job, gather
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from hustlex.jobs.wire import TaskMessage, encode_task
from hustlex.metrics import Metrics
from hustlex.metrics.history import HistoryTally
from hustlex.ratelimit import parse_rule
from tests.conftest import SECRET, unhurried
from tests.dashboard.browsing import BENT, HOSTILE, PHONE, RULE, SIGNATURE
from tests.support.browser import Chromium, connected
from tools.serving import serving

PLACE = "http://localhost:8100"


def text(html: str) -> str:
    """What a page says in its main part, without tags."""
    main = html.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", main)))


class Compiled(BytecodeCache):
    """Templates, compiled once for all consoles of this process: that takes longer than most tests."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._codes[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def compiled() -> Iterator[None]:
    with patch("hustlex.dashboard.render.Environment", partial(Environment, bytecode_cache=Compiled())):
        yield


class Person:
    """Somebody with a browser: follows forms as one does, without a script."""

    def __init__(self, console: Dashboard) -> None:
        transport = httpx.ASGITransport(console, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=PLACE, headers={"Sec-Fetch-Site": "same-origin"})
        self.shown = ""
        self.token = ""
        """Of the last page that had a form."""

    async def open(self, path: str) -> httpx.Response:
        """A page."""
        answer = await self.client.get(path)
        self._keep(answer)
        return answer

    def _keep(self, answer: httpx.Response) -> None:
        self.shown = answer.text
        if found := re.search(r'name="form_token" value="([^"]+)"', self.shown):
            self.token = found[1]

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """A form, with the token of the page that is open."""
        given = {"form_token": self.token} | fields
        answer = await self.client.post(path, data=given)
        if answer.is_redirect:
            return await self.open(answer.headers["location"])
        self._keep(answer)
        return answer

    async def press(self, verb: str, **fields: str) -> httpx.Response:
        """A button of the console."""
        return await self.post("/act", verb=verb, **fields)


@pytest.fixture
async def hx(url: str) -> AsyncIterator[Any]:
    """The front of the application that is looked at."""
    async with HustleX(url, secret=SECRET, timeout=timedelta(seconds=5), ratelimit=unhurried()) as front:
        yield front


@pytest.fixture
def person(hx: HustleX) -> Callable[..., Person]:
    """``person("act")``: somebody whom the application lets in; with options of ``Operator``."""

    def made(level: Any = "act", **more: Any) -> Person:
        async def who(_: Any) -> Operator:
            return Operator(level, "ada", **more)

        return Person(Dashboard(hx, access=who))

    return made


@pytest.fixture
async def browser(browser_address: str) -> AsyncIterator[Chromium]:
    """A real one, that shares nothing with the test before."""
    async with connected(browser_address) as found:
        yield found


@pytest.fixture
async def place(hx: HustleX) -> AsyncIterator[str]:
    """A link that signs in, to a console over what somebody hostile wrote."""
    lines = [f"line {n}" for n in range(60)]
    await hx.jobs.enqueue("gig:notify", {"note": HOSTILE, "text": lines}, task_id="t1", process_in=timedelta(hours=1))
    await hx.jobs.enqueue(HOSTILE, task_id=HOSTILE, queue="low")
    await hx.jobs.enqueue("gig:notify", queue=HOSTILE)
    await hx.jobs.inspector.archive("low", HOSTILE)
    kind = FailureKind(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    for queue in ("default", "low"):
        await hx.driver.run(record.failures(queue_keys(queue), [FailureCount(SIGNATURE, kind, 30, (HOSTILE,))], 0))
    measures = [(name, QueueMeasure(9, 3, 1, 1500)) for name in ("default", "low")]
    await hx.driver.run(record.history(measures, 0))
    await hx.driver.run(HistoryTally(counted()).report(hx.prefix))
    await hx.jobs.schedules.add("hourly", "@every 1h", Job(HOSTILE, b""))
    parts = [Job(name, b"", {"queue": "low"}) for name in (HOSTILE, "gig:pay", "gig:tell")]
    await hx.jobs.start(gather(*parts[:2], then=parts[2]), workflow_id="w")
    await hx.jobs.enqueue(HOSTILE, queue="low", group=HOSTILE)
    await aside(hx)
    await lived(hx)
    await planned(hx)
    done = {"queue": "low", "detail": HOSTILE, "before": HOSTILE, "after": HOSTILE}
    await Audit(hx.driver, hx.prefix).note(Operator("act", HOSTILE), "done", "pause", HOSTILE, **done)
    console = Dashboard(hx, rules=[RULE, BENT], channels=["users:{user}"], resend=lambda _: None)
    async with serving(console) as address:
        yield f"{address}/enter#{await console.sign_in_token(Operator('act', 'ada', reveal=True))}"


async def aside(hx: Any) -> None:
    """Messages that workers set aside: one that can be put back, and one that cannot."""
    key, readable = parked(queue_keys("low")), encode_task(TaskMessage(HOSTILE, HOSTILE.encode(), "aside", "low", 25))
    args = ("HSET", key, HOSTILE, HOSTILE, "aside", readable)
    await hx.driver.run(command("test.aside", Effect.ONCE, *args, keys=(key,), decode=int))


def counted(text: str = HOSTILE) -> Metrics:
    """What each room did."""
    metrics = Metrics()
    for name, labels in (
        *(("ratelimit_decisions_total", (name, "denied", "redis")) for name in ("pay", text)),
        ("cache_requests_total", ("user", "fresh")),
        ("otp_steps_total", ("sent", "NG")),
        ("idempotency_total", ("started",)),
        ("calls_total", ("events.append", "ok")),
    ):
        metrics.families[name].add(labels, 1_234_567)
    metrics.families["task_duration_seconds"].observe(0.02, (text,), 12_345)
    metrics.families["task_wait_seconds"].observe(0.07, ("low",), 12_345)
    for _ in range(3):
        metrics.callers.note("pay", text)
    return metrics


async def lived(hx: Any) -> None:
    """Of a person there is something on every part of their page."""
    for _ in range(2):
        pair = await hx.tokens.login("u1", device=HOSTILE)
    await hx.tokens.revoke_session("u1", pair.session_id)
    await hx.otp.issue(PHONE)
    for key in ("k1", "k2"):
        begun = await hx.idempotency.begin(key, Scope("u1", "POST", "/pay"))
        await hx.idempotency.complete(begun, Response(201, b"{}"))
    await hx.jobs.enqueue(HOSTILE, {"user_id": "u1"}, task_id="asked", queue="low")
    hour = timedelta(hours=1)
    await hx.ratelimit.inspector.ban(BENT.policy, "banned", endpoint=BENT.endpoint, length=hour)
    await hx.ratelimit.set_limit(BENT.policy, "banned", endpoint=BENT.endpoint, limit=4)
    for _ in range(3):
        await hx.ratelimit.check(parse_rule(RULE).policy, "u1", endpoint="POST /pay")


async def planned(hx: Any) -> None:
    """A bulk act over what somebody hostile wrote, done."""
    bulk = await hx.jobs.inspector.bulk.plan("retry", "state:archived", by=HOSTILE, label=HOSTILE)
    await hx.jobs.inspector.bulk.step(bulk.id)
    await hx.jobs.inspector.bulk.start(bulk.id)
    await hx.jobs.inspector.bulk.step(bulk.id)
    await hx.jobs.inspector.archive("low", HOSTILE)
