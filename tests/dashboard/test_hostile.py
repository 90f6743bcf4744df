"""What others write is text on every page of the table of routes: queues, types, ids, payloads, errors, channels,
policies, caches, workflows, devices, what was set aside, names of connections and of keys."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.op import Effect, command
from hustlex.dashboard import Dashboard, Operator
from hustlex.dashboard.acts import ACTS
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.names import to_url
from hustlex.dashboard.routes import ROUTES
from hustlex.idempotency import Response, Scope
from hustlex.jobs import Job, gather
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.heartbeat import ServerName, beat, encode_served
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from hustlex.jobs.lease.vitals import Vitals, with_vitals
from hustlex.jobs.wire import ServerInfo, TaskMessage, WorkerInfo, encode_server, encode_task, encode_worker
from hustlex.metrics.history import HistoryTally
from hustlex.people.notes import FIELDS
from tests.dashboard.browsing import BENT, RULE
from tests.dashboard.conftest import Person, counted
from tests.dashboard.free_text import Watching, outdated, unproven
from tests.dashboard.strangers import LOCKED, strange

TEXT = "</td></title></script><script>alert(1)</script>\"><img src=x onerror=alert(1)>' onfocus=alert(1) \u202eb\u200bc"
SHORT = "<img src=x onerror=alert(1)>"
"""Where there is little room."""
SIGNATURE = "5" * 16
PHONE = "+2348031234567"
UNSEEN = re.compile("[\u202e\u200b]")
LEADS = {"href", "action", "formaction", "src", "xlink:href"}
SPOKEN = {"title", "aria-label", "alt", "placeholder"}
NEVER = {"img", "iframe", "object", "embed", "base", "foreignobject"}
PAGE_SCRIPTS = 1


class Structure(HTMLParser):
    """What a browser would make elements and attributes of, as far as it could hurt."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.scripts = 0
        self._typed = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag in NEVER or (tag == "script" and "nonce" not in dict(attrs)):
            self.wrong.append(f"<{tag} {attrs}>")
        for name, value in attrs:
            leads = name in LEADS and not re.match(r"[/#?]", value or "#")
            misleads = name in SPOKEN and UNSEEN.search(value or "")
            if name.startswith("on") or name in ("style", "srcdoc") or leads or misleads:
                self.wrong.append(f"{tag} {name}={value}")
        self._typed = tag == "textarea"

    def handle_data(self, data: str) -> None:
        if not self._typed and UNSEEN.search(data):
            self.wrong.append(repr(data[:200]))


async def written(hx: HustleX) -> dict[str, str]:
    """Hostile text in every place that somebody else can write to; the names in the addresses of pages of one thing."""
    jobs, q = hx.jobs, queue_keys(TEXT)
    given = {"headers": {TEXT: TEXT}, "task_id": TEXT, "queue": TEXT, "process_in": timedelta(hours=1)}
    await jobs.enqueue(TEXT, {TEXT: TEXT, "list": [TEXT]}, **given)
    await jobs.enqueue(TEXT, queue=TEXT, group=TEXT)
    await jobs.inspector.archive(TEXT, TEXT)
    await jobs.schedules.add(TEXT, "@every 1h", Job(TEXT, TEXT.encode(), {"queue": TEXT}))
    entry = await jobs.schedules.get(TEXT)
    parts = [Job(TEXT, b"", {"queue": TEXT}) for _ in range(3)]
    await jobs.start(gather(*parts[:2], then=parts[2]), workflow_id=TEXT)
    kind = FailureKind(TEXT, TEXT, TEXT, TEXT)
    await hx.driver.run(record.failures(q, [FailureCount(SIGNATURE, kind, 30, (TEXT,))], 0))
    await hx.driver.run(record.history([(TEXT, QueueMeasure(9, 3, 1, 1500))], 0))
    await hx.driver.run(HistoryTally(counted(TEXT)).report(hx.prefix))
    readable = encode_task(TaskMessage(TEXT, TEXT.encode(), "aside", TEXT, 25))
    args = ("HSET", parked(q), TEXT, TEXT, "aside", readable)
    await hx.driver.run(command("test.aside", Effect.ONCE, *args, keys=(parked(q),), decode=int))
    await hx.tokens.login("u1", device=SHORT, platform="x")
    await hx.otp.issue(PHONE)
    await jobs.enqueue(TEXT, {"user_id": "u1"}, queue=TEXT)
    begun = await hx.idempotency.begin("key", Scope("u1", "POST", "/" + TEXT))
    await hx.idempotency.complete(begun, Response(201, TEXT.encode()))
    await hx.idempotency.begin("open", Scope("u1", "POST", "/" + TEXT))
    bulk = await jobs.inspector.bulk.plan("retry", "state:archived", by=TEXT, label=TEXT)
    bulk = await jobs.inspector.bulk.step(bulk.id)
    operator = Operator("act", TEXT)
    await Audit(hx.driver, hx.prefix).note(
        operator, "done", TEXT, TEXT, queue=TEXT, detail=TEXT, before=TEXT, after=TEXT
    )
    await told_by_a_worker(hx)
    return {"queue": TEXT, "tasks": TEXT, "bulk": bulk.id, "cron": entry.id, "workflows": f"{TEXT}:0"}


@pytest.fixture
def client(url: str) -> Iterator[None]:
    """Somebody is connected under a hostile name, has a key of such a name, and was slow with it."""
    with redis.Redis.from_url(url, single_connection_client=True) as client:
        client.client_setname(re.sub(r"\s", "_", TEXT.translate({0x202E: None, 0x200B: None})))
        client.set(TEXT, TEXT)
        before = client.config_get("slowlog-log-slower-than")
        client.slowlog_reset()
        client.config_set("slowlog-log-slower-than", 0)
        client.get(TEXT)
        client.config_set("slowlog-log-slower-than", -1)  # on a busy machine all calls are slow
        yield
        client.config_set("slowlog-log-slower-than", before["slowlog-log-slower-than"])
        client.slowlog_reset()


async def told_by_a_worker(hx: HustleX) -> None:
    """Whoever may write to the server may say that he works."""
    name, now = ServerName(SHORT, 1, TEXT), int(time.time())
    info = encode_server(ServerInfo(SHORT, 1, TEXT, 5, {TEXT: 1}, False, "active", now * 10**9, 1))
    runs = encode_worker(WorkerInfo(SHORT, 1, TEXT, TEXT, TEXT, TEXT.encode(), TEXT, now * 10**9, now * 10**9))
    vitals = Vitals(TEXT, 2.0, 1, 1, 1, {TEXT: 2.0}, {TEXT: TEXT})
    for op in beat(name, 60, now, info, [TEXT, runs], with_vitals(encode_served([TEXT], []), vitals)):
        await hx.driver.run(op)


async def more(hx: HustleX) -> str:
    """After the strangers: a workflow that still waits, and a bulk act that was held."""
    parts = [Job(TEXT, b"", {"queue": TEXT}) for _ in range(3)]
    await hx.jobs.start(gather(*parts[:2], then=parts[2]), workflow_id=f"w{TEXT}")
    acts = hx.jobs.inspector.bulk
    bulk = await acts.plan("retry", "state:archived", by=TEXT, label=TEXT)
    while bulk.moving:
        bulk = await acts.step(bulk.id)
    await acts.start(bulk.id)
    return (await acts.halt(bulk.id, TEXT)).id


async def heard(ada: Person, hx: HustleX) -> AsyncIterator[httpx.Response]:
    """What somebody publishes on a channel that is listened to."""
    await ada.post("/events", channel="orders:42")
    answer = await ada.press("tail", channel="orders:42", kind="live", back="/events")
    await hx.events.channel("orders:{order}", dict).publish({TEXT: TEXT}, order=42)
    while "Nothing was published since." in ada.shown:
        await asyncio.sleep(0)
        yield await ada.open(answer.request.url.path)


async def shown(ada: Person, names: dict[str, str], hx: HustleX) -> AsyncIterator[tuple[str, httpx.Response]]:
    """Each page; with a form, its answers, too."""
    asked: dict[str, list[dict[str, str]]] = {
        "/people": [
            {"user": "u1", "phone": PHONE},
            {"user": "u1", "place": "payload.user_id"},
            {"user": TEXT},
            {"place": TEXT},
            {"phone": TEXT},
        ],
        "/limits": [{"rule": TEXT, "who": TEXT}, {"rule": RULE, "who": TEXT}, {"limit": BENT.endpoint, "who": TEXT}],
        "/cache": [{"name": "user", "key": TEXT}, {"name": TEXT, "key": TEXT}],
        "/events": [{"channel": f"orders:{TEXT}"}, {"channel": "orders:42"}],
        f"/tasks/{to_url(TEXT)}/{to_url(TEXT)}": [{"reveal": "1"}],
    }
    for route in ROUTES:
        noun = route.pattern.split("/")[1]
        if "{name}" in route.pattern:
            continue
        named = to_url(names[noun]) if "{id}" in route.pattern else ""
        path = route.pattern.format(queue=to_url(TEXT), signature=SIGNATURE, id=named)
        yield path, await ada.open(path)
        for fields in asked.get(path, ()):
            yield f"{path} {fields}", await ada.post(path, **fields)
        assert not route.asks or path in asked, f"ask something on {path}"
    queries = """queues?sort= tasks?q= tasks?id= limits?of= audit?q= audit?who= audit?since= audit?until= audit?what=
        cache?of= codes?of= groups?queue= quarantine?queue= errors?queue="""
    places = (
        *(f"/{query}{TEXT}" for query in queries.split()),
        *(f"/tasks/{to_url(TEXT)}/{name}" for name in (LOCKED, to_url(f"w{TEXT}:2"))),
    )
    for place in ("/tasks?q=state:archived,retry", "/idempotency?kind=events", f"/bulk/{names['held']}", *places):
        yield place, await ada.open(place)
    ada.client.cookies.set("looks", "only")
    yield "for who looks", await ada.open("/confirm?verb=pause&queue=q")
    ada.client.cookies.clear()
    async for answer in heard(ada, hx):
        yield "a tail", answer
    yield "no tail", await ada.press("tail", channel=f"orders:{TEXT}", kind="live", back="/events")
    for verb in (*ACTS, TEXT):
        for fields in (dict.fromkeys(FIELDS, TEXT), dict.fromkeys(FIELDS, TEXT) | {"state": "retry", "most": "5"}):
            given = fields | {"verb": verb, "back": TEXT, "detail": TEXT}
            yield f"/confirm {verb}", await ada.client.get("/confirm", params=given)
            yield f"/confirm {verb}, posted", await ada.post("/confirm", **given)


async def test_no_page_makes_elements_of_what_others_write(hx: Any, client: None, raw: redis.Redis) -> None:
    names, seen, console = await written(hx), 0, watching(hx)
    strange(raw, TEXT)
    names["held"] = await more(hx)
    async for path, answer in shown(Person(console), names, hx):
        assert answer.status_code in (200, 303, 400, 404, 409), (path, answer.text[-300:])
        page = Structure()
        page.feed(answer.text)
        assert page.wrong == [] and page.scripts <= PAGE_SCRIPTS, (path, page.wrong)
        seen += "&lt;img src=x" in answer.text
    assert seen > 30, "most pages show some of it"
    environment: Any = console._renderer._environment
    assert list(unproven(environment)) == []
    assert outdated(environment) == []


def watching(hx: HustleX) -> Dashboard:
    """A console that knows where it showed hostile text. Who brings a cookie may only look."""

    async def who(request: Any) -> Operator:
        return Operator("read" if request.cookies else "act", TEXT, reveal=True)

    with patch("hustlex.dashboard.render.Environment", Watching):
        return Dashboard(hx, access=who, rules=[RULE, BENT], channels=["users:{user}"], resend=lambda _: None)
