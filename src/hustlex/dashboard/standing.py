"""How that stands which an act changes: a few words before it and after it, for the audit. Nothing that somebody typed
or sent stands in them."""

from __future__ import annotations

import msgspec

from hustlex.core.words import duration
from hustlex.dashboard.job_acts import worker_of
from hustlex.dashboard.pages.cron import queue_of
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.targets import Target
from hustlex.errors import Error, NotFound
from hustlex.jobs import Cause, Muted, QueueSummary
from hustlex.jobs.lease.record import MOST_GROUPS
from hustlex.people.person import declared_limits, destination, limit_of

_CHANGING = ("edit_entry", "add_entry", "remove_entry")
_STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")


class Standing(msgspec.Struct, frozen=True):
    """words: as "paused, 3 pending"; "" where it cannot be told. queue: whose it is, where the target does not say."""

    words: str
    queue: str = ""


async def standing(request: PageRequest, verb: str, target: Target) -> Standing:
    """How it stands now. Whatever goes wrong: an act is not held up by a look."""
    try:
        return await _of(request, verb, target)
    except NotFound:
        return Standing("not there")
    except Error:
        return Standing("")


async def _of(request: PageRequest, verb: str, target: Target) -> Standing:
    if target.task:
        return await _task(request, target)
    if target.entry:
        return await _entry(request, verb, target)
    if target.signature:
        return Standing(await _errors(request, target))
    if target.queue:
        found = await request.hx.jobs.inspector.summaries([target.queue])
        return Standing(", ".join(_counted(found[0])) if found else "not there")
    if target.worker:
        server = await worker_of(request, target.worker)
        return Standing(f"{server.status}, {server.active_worker_count} of {server.concurrency} slots busy")
    if target.bulk:
        bulk = await request.hx.jobs.inspector.bulk.get(target.bulk)
        queue = bulk.queues[0] if len(bulk.queues) == 1 else ""
        return Standing(f"{bulk.phase.value}, {bulk.done:,} of {bulk.planned:,} done", queue)
    if target.claim:
        claim = await request.hx.idempotency.inspector.of_record(target.claim)
        return Standing(f"{claim.state}, {claim.fence} owner{'' if claim.fence == 1 else 's'}")
    if target.ban:
        bans = (await request.hx.ratelimit.inspector.bans()).bans
        left = next((each.banned_for for each in bans if each.record == target.ban), None)
        return Standing(f"banned for {duration(left)}" if left else "not banned")
    if target.breaker:
        return Standing(await _breaker(request, target.breaker))
    return Standing(await _person(request, verb, target))


async def _errors(request: PageRequest, target: Target) -> str:
    groups = await request.hx.jobs.inspector.error_groups([target.queue], size=MOST_GROUPS)
    group = next((each for each in groups if each.signature == target.signature), None)
    if group is None:
        return "not there"
    return f"{group.count:,} failures, {_muted(group.muted)}"


def _muted(mute: Muted | None) -> str:
    """Until when a group of failures needs no attention."""
    if mute is None:
        return "not muted"
    return f"muted until {mute.until:%Y-%m-%d %H:%M} UTC" if mute.until else "muted until it fails again"


async def _breaker(request: PageRequest, name: str) -> str:
    page = await request.hx.otp.inspector.breakers()
    found = next((each for each in page.breakers if each.name == name), None)
    return f"slowed down, {found.verified:,} of {found.sent:,} typed" if found else "not slowed down"


async def _task(request: PageRequest, target: Target) -> Standing:
    try:
        task = await request.hx.jobs.inspector.task(target.queue, target.task)
    except NotFound:
        seen = await request.hx.jobs.explain(target.task, queue=target.queue)
        return Standing("set aside" if Cause.PARKED in seen.causes else "not there")
    size = len(task.payload or b"")
    return Standing(f"{task.state.value}, {task.retried} of {task.max_retry} retries, payload of {size:,} bytes")


def _counted(queue: QueueSummary) -> list[str]:
    counts = [(getattr(queue, state), state) for state in _STATES]
    told = [f"{count:,} {state}" for count, state in counts if count]
    limit = [f"limit {queue.limit:,}"] if queue.limit is not None else []
    return ["paused" if queue.paused else "not paused", *limit, *(told or ["empty"])]


async def _entry(request: PageRequest, verb: str, target: Target) -> Standing:
    found = await request.hx.jobs.schedules.get(target.entry)
    if target.queue and not request.operator.sees_queue(queue_of(found)):
        return Standing("not there")
    at = f"next at {found.next_at:%Y-%m-%d %H:%M:%S} UTC" if found.next_at else "never again"
    spec = "" if found.trouble or verb not in _CHANGING else f"{found.spec}, missed {found.missed}, "
    return Standing(spec + ("paused" if found.paused else at), queue_of(found))


async def _limit(request: PageRequest, target: Target) -> str:
    rules = declared_limits(request.rules).get(target.limit)
    if rules is None:
        return ""
    found = await limit_of(request.hx, target.limit, rules, target.caller or target.user)
    decision, words = found.decision, list[str]()
    words += [] if decision.allowed else [decision.outcome]
    words += [f"{each.remaining:,} of {each.limit:,} left" for each in decision.per_policy]
    for mark in found.marks:
        words += [f"banned for {duration(mark.banned_for)}"] if mark.banned_for else []
        words += [f"a limit of its own, {mark.own_limit:,}"] if mark.own_limit is not None else []
    return ", ".join(words)


async def _person(request: PageRequest, verb: str, target: Target) -> str:
    if target.user and verb == "reset_pin":
        pin = await request.hx.pins.inspector.user(target.user)
        return f"locked for {duration(pin.locked_for)}" if pin.locked_for else f"{pin.wrong} wrong, {pin.left} left"
    if target.limit:
        return await _limit(request, target)
    if target.user:
        count = len((await request.hx.tokens.inspector.user(target.user)).sessions)
        return f"{count} session{'' if count == 1 else 's'}"
    if not target.phone:
        return ""
    lanes = (await request.hx.otp.inspector.phone(destination(target.phone))).lanes
    if verb == "resend":
        return f"{sum(each.sends for each in lanes)} sent in 24 h"
    lane = next((each for each in lanes if each.lane == target.lane), None)
    if lane is None:
        return ""
    return f"locked for {duration(lane.locked_for)}" if lane.locked_for else f"not locked, {lane.wrong} wrong"
