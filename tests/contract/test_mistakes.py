"""What people get wrong around a call, at every door: a closed front, a foreign loop, no await, the wrong with."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest

from hustlex import HustleX, sync
from hustlex.cache import CachedFunction, CacheInspector, Caches
from hustlex.diagnostics import Diagnostics
from hustlex.errors import Error, Misuse
from hustlex.events import Channel, Presence
from hustlex.idempotency import ClaimInspector, Finding, Idempotency, Orphaned, Scope
from hustlex.jobs import BulkActs, Handle, Inspector, Schedules
from hustlex.otp import Otp
from hustlex.pins import PinOptions, Pins
from hustlex.ratelimit import Policy, RateLimit
from hustlex.tokens import TokenInspector, Tokens
from tests.conftest import PATIENCE, SECRET
from tests.contract.test_doors_bad_input import entered
from tests.contract.test_inspectors_bad_input import SAMPLES as INSPECTORS
from tests.contract.test_jobs_bad_input import ACTS, ENTRIES, ENTRY, LOOKS, SENT
from tests.contract.test_otp_bad_input import VERBS
from tests.contract.test_rooms_bad_input import CACHE, IDEMPOTENCY, KEPT, LIMITS, MINUTE, THERE, TOKENS, WHO
from tests.support.blocking import Blocking
from tests.support.dpop import Holder
from tests.support.sweep import Sample

FAST = PinOptions(memory_kib=8_192, passes=1)
PINS = [
    Sample(Pins.hash, {"user_id": "u", "pin": "4827"}),
    Sample(Pins.verify, {"user_id": "u", "pin": "4827", "stored": ""}),
    Sample(Pins.reset, {"user_id": "u"}),
]
ONE = {"queue": "default", "task_id": "kept"}
BULK = {"bulk_id": "kept"}


async def number(n: int) -> int:
    return n


async def done(_: Any) -> Finding:
    return Finding.NOT_DONE


MORE = [
    Sample(Otp.totp_verify, {"user_id": "u", "sealed": "", "code": "000000"}),
    *(Sample(door, {"decision": None}) for door in (RateLimit.refund, RateLimit.heartbeat, RateLimit.release)),
    Sample(RateLimit.hold, {**WHO}, call=lambda room, **given: entered(room.hold(**given))),
    Sample(
        Idempotency.reconcile,
        {"orphan": Orphaned(1, ""), "find_out": done, "key": "k", "scope": Scope("u1", "POST", "/x")},
    ),
    Sample(Caches.delete, {"name": "user", "key": 7}, call=lambda caches, **given: caches.delete(**given)),
    Sample(Caches.invalidate_tags, {"tag": "a"}, call=lambda caches, tag: caches.invalidate_tags(tag)),
    Sample(CachedFunction.__call__, {"n": 1}, call=lambda function, n: function(n)),
    *(
        Sample(door, {"n": 1}, call=lambda function, n, name=door.__name__: getattr(function, name)(n))
        for door in (CachedFunction.invalidate, CachedFunction.refresh, CachedFunction.peek, CachedFunction.uncached)
    ),
    Sample(Channel.publish, {"event": 1}, call=lambda channel, event: channel.publish(event, it=7)),
    Sample(Presence.join, {"member": "m"}, call=lambda places, member: entered(places.join(member, it=7))),
    *(Sample(door, {"timeout": timedelta(0)}) for door in (Handle.result, Handle.wait)),
    *(Sample(door, ONE) for door in (Inspector.run, Inspector.archive, Inspector.delete)),
    Sample(Inspector.workflow, {"queue": "default", "step_id": "w:0"}),
    *(Sample(door, ONE) for door in (Inspector.put_back, Inspector.discard)),
    *(
        Sample(each, {"queue": "default", "signature": "a"})
        for each in (Inspector.mute_errors, Inspector.unmute_errors)
    ),
    Sample(Inspector.delete_queue, {"queue": "default"}),
    Sample(Schedules.add, ENTRY),
    Sample(BulkActs.plan, {"verb": "run", "query": "type:t"}),
    Sample(BulkActs.newest),
    Sample(BulkActs.halt, {**BULK, "why": "odd"}),
    *(Sample(door, BULK) for door in (BulkActs.get, BulkActs.start, BulkActs.step, BulkActs.pause, BulkActs.stop)),
    *(Sample(door, BULK) for door in (BulkActs.report, BulkActs.undo)),
]
SAMPLES = [
    *VERBS,
    *TOKENS,
    *LIMITS,
    *IDEMPOTENCY,
    *PINS,
    *CACHE,
    *KEPT,
    *THERE,
    *SENT,
    *LOOKS,
    *ACTS,
    *ENTRIES,
    *MORE,
]
SAMPLES += [sample for _, sample in INSPECTORS]
KINDS = (Diagnostics, HustleX, Inspector, Schedules, TokenInspector, Tokens, CacheInspector, ClaimInspector)
SUBJECTS: dict[str, Callable[[Any], Any]] = {
    "Otp": lambda hx: hx.otp,
    "Tokens": lambda hx: hx.tokens,
    "RateLimit": lambda hx: hx.ratelimit,
    "Idempotency": lambda hx: hx.idempotency,
    "Pins": lambda hx: hx.pins,
    "Cache": lambda hx: hx.cache("user", int, ttl=MINUTE),
    "Caches": lambda hx: hx.cache,
    "CachedFunction": lambda hx: hx.cache("called", int, ttl=MINUTE).cached("called:{n}")(number),
    "Channel": lambda hx: hx.events.channel("lights:{it}", int),
    "ReplayChannel": lambda hx: hx.events.channel("orders:{it}", int, kind="replay"),
    "Presence": lambda hx: hx.events.presence("rooms:{it}"),
    "Jobs": lambda hx: hx.jobs,
    "Inspector": lambda hx: hx.jobs.inspector,
    "BulkActs": lambda hx: hx.jobs.inspector.bulk,
    "Schedules": lambda hx: hx.jobs.schedules,
    "Diagnostics": lambda hx: hx.diagnostics,
    "HustleX": lambda hx: hx,
    "OtpInspector": lambda hx: hx.otp.inspector,
    "TokenInspector": lambda hx: hx.tokens.inspector,
    "LimitInspector": lambda hx: hx.ratelimit.inspector,
    "CacheInspector": lambda hx: hx.cache.inspector,
    "ClaimInspector": lambda hx: hx.idempotency.inspector,
    "PinInspector": lambda hx: hx.pins.inspector,
    "EventInspector": lambda hx: hx.events.inspector,
}
ROOMS = ("otp", "tokens", "ratelimit", "idempotency", "pins", "cache", "jobs", "events")
UNTRIED = {"CurrentJob.log", "CurrentJob.progress", "ResultWriter.write", "Tokens.close"}
"""Doors that are there in a handler alone, and what closes."""
CLOSES = {"Tokens.close", "Diagnostics.monitor", "HustleX.close"}
"""What must not be called by the way, or watches for a while."""


def bare(kind: type) -> list[Sample]:
    """Of the doors that want nothing."""
    found = [door for name, door in vars(kind).items() if name[0] != "_" and inspect.isfunction(door)]
    asking = [door for door in found if inspect.iscoroutinefunction(inspect.unwrap(door))]
    return [Sample(door) for door in asking if not wanted(door) and door.__qualname__ not in CLOSES]


def wanted(door: Any) -> list[inspect.Parameter]:
    named = [each for each in inspect.signature(door).parameters.values() if each.name != "self"]
    return [each for each in named if each.default is each.empty and each.kind is not each.VAR_KEYWORD]


SAMPLES += [sample for kind in KINDS for sample in bare(kind) if str(sample) not in {str(each) for each in SAMPLES}]


HERE = {"Cache.cached", "Cache.key", "CachedFunction.uncached", "Otp.totp_enrol", "Pins.hash"}
HERE |= {"Tokens.issue_subscription", "Tokens.jwks"}
"""What asks no server, whatever it is given, or none while it knows the signing keys of this minute."""
ASYNC_ALONE = {"Presence.join"}
TOLD = {
    "HustleX.health",
    "Idempotency.settle",
    "Idempotency.settle_event",
    "ReplayChannel.publish_many",
    "Tokens.start",
}
"""What tells by a value that it could not, and logs it."""


def front_at(url: str, style: str) -> Any:
    given: dict[str, Any] = {"secret": SECRET, "timeout": PATIENCE, "pins": FAST}
    return HustleX(url, **given) if style == "aio" else sync.HustleX(url, **given)


async def asked(sample: Sample, subject: Any) -> Error | None:
    """What it raised."""
    try:
        answer = sample.run(subject, sample.given)
        if inspect.isawaitable(answer):
            await answer
    except Error as error:
        return error
    return None


async def subjects(front: Any) -> dict[str, Any]:
    """What the samples are asked of, by the class of it."""
    found = {name: find(front) for name, find in SUBJECTS.items()}
    return found | {"Handle": (await front.jobs.enqueue("t", task_id="handled")).or_raise()}


async def real(front: Any) -> dict[str, dict[str, Any]]:
    """What only an open front can give, by the door that wants it: with a forgery it would not ask the server."""
    challenge = {"challenge": (await front.otp.issue("+2348031234567")).or_raise().challenge}
    pair = (await front.tokens.login("u1")).or_raise()
    access, refresh = {"access": pair.access}, {"refresh_token": pair.refresh}
    kid = jwt.get_unverified_header(pair.access)["kid"]
    proof = Holder().proof("GET", "https://x/", int(time.time()))
    leases = Policy("leases", 3, MINUTE, algorithm="leases")
    place = {"decision": await front.ratelimit.check(leases, "u1", endpoint="/x")}
    charged = {"decision": await front.ratelimit.check(Policy("charged", 3, MINUTE), "u1", endpoint="/x")}
    hashed = (await front.pins.hash("u", "4827")).or_raise().verifier
    sealed = front.otp.totp_enrol("u", issuer="Ajo", account="ada").sealed
    given = dict.fromkeys(("verify", "resend", "open", "cancel", "delivery_report"), challenge)
    found = {f"Otp.{name}": arguments for name, arguments in given.items()}
    found |= dict.fromkeys(("Tokens.check", "Tokens.introspect"), access)
    found |= {
        "Tokens.refresh": refresh,
        "Tokens.logout": access | refresh,
        "Tokens.revoke_token": {"token": pair.refresh},
    }
    found |= {"Tokens.retire_key": {"kid": kid}, "Tokens.prove": {"proof": proof, "method": "GET", "url": "https://x/"}}
    found |= {"RateLimit.heartbeat": place, "RateLimit.release": place, "RateLimit.refund": charged}
    seen = (await front.tokens.check(pair.access, mode="strict")).or_raise()
    ticket = await front.tokens.issue_subscription(seen, "orders:42")
    found |= {"Tokens.check_subscription": {"token": ticket.token, "channel": "orders:42"}}
    return found | {"Pins.verify": {"stored": hashed}, "Otp.totp_verify": {"sealed": sealed}}


async def swept(found: dict[str, Any], given: dict[str, dict[str, Any]]) -> list[tuple[str, Error | None]]:
    told = []
    blocking = isinstance(found["HustleX"], Blocking)
    for sample in (sample for sample in SAMPLES if not (blocking and f"{sample}" in ASYNC_ALONE)):
        whole = replace(sample, given={**sample.given, **given.get(f"{sample}", {})})
        told.append((f"{sample}", await asked(whole, found[f"{sample}".partition(".")[0]])))
    return told


@pytest.mark.parametrize("style", ["aio", "blocking"])
async def test_a_closed_front_says_so_at_every_door(url: str, style: str) -> None:
    front = front_at(url, style)
    opened: Any = front if style == "aio" else Blocking(front)
    found, given = await subjects(opened), await real(opened)
    closed = front.close()
    if inspect.isawaitable(closed):
        await closed
    raised = await swept(found, given)
    assert {name for name, error in raised if error is None} - HERE - TOLD == set()
    wrong = [(name, str(error)) for name, error in raised if error is not None and "closed" not in str(error)]
    assert wrong == []
    assert all(error.hint for _, error in raised if error is not None)


async def test_a_foreign_event_loop_is_told_what_to_do_at_every_door(url: str) -> None:
    async with front_at(url, "aio") as front:
        assert (await front.health()).ok
        found, given = await subjects(front), await real(front)
        raised = await asyncio.to_thread(lambda: asyncio.run(swept(found, given)))
    assert {name for name, error in raised if error is None} - HERE - TOLD == set()
    wrong = [(name, repr(error)) for name, error in raised if error is not None and not isinstance(error, Misuse)]
    assert wrong == []
    assert {str(error) for _, error in raised if error is not None and "event loop" not in str(error)} == set()


async def test_an_answer_without_await_says_so_whatever_is_done_with_it(url: str) -> None:
    ways: dict[str, Callable[[Any], object]] = {
        "bool": bool,
        "==": lambda answer: answer == 1,
        "for": lambda answer: [*answer],
        "len": len,
        "[]": lambda answer: answer[0],
        "in": lambda answer: 1 in answer,
    }
    silent, tried = [], set()
    async with front_at(url, "aio") as front:
        found = await subjects(front)
        for sample in SAMPLES:
            for way, look in ways.items():
                answer = sample.run(found[f"{sample}".partition(".")[0]], sample.given)
                if not isinstance(answer, Awaitable):
                    continue
                if inspect.iscoroutine(answer):  # of the sample's own helper, around the call
                    answer.close()
                    continue
                tried.add(f"{sample}")
                said = await asked(
                    Sample(sample.target, {"answer": answer}, call=lambda _, answer, look=look: look(answer)), 0
                )
                if not isinstance(said, Misuse) or "await" not in str(said):
                    silent.append(f"{sample}: {way}")
                    answer.close()  # type: ignore[attr-defined]
        answer = front.jobs.cancel("a")
        with pytest.raises(AttributeError, match="write await"):
            answer.or_raise()
        answer.close()
    assert silent == []
    answer_doors = {name for room in ROOMS for name, door in doors(room) if answers(door)}
    assert answer_doors - tried - UNTRIED == set()


@pytest.mark.parametrize("style", ["aio", "blocking"])
async def test_the_wrong_kind_of_with_says_which_is_right(url: str, style: str) -> None:
    front: Any = front_at(url, style)
    if style == "aio":
        with pytest.raises(Misuse, match="write 'async with'"), front:
            pass
        await front.close()
    else:
        with pytest.raises(Misuse, match="write 'with'"):
            async with front:
                pass
        front.close()


def doors(room: str) -> Iterable[tuple[str, Any]]:
    module = importlib.import_module(f"hustlex.{room}")
    for kind in (getattr(module, name) for name in module.__all__):
        if inspect.isclass(kind):
            functions = ((name, door) for name, door in vars(kind).items() if inspect.isfunction(door))
            shown = ((name, door) for name, door in functions if name[0] != "_" or name == "__call__")
            yield from ((door.__qualname__, door) for name, door in shown)


def answers(door: Any) -> bool:
    made = inspect.signature(door).return_annotation
    return inspect.iscoroutinefunction(inspect.unwrap(door)) or str(made).startswith("Answer")


@pytest.mark.parametrize("room", ROOMS)
def test_no_door_of_a_room_gives_a_bare_coroutine(room: str) -> None:
    assert [name for name, door in doors(room) if inspect.iscoroutinefunction(door)] == []
