"""Who has rights for some queues or rooms only, on every page and with every act: a new one is swept by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from itertools import product
from typing import Any

import pytest
import redis

from hustlex.dashboard.acts import ACTS
from hustlex.dashboard.names import to_url
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.routes import ROUTES
from hustlex.dashboard.targets import Target
from hustlex.jobs import Job, wire
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from tests.dashboard.conftest import Person

MINE, OTHERS, MARK = "gigs", "zqxjvwallets", "zqxjv"
HOUR = timedelta(hours=1)
SIGNATURE = "5" * 16
ROOMS = sorted({route.room for route in ROUTES if route.room})
OPEN = [route for route in ROUTES if "{" not in route.pattern]
NUMBERS_OF_THE_SERVER = ("/redis",)
"""Pages that tell of the server as a whole, whose memory and connections are everybody's."""
PASSING = re.compile(
    r'<footer>.*?</footer>|<svg.*?</svg>|<time.*?</time>|nonce="[^"]*"|name="form_token" value="[^"]*"'
    r"|\d+(\.\d+)? (ms|s|m|h|d)\b",
    re.DOTALL,
)


async def filled(hx: Any, raw: redis.Redis, queue: str, mark: str) -> dict[str, str]:
    """Of everything that belongs to a queue, one; what stands for each name in addresses and forms."""
    for state, options in {"scheduled": {"process_in": HOUR}, "pending": {}, "archived": {}}.items():
        await hx.jobs.enqueue(f"{mark}:pay", {mark: mark}, task_id=f"{mark}-{state}", queue=queue, **options)
    await hx.jobs.inspector.archive(queue, f"{mark}-archived")
    await hx.jobs.enqueue(f"{mark}:batch", queue=queue, group=f"{mark}-group")
    kind = FailureKind(f"{mark}:pay", f"{mark}.Error", f"{mark}.place", f"{mark} says")
    count = FailureCount(SIGNATURE, kind, 30, (f"{mark}-archived",))
    await hx.driver.run(record.failures(queue_keys(queue), [count], 0))
    await hx.driver.run(record.history([(queue, QueueMeasure(9, 3, 1, 1500))], 0))
    await hx.jobs.schedules.add(f"{mark}-entry", "@every 1h", Job(f"{mark}:pay", b"", {"queue": queue}))
    entry = await hx.jobs.schedules.get(f"{mark}-entry")
    work = Job(f"{mark}:step", b"", {"queue": queue})
    await hx.jobs.start(work.then(work), workflow_id=f"{mark}-flow")
    bulk = await hx.jobs.inspector.bulk.plan("delete", f"queue:{queue}", by="ada" if queue == MINE else "bob")
    while bulk.moving:
        bulk = await hx.jobs.inspector.bulk.step(bulk.id)
    scheduler(raw, queue, mark)
    aside(raw, queue, mark)
    return {"queue": queue, "task": f"{mark}-scheduled", "entry": entry.name, "id": entry.id, "bulk": bulk.id}


def aside(raw: redis.Redis, queue: str, mark: str) -> None:
    """A message that nobody can decode."""
    raw.hset(parked(queue_keys(queue)), f"{mark}-aside", f"{mark}\xff".encode("latin-1"))


def scheduler(raw: redis.Redis, queue: str, mark: str) -> None:
    """Of another program, with an entry that is overdue."""
    now_s = raw.time()[0]
    key = f"asynq:schedulers:{{{mark}:7:u}}"
    times = (now_s - 3600) * 10**9, (now_s - 7200) * 10**9
    entry = wire.SchedulerEntry(f"{mark}-of-go", f"@every {mark}", f"{mark}:cron", None, (f'Queue("{queue}")',), *times)
    raw.lpush(key, wire.encode_entry(entry))
    raw.zadd("asynq:schedulers", {key: now_s + 3600})


def worker(raw: redis.Redis, host: str, *queues: str) -> None:
    """A process that takes tasks of these queues, and runs one of each."""
    now_s = raw.time()[0]
    info = wire.ServerInfo(host, 7, host, 10, dict.fromkeys(queues, 1), False, "active", now_s * 10**9, len(queues))
    raw.set(f"asynq:servers:{{{host}:7:{host}}}", wire.encode_server(info))
    for queue in queues:
        end_ns = (now_s + 60) * 10**9
        task = wire.WorkerInfo(host, 7, host, f"{queue}-runs", f"{queue}:t", b"p", queue, now_s * 10**9, end_ns)
        raw.hset(f"asynq:workers:{{{host}:7:{host}}}", task.task_id, wire.encode_worker(task))
    for kind in ("servers", "workers"):
        raw.zadd(f"asynq:{kind}", {f"asynq:{kind}:{{{host}:7:{host}}}": now_s + 3600})


@pytest.fixture
async def mine(hx: Any, raw: redis.Redis) -> dict[str, str]:
    worker(raw, "shared", MINE)
    return await filled(hx, raw, MINE, "own")


async def theirs(hx: Any, raw: redis.Redis, person: Callable[..., Person]) -> dict[str, str]:
    """The same of a queue of other people, beside it; somebody acts on it."""
    found = await filled(hx, raw, OTHERS, MARK)
    worker(raw, "shared", MINE, OTHERS)
    worker(raw, f"{MARK}host", OTHERS)
    bob = person("act")
    await bob.open("/people")
    for verb in ("pause", "resume"):
        await bob.press(verb, queue=OTHERS, back="/")
    return found


def lasting(raw: redis.Redis) -> dict[bytes, bytes]:
    """What stands there, without what goes by itself after seconds: marks of calls that may be repeated."""
    return {key: raw.dump(key) for key in raw.scan_iter("*") if b":x:sent:" not in key}


def addresses(names: dict[str, list[str]]) -> Iterator[str]:
    """Every page, with each of these names at each place."""
    for route in ROUTES:
        parts = re.findall(r"\{(\w+)\}", route.pattern)
        unknown = [part for part in parts if part not in names]
        assert not unknown, f"{route.pattern}: say here what may stand for {unknown}"
        for values in product(*(names[part] for part in parts)):
            coded = {part: to_url(value) for part, value in zip(parts, values, strict=True)}
            yield route.pattern.format(**coded)


def told(text: str, *asked: str) -> str:
    """A page's text without what the person has typed."""
    text = unescape(PASSING.sub("", text))
    for word in sorted(asked, key=len, reverse=True):
        for each in (word, to_url(word), word[:8]):
            text = text.replace(each, "")
    return text


async def test_pages_are_as_if_other_queues_were_not_there(
    hx: Any, raw: redis.Redis, mine: dict[str, str], person: Callable[..., Person]
) -> None:
    async def looks() -> dict[str, str]:
        ada = person("act", queues=("gig*",))
        pages = {route.pattern: await ada.open(route.pattern) for route in OPEN}
        return {path: PASSING.sub("", page.text) for path, page in pages.items() if path not in NUMBERS_OF_THE_SERVER}

    before = await looks()
    assert "own:cron" in before["/"] and "own-flow" in before["/workflows"]
    assert "own-group" in before["/groups"] and "shared:7" in before["/workers"]
    assert "own-aside" in before["/quarantine"]
    await theirs(hx, raw, person)
    assert await looks() == before


async def test_no_page_tells_of_other_queues(
    hx: Any, raw: redis.Redis, mine: dict[str, str], person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = await theirs(hx, raw, person)
    steps = [Job("t", b"", {"queue": queue}) for queue in (MINE, OTHERS, MINE)]
    mixed = (await hx.jobs.start(steps[0].then(steps[1]).then(steps[2]), workflow_id="mixed")).steps
    names = {
        "queue": [MINE, OTHERS],
        "id": [mine["task"], *(others[key] for key in ("task", "id", "bulk")), mixed[1].id, mixed[2].id],
        "signature": [SIGNATURE],
        "name": ["of-a-tail"],
    }
    asked = dict[str, set[str]]()
    whole, ada = person("act"), person("act", queues=("gig*",))
    word = PageRequest.word
    path = ""

    def noted(self: PageRequest, name: str, *rest: Any, **more: Any) -> str:
        asked.setdefault(path.partition("/")[2].partition("/")[0], set()).add(name)
        return word(self, name, *rest, **more)

    monkeypatch.setattr(PageRequest, "word", noted)
    everywhere, told_of = {route.pattern for route in OPEN}, 0
    for path in addresses(names):
        if path in everywhere:
            told_of += MARK in (await whole.open(path)).text
        answer = await ada.open(path)
        hidden = f"/{OTHERS}" in path or path in (f"/cron/{to_url(others['id'])}", f"/bulk/{to_url(others['bulk'])}")
        assert answer.status_code in ((404,) if hidden else (200, 404)), path
        assert MARK not in told(answer.text, *others.values(), f"{MARK}-of-go"), path
        if hidden:
            assert (await ada.client.get("/live", params={"path": path})).status_code == 404, path
    assert told_of > 7  # so the others' things are there to be seen
    for route in OPEN:
        for name in sorted(asked.get(route.pattern[1:], ())):
            for value in (OTHERS, others["task"], "type:*"):
                answer = await ada.client.get(route.pattern, params={name: value})
                assert MARK not in told(answer.text, value), (route.pattern, name, value)


async def test_no_act_touches_other_queues(
    hx: Any, raw: redis.Redis, mine: dict[str, str], person: Callable[..., Person]
) -> None:
    others = await theirs(hx, raw, person)
    own = mine | {"state": "scheduled", "do": "delete", "query": "type:*", "changes": "{}", "to": MINE, "when": "2h",
                  "user": "u1", "session": "s1", "phone": "+2348031234567", "lane": "anon", "limit": "POST /pay",
                  "typed": "1", "group": "", "channel": "orders:42", "kind": "live",
                  "cache": "user", "key": "42", "tag": "org:7",
                  "claim": f"idem:{{u1}}:POST:{'5' * 32}", "fence": "1", "breaker": "cc:NG",
                  "caller": "u1", "ban": "ratelimit:{u1}:x:pen", "most": "5", "length": "1h",
                  "worker": "shared", "spec": "@every 2h", "timezone": "UTC",
                  "missed": "skip", "type": "own:t", "payload": "{}", "signature": SIGNATURE}  # fmt: skip
    foreign = others | {"worker": f"{MARK}host", "to": OTHERS, "query": f"queue:{OTHERS}"}

    async def standing() -> dict[Any, Any]:
        entry = await hx.jobs.schedules.get(others["entry"])
        kept = {key: value for key, value in lasting(raw).items() if MARK.encode() in key}
        return kept | {
            "bulk": await hx.jobs.inspector.bulk.get(others["bulk"]),
            "entry": (entry.spec, entry.missed, entry.paused),
        }

    ada = person("act", queues=("gig*",))
    before = await standing()
    for verb, act in ACTS.items():
        wanted = (*act.needs, *act.takes)
        unknown = [name for name in wanted if name not in own]
        assert not unknown, f"{verb}: say here what may stand for {unknown}"
        for name in wanted:
            given = {each: own[each] for each in wanted} | {name: foreign.get(name, own[name])}
            target = Target(**{each: text for each, text in given.items() if each != "typed"})
            await ada.open("/people")
            answer = await ada.press(verb, **given | {"typed": act.typed(target) or "1", "back": "/people"})
            refused = name in foreign and name != "query"
            assert answer.status_code in ((400, 404, 409) if refused else (200, 400, 404, 409)), (verb, name)
            assert await standing() == before, (verb, name)


async def test_a_worker_is_stopped_by_whom_all_queues_exist_for(
    raw: redis.Redis, mine: dict[str, str], person: Callable[..., Person]
) -> None:
    raw.set("asynq:x:types:{shared:7:shared}", "{}")
    for someone, status in ((person("act", queues=("gig*",)), 404), (person("act"), 409)):
        assert ("stop_worker" in (await someone.open("/workers")).text) == (status == 409)
        confirm = await someone.open("/confirm?verb=stop_worker&worker=shared")
        assert ("takes tasks of gigs" in confirm.text) == (status == 409)
        await someone.open("/people")
        answer = await someone.press("stop_worker", worker="shared", typed="shared", back="/workers")
        assert answer.status_code == status  # nobody hears it: this one only tells of itself


async def test_an_entry_added_under_the_name_of_anothers_tells_nothing_of_it(
    hx: Any, person: Callable[..., Person]
) -> None:
    await hx.jobs.schedules.add("taken", "@every 7h", Job("t", b"", {"queue": OTHERS}))
    ada = person("act", queues=("gig*",))
    await ada.open("/people")
    given = {"entry": "taken", "spec": "@daily", "type": "own:t", "queue": MINE}
    assert (await ada.press("add_entry", back="/cron", **given)).status_code == 409
    shown = told((await ada.open("/audit")).text)
    assert "Conflict" in shown and "not there" in shown
    assert "7h" not in shown and "next at" not in shown and OTHERS not in shown


@pytest.mark.parametrize("room", ROOMS)
async def test_a_room_that_is_not_theirs_is_nowhere(
    hx: Any, raw: redis.Redis, mine: dict[str, str], person: Callable[..., Person], room: str
) -> None:
    await hx.tokens.login("u1", device="Tecno")
    whole, ada = person("act"), person("act", rooms=tuple(each for each in ROOMS if each != room))
    await whole.open("/people")
    await whole.press("pause", queue=MINE, back="/people")
    await whole.press("revoke_all", user="u1", typed="u1", back="/people")
    for route in ROUTES:
        if room not in (route.room, "jobs") and route.pattern not in ("/", "/audit"):
            continue
        path = route.pattern.format(queue=MINE, id=to_url(mine["task"]), signature=SIGNATURE, name="x")
        answers = [await ada.open(path), await ada.post(path)] if route.asks else [await ada.open(path)]
        if route.room == room:
            assert {answer.status_code for answer in answers} == {404}, path
            assert (await ada.client.get("/live", params={"path": path})).status_code == 403, path
        if route.room != "jobs" and room == "jobs":
            assert not re.search(rf"own:|{MINE}|shared:7", answers[0].text), path
        links = re.findall(r'href="(/[^"?]*)', answers[0].text)
        assert not [link for link in links if _room_of(link) == room], path
    if room == "people":
        await ada.open("/audit")
        assert "revoke_all" not in ada.shown and ">pause<" in ada.shown
    await ada.open("/people" if room != "people" else f"/queues/{MINE}")
    before = lasting(raw)
    for verb, act in ACTS.items():
        if act.room == room:
            given = {"queue": MINE, "task": mine["task"], "user": "u1", "typed": "u1", "entry": mine["entry"]}
            assert (await ada.press(verb, back="/", **given)).status_code == 400, verb
            assert (await ada.open(f"/confirm?verb={verb}&queue={MINE}&user=u1")).status_code == 400, verb
    assert lasting(raw) == before


def _room_of(link: str) -> str:
    first = link.split("/")[1]
    return next((route.room for route in ROUTES if route.pattern.split("/")[1] == first and first), "")
