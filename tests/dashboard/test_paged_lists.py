"""Every list that has pages, while others come, go and move between them: what stands in it is met once."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import redis

from hustlex.dashboard.paging import page_of
from hustlex.dashboard.routes import ROUTES
from hustlex.errors import Misuse
from hustlex.jobs import BulkVerb
from hustlex.jobs.keys import QUEUES, parked, queue_keys, scheduler_history, step_record
from hustlex.jobs.wire import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    TaskMessage,
    encode_entry,
    encode_event,
    encode_server,
    encode_task,
)
from hustlex.jobs.workflow.ops import OPEN
from hustlex.people.notes import audit_key
from tests.dashboard.browsing import BENT
from tests.dashboard.conftest import Person
from tests.dashboard.test_size import MOST_COMMANDS

STAND, OTHERS, AT_ONCE = 130, 60, 30
NOW = int(time.time())
NAME = re.compile(r"\d{7}")
ROW = re.compile(r'<tr data-key="([^"]*)"')
NEXT = re.compile(r'<a rel="next" href="([^"]*)"')
COST = re.compile(r"· (\d+) commands?,")


class PagedList:
    """A list by what it is made of. A name is seven digits; a place is where in the order it stands, 0 to 9."""

    path = ""
    stand = STAND
    all_move = True
    """Whether what stands in it may change its place, too, and still be met once."""
    marks: tuple[pytest.MarkDecorator, ...] = ()

    def __init__(self, raw: redis.Redis) -> None:
        self.raw = raw

    def put(self, name: str, place: int) -> None:
        raise NotImplementedError

    def take(self, name: str) -> None:
        raise NotImplementedError

    def move(self, name: str, place: int) -> None:
        self.take(name)
        self.put(name, place)

    def name_in(self, key: str) -> str:
        """Of a row's key."""
        found = NAME.search(key)
        return found[0] if found else ""


class Queues(PagedList):
    """By the order in which they are shown."""

    all_move = False
    order = "attention"

    @property
    def path(self) -> str:  # type: ignore[override]
        return f"/queues?sort={self.order}"

    def put(self, name: str, place: int) -> None:
        q, pipe = queue_keys(name), self.raw.pipeline(transaction=False)
        pipe.sadd(QUEUES, name)
        pipe.lpush(q.pending, *range(1 + place % 3))
        pipe.hset(q.task("0"), "pending_since", (NOW - place) * 10**9)
        pipe.set(f"{q.prefix}failed:{time.strftime('%Y-%m-%d', time.gmtime())}", place)
        pipe.execute()

    def take(self, name: str) -> None:
        self.raw.srem(QUEUES, name)
        self.raw.delete(queue_keys(name).pending)


class QueuesByName(Queues):
    order = "name"
    all_move = True

    def move(self, name: str, place: int) -> None:
        self.raw.delete(queue_keys(name).pending)
        self.put(name, place)


class QueuesByWait(Queues):
    order = "wait"


class QueuesByPending(Queues):
    order = "pending"


class QueuesByFailures(Queues):
    order = "failed"


class Workers(PagedList):
    """By host; one never moves."""

    path = "/workers"
    marks = (pytest.mark.across_slots,)  # there each living worker is asked for by itself, before there is a page

    def put(self, name: str, place: int) -> None:
        key = f"asynq:servers:{{{name}:7:{name}}}"
        info = ServerInfo(name, 7, name, 10, {"q": 1}, False, "active", NOW * 10**9, 0)
        self.raw.set(key, encode_server(info))
        self.raw.zadd("asynq:servers", {key: NOW + 3600 + place})

    def take(self, name: str) -> None:
        self.raw.zrem("asynq:servers", f"asynq:servers:{{{name}:7:{name}}}")


class Entries(PagedList):
    """Of a scheduler in Go."""

    path = "/cron"
    key = "asynq:schedulers:{host:7:go}"

    def put(self, name: str, place: int) -> None:
        self.raw.rpush(self.key, self._entry(name))
        self.raw.zadd("asynq:schedulers", {self.key: NOW + 3600 + place})

    def take(self, name: str) -> None:
        self.raw.lrem(self.key, 1, self._entry(name))

    def _entry(self, name: str) -> bytes:
        return encode_entry(SchedulerEntry(name, "@every 1h", "report", b"", (), NOW * 10**9))


class Firings(PagedList):
    """Of an entry, several in a second."""

    path = "/cron/entry"
    all_move = False

    def __init__(self, raw: redis.Redis) -> None:
        super().__init__(raw)
        self.members: dict[str, bytes] = {}

    def put(self, name: str, place: int) -> None:
        self.members[name] = encode_event(SchedulerEnqueueEvent(name, (NOW + place) * 10**9))
        self.raw.zadd(scheduler_history("entry"), {self.members[name]: NOW + place})

    def take(self, name: str) -> None:
        self.raw.zrem(scheduler_history("entry"), self.members[name])

    def name_in(self, key: str) -> str:
        return key.rpartition(" ")[2]


class Steps(PagedList):
    """Workers move all of them all the time: the order is that of the next look at each."""

    path = "/workflows"

    def put(self, name: str, place: int) -> None:
        self.raw.hset(step_record(queue_keys("default"), name), mapping={"phase": "runs", "then": "[]"})
        self.raw.zadd(OPEN, {self._member(name): NOW + place})

    def take(self, name: str) -> None:
        self.raw.zrem(OPEN, self._member(name))

    def move(self, name: str, place: int) -> None:
        self.raw.zadd(OPEN, {self._member(name): NOW + 60 + place})

    def _member(self, name: str) -> str:
        return f'["default","{name}"]'


class Groups(PagedList):
    path = "/groups?queue=low"

    def put(self, name: str, place: int) -> None:
        q = queue_keys("low")
        self.raw.sadd(QUEUES, "low")
        self.raw.sadd(q.groups, f"g{name}")
        self.raw.zadd(q.group(f"g{name}"), {"t": NOW + place})

    def take(self, name: str) -> None:
        self.raw.srem(queue_keys("low").groups, f"g{name}")

    def move(self, name: str, place: int) -> None:
        self.raw.zadd(queue_keys("low").group(f"g{name}"), {"t": NOW + place})


class Aside(PagedList):
    path = "/quarantine?queue=low"

    def put(self, name: str, place: int) -> None:
        self.raw.sadd(QUEUES, "low")
        self.raw.hset(parked(queue_keys("low")), name, b"\xff" * (100 + place))

    def take(self, name: str) -> None:
        self.raw.hdel(parked(queue_keys("low")), name)

    def move(self, name: str, place: int) -> None:
        self.put(name, place)


class Scheduled(PagedList):
    state, all_move = "scheduled", False

    @property
    def path(self) -> str:  # type: ignore[override]
        return f"/tasks?queue=low&state={self.state}"

    def put(self, name: str, place: int) -> None:
        q, message = queue_keys("low"), TaskMessage("t", b"", name, "low", 25)
        self.raw.sadd(QUEUES, "low")
        since = {"pending_since": time.time_ns()}
        self.raw.hset(q.task(name), mapping={"msg": encode_task(message), "state": self.state, **since})
        self._in(getattr(q, self.state), name, place)

    def _in(self, key: str, name: str, place: int) -> None:
        self.raw.zadd(key, {name: NOW + 3600 + place})

    def take(self, name: str) -> None:
        self.raw.zrem(getattr(queue_keys("low"), self.state), name)


class Archived(Scheduled):
    state = "archived"


class Pending(Scheduled):
    state = "pending"

    def _in(self, key: str, name: str, _: int) -> None:
        self.raw.lpush(key, name)

    def take(self, name: str) -> None:
        self.raw.lrem(queue_keys("low").pending, 1, name)


class Copies(PagedList):
    """Records of one kind, all alike: found by going through the server's keys, 500 at a time."""

    stand = 900

    def key(self, name: str) -> str:
        raise NotImplementedError

    def first(self, key: str) -> None:
        raise NotImplementedError

    def put(self, name: str, place: int) -> None:
        self.first(self.key(name))

    def take(self, name: str) -> None:
        self.raw.delete(self.key(name))


class Bans(Copies):
    path = "/limits"

    def key(self, name: str) -> str:
        return f"ratelimit:{{{name}}}:POST%20/bend:pen"

    def first(self, key: str) -> None:
        self.raw.restore(key, 0, self.raw.dump("ratelimit:{u1}:POST%20/bend:pen"))


class Breakers(Copies):
    path = "/codes"

    def key(self, name: str) -> str:
        return f"otp:{{pfx:{name}}}:cap"

    def first(self, key: str) -> None:
        self.raw.hset(key, mapping={"next": 1, f"s{int(time.time() // 180)}": 20})


class Claims(Copies):
    path = "/idempotency"

    def key(self, name: str) -> str:
        return f"idem:{{{name}}}:POST%20/pay:{'f' * 32}"

    def first(self, key: str) -> None:
        self.raw.hset(key, mapping={"st": "run", "lease": 1, "fence": 1, "point": "charging", "cre": 1})


class Audit(PagedList):
    """An entry stays where it is."""

    path, all_move = "/audit", False

    def __init__(self, raw: redis.Redis) -> None:
        super().__init__(raw)
        self.ids: dict[str, str] = {}

    def put(self, name: str, place: int) -> None:
        fields = {"name": "ada", "phase": "done", "verb": "pause", "target": name, "queue": name}
        self.ids[name] = self.raw.xadd(audit_key(""), fields).decode()

    def take(self, name: str) -> None:
        self.raw.xdel(audit_key(""), self.ids[name])

    def name_in(self, key: str) -> str:
        return next((name for name, entry in self.ids.items() if entry == key), "")


LISTS = (
    Queues, QueuesByName, QueuesByWait, QueuesByPending, QueuesByFailures, Workers, Entries, Firings, Steps, Groups,
    Aside, Scheduled, Archived, Pending, Bans, Breakers, Claims, Audit,
)  # fmt: skip


async def walked(ada: Person, path: str, turn: Callable[[], None]) -> list[list[str]]:
    """Keys of the rows of each page; between two pages something happens."""
    pages = list[list[str]]()
    while path:
        answer = await ada.open(path)
        assert answer.status_code == 200, ada.shown[-500:]
        cost = COST.search(ada.shown)
        assert cost is not None and int(cost[1]) <= MOST_COMMANDS, path
        pages.append([unescape(key) for key in ROW.findall(ada.shown)])
        found = NEXT.search(ada.shown)
        path = unescape(found[1]) if found else ""
        turn()
        assert len(pages) < 100
    return pages


def turns(chance: random.Random, kind: PagedList, standing: list[str]) -> Iterator[None]:
    """Others come, go and move, each time some."""
    others, fresh = [f"{5_000_000 + chance.randrange(10**6) * 2}" for _ in range(OTHERS)], 7_000_000
    others = list(dict.fromkeys(others))
    for name in others:
        kind.put(name, chance.randrange(10))
    while True:
        yield
        for name in chance.sample(others, min(AT_ONCE, len(others))):
            others.remove(name)
            kind.take(name)
        for _ in range(AT_ONCE):
            fresh += 1
            others.append(f"{fresh if chance.random() < 0.5 else fresh - 4_000_000}")
            kind.put(others[-1], chance.randrange(10))
        for name in chance.sample([*others, *(standing if kind.all_move else ())], AT_ONCE):
            kind.move(name, chance.randrange(10))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("made", [pytest.param(made, marks=made.marks, id=made.__name__) for made in LISTS])
async def test_what_stands_in_a_list_is_met_once_on_its_pages(
    hx: Any, raw: redis.Redis, person: Callable[..., Person], made: type[PagedList], seed: int
) -> None:
    await hx.ratelimit.inspector.ban(BENT.policy, "u1", endpoint=BENT.endpoint, length=timedelta(hours=1))
    chance, kind = random.Random(seed), made(raw)
    standing = [f"{n}" for n in chance.sample(range(1_000_000, 9_999_999), kind.stand)]
    for name in standing:
        kind.put(name, chance.randrange(10))
    turn = turns(chance, kind, standing)
    next(turn)
    pages = await walked(person("act"), kind.path, lambda: next(turn))
    seen = Counter(kind.name_in(key) for page in pages for key in page)
    assert {name: seen[name] for name in standing if seen[name] != 1} == {}
    assert len(pages) > 1


async def test_tasks_of_a_bulk_act_are_told_once_while_it_goes_on(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    kind = Scheduled(raw)
    for n in range(STAND):
        kind.put(f"{1_000_000 + n}", 0)
    acts = hx.jobs.inspector.bulk
    bulk = await acts.plan(BulkVerb.ARCHIVE, "state:scheduled", by="ada")
    while bulk.moving:
        bulk = await acts.step(bulk.id)
    await acts.step((await acts.start(bulk.id)).id)
    pages = await walked(person("act"), f"/bulk/{bulk.id}", lambda: kind.put("2000000", 0))
    assert [len(page) for page in pages] == [50, 50, STAND - 100]
    assert len({key for page in pages for key in page}) == STAND


async def test_the_longest_names_have_pages(raw: redis.Redis, person: Callable[..., Person]) -> None:
    names = [f"{n:02}{chr(0x1F4B8) * 253}" for n in range(60)]
    raw.sadd(QUEUES, *names)
    assert [len(page) for page in await walked(person("read"), "/queues?sort=name", lambda: None)] == [50, 10]


def test_the_page_before_leads_back() -> None:
    things = list(range(25))
    first = page_of(things, lambda n: (n,), "", 10)
    second = page_of([n for n in things if n != 9], lambda n: (n,), first.after, 10)
    third = page_of(things, lambda n: (n,), second.after, 10)
    assert (first.shown, second.shown, third.shown) == (things[:10], things[10:20], things[20:])
    assert (first.before, second.before, third.after) == (None, "", "")
    assert third.before is not None and page_of(things, lambda n: (n,), third.before, 10).shown == things[10:20]
    with pytest.raises(Misuse):
        page_of(things, lambda n: (str(n),), first.after, 10)


async def test_an_acts_end_on_the_page_before_hides_its_beginning(
    raw: redis.Redis, hx: Any, person: Callable[..., Person]
) -> None:
    """Or it would look as if nobody knew what became of it."""
    fields = {"name": "ada", "verb": "pause", "target": "queue=q", "queue": "q"}
    begun = raw.xadd(audit_key(""), fields | {"phase": "intent"})
    raw.xadd(audit_key(""), fields | {"phase": "done", "of": begun})
    for _ in range(49):
        raw.xadd(audit_key(""), fields | {"phase": "failed"})
    pages = await walked(person("act"), "/audit", lambda: None)
    assert [len(page) for page in pages] in ([50], [50, 0]) and begun.decode() not in pages[-1]


def test_no_page_goes_by_a_number() -> None:
    """Those whose list never changes may."""
    assert {route.pattern for route in ROUTES if "page_number" in route.view.__code__.co_names} == {"/bulk/{id}"}
