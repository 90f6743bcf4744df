"""What people get wrong around a call, at every door: a closed front, a foreign loop, no await, the wrong with."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from hustlex import HustleX, sync
from hustlex.cache import CacheInspector
from hustlex.diagnostics import Diagnostics
from hustlex.errors import Error, Misuse
from hustlex.idempotency import ClaimInspector
from hustlex.jobs import Inspector, Schedules
from hustlex.pins import PinOptions, Pins
from hustlex.tokens import TokenInspector, Tokens
from tests.conftest import PATIENCE, SECRET
from tests.contract.test_inspectors_bad_input import SAMPLES as INSPECTORS
from tests.contract.test_jobs_bad_input import ACTS, ENTRIES, LOOKS, SENT
from tests.contract.test_otp_bad_input import VERBS
from tests.contract.test_rooms_bad_input import CACHE, IDEMPOTENCY, KEPT, LIMITS, MINUTE, THERE, TOKENS
from tests.support.blocking import Blocking
from tests.support.sweep import Sample

FAST = PinOptions(memory_kib=8_192, passes=1)
PINS = [Sample(Pins.hash, {"user_id": "u", "pin": "4827"}), Sample(Pins.reset, {"user_id": "u"})]
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
    "ReplayChannel": lambda hx: hx.events.channel("orders:{it}", int, kind="replay"),
    "Presence": lambda hx: hx.events.presence("rooms:{it}"),
    "Jobs": lambda hx: hx.jobs,
    "Inspector": lambda hx: hx.jobs.inspector,
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


HERE = {
    "Cache.cached", "Cache.key", "Otp.cancel", "Otp.delivery_report", "Otp.open", "Otp.resend", "Otp.totp_enrol",
    "Otp.verify", "Pins.hash", "Tokens.check", "Tokens.introspect", "Tokens.logout", "Tokens.prove", "Tokens.refresh",
    "Tokens.retire_key", "Tokens.revoke_token",
}  # fmt: skip
"""What needs no server for the arguments of its sample: a forged challenge, a token that is none."""
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


def subjects(front: Any) -> dict[str, Any]:
    return {name: find(front) for name, find in SUBJECTS.items()}


async def swept(found: dict[str, Any]) -> list[tuple[str, Error | None]]:
    return [(f"{sample}", await asked(sample, found[f"{sample}".partition(".")[0]])) for sample in SAMPLES]


@pytest.mark.parametrize("style", ["aio", "blocking"])
async def test_a_closed_front_says_so_at_every_door(url: str, style: str) -> None:
    front = front_at(url, style)
    found = subjects(front if style == "aio" else Blocking(front))
    closed = front.close()
    if inspect.isawaitable(closed):
        await closed
    raised = await swept(found)
    assert {name for name, error in raised if error is None} - HERE - TOLD == set()
    wrong = [(name, str(error)) for name, error in raised if error is not None and "closed" not in str(error)]
    assert wrong == []
    assert all(error.hint for _, error in raised if error is not None)


async def test_a_foreign_event_loop_is_told_what_to_do_at_every_door(url: str) -> None:
    async with front_at(url, "aio") as front:
        assert (await front.health()).ok
        found = subjects(front)
        raised = await asyncio.to_thread(lambda: asyncio.run(swept(found)))
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
    silent = []
    async with front_at(url, "aio") as front:
        found = subjects(front)
        for sample in SAMPLES:
            for way, look in ways.items():
                answer = sample.run(found[f"{sample}".partition(".")[0]], sample.given)
                if not isinstance(answer, Awaitable):
                    continue
                if inspect.iscoroutine(answer):  # of the sample's own helper, around the call
                    answer.close()
                    continue
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
            yield from ((f"{kind.__name__}.{name}", door) for name, door in functions if name[0] != "_")


@pytest.mark.parametrize("room", ["otp", "tokens", "ratelimit", "idempotency", "pins", "cache", "jobs", "events"])
def test_no_door_of_a_room_gives_a_bare_coroutine(room: str) -> None:
    assert [name for name, door in doors(room) if inspect.iscoroutinefunction(door)] == []
