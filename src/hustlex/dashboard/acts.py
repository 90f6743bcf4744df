"""What buttons do. Each act is one entry of ``ACTS``: the room's own call, how much thought it needs, and its words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from hustlex.core import check
from hustlex.dashboard import bulk_acts, cron_acts, job_acts, limit_acts
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.targets import Target
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.jobs import State
from hustlex.people.person import destination
from hustlex.people.resend import send_again

Weight = Literal["light", "medium", "heavy"]


class Act(msgspec.Struct, frozen=True):
    """One thing that can be done."""

    title: str
    """On the button."""
    weight: Weight
    """light: at once; medium: after a look at what it is; heavy: after typing what it is done to."""
    needs: tuple[str, ...]
    """Fields of the target that must be given."""
    does: Callable[[PageRequest, Target], Awaitable[int | str | None]]
    """Answers how many it was done to, None where that is one, or the address of the page to show next."""
    said: str
    """What the next page says."""
    warning: str = ""
    """What the person must know before."""
    room: str = "jobs"
    takes: tuple[str, ...] = ()
    """Fields of the target that may be given."""
    preview: Callable[[PageRequest, Target], Awaitable[list[str]]] | None = None
    """What is told before anybody says yes, line by line; refuses what the act would refuse."""

    def typed(self, target: Target) -> str:
        """What must be typed for a heavy act."""
        return target.queue or target.entry or target.user or target.claim[-8:] or target.worker[:8]


def target_of(request: PageRequest, act: Act, given: Mapping[str, str]) -> Target:
    """Raises Misuse when something is missing, NotFound for what does not exist for this person."""
    missing = [name for name in act.needs if not given.get(name)]
    if missing:
        raise Misuse(f"{act.title}: {' and '.join(missing)} missing", hint="use the button on the page")
    target = Target(**{name: given.get(name, "") for name in (*act.needs, *act.takes)})
    if target.state:
        check.one_of("state", target.state, tuple(State))
    for queue in (target.queue, target.to):
        if queue and not request.operator.sees_queue(queue):
            raise NotFound(f"there is no queue {queue!r}")
    return target


async def _pause(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.pause(target.queue)


async def _resume(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.unpause(target.queue)


async def _run(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.run(target.queue, target.task)


async def _archive(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.archive(target.queue, target.task)


async def _delete(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.delete(target.queue, target.task)


async def _put_back(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.put_back(target.queue, target.task)


async def _discard(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.discard(target.queue, target.task)


async def _run_all(request: PageRequest, target: Target) -> int:
    return await request.hx.jobs.inspector.run_all(target.queue, State(target.state), group=target.group)


async def _archive_all(request: PageRequest, target: Target) -> int:
    return await request.hx.jobs.inspector.archive_all(target.queue, State(target.state), group=target.group)


async def _delete_all(request: PageRequest, target: Target) -> int:
    return await request.hx.jobs.inspector.delete_all(target.queue, State(target.state), group=target.group)


async def _delete_queue(request: PageRequest, target: Target) -> None:
    await request.hx.jobs.inspector.delete_queue(target.queue, force=True)


async def _unlock(request: PageRequest, target: Target) -> None:
    lane: Any = check.one_of("lane", target.lane, ("anon", "known"))
    await request.hx.otp.unlock(destination(target.phone), lane)


async def _resend(request: PageRequest, target: Target) -> None:
    if request.resend is None:
        raise Misuse("nobody told this console how a code is sent again", hint="Dashboard(..., resend=...)")
    await send_again(request.resend, target.phone)


async def _revoke(request: PageRequest, target: Target) -> None:
    await request.hx.tokens.revoke_session(target.user, target.session)


async def _revoke_all(request: PageRequest, target: Target) -> int:
    return (await request.hx.tokens.revoke_all(target.user)).ended


async def _reset_pin(request: PageRequest, target: Target) -> None:
    await request.hx.pins.reset(target.user)


async def _delete_entry(request: PageRequest, target: Target) -> None:
    await request.hx.cache.delete(target.cache, target.key)


async def _invalidate_tag(request: PageRequest, target: Target) -> None:
    await request.hx.cache.invalidate_tags(target.tag)


async def _release(request: PageRequest, target: Target) -> None:
    fence = int(target.fence) if target.fence.isascii() and target.fence.isdecimal() and len(target.fence) < 12 else 0
    await request.hx.idempotency.inspector.release(target.claim, fence=fence)


async def _close_breaker(request: PageRequest, target: Target) -> None:
    if not await request.hx.otp.close_breaker(target.breaker):
        raise Conflict("it does not slow down any more", hint="nothing was changed")


async def _tail(request: PageRequest, target: Target) -> str:
    """Listen to a channel; answers the page that shows what is heard."""
    kind: Any = check.one_of("kind", target.kind or "live", ("live", "replay", "latest"))
    assert request.tails is not None
    name = await request.tails.begin(request.hx, request.operator.name, target.channel, kind)
    return request.url("events", "tail", name)


_LOST = "This cannot be undone."
_LIFTED = "The ban is lifted; processes that remember it may repeat it for a minute."
_TASK, _STATE, _GROUP, _ERRORS = ("queue", "task"), ("queue", "state"), ("group",), ("queue", "signature")
ACTS: dict[str, Act] = {
    "pause": Act("Pause", "light", ("queue",), _pause, "The queue is paused: workers take no more of its tasks."),
    "resume": Act("Resume", "light", ("queue",), _resume, "Workers take its tasks again."),
    "run": Act("Run now", "light", _TASK, _run, "The task is pending now, behind what was."),
    "archive": Act("Archive", "medium", _TASK, _archive, "The task is in the archive.", "It will not run by itself."),
    "delete": Act("Delete", "medium", _TASK, _delete, "The task is deleted.", _LOST),
    "cancel": Act(
        "Cancel",
        "medium",
        _TASK,
        job_acts.cancel,
        "It is cancelled.",
        "What runs is cut off and not repeated, what waits never starts.",
    ),
    "put_back": Act("Put back", "medium", _TASK, _put_back, "It is pending now.", "It runs once there is a slot."),
    "discard": Act("Delete", "medium", _TASK, _discard, "The message is deleted.", _LOST),
    "run_all": Act(
        "Run all",
        "heavy",
        _STATE,
        _run_all,
        "are pending now.",
        "All of them run as soon as there are slots.",
        takes=_GROUP,
    ),
    "archive_all": Act(
        "Archive all",
        "heavy",
        _STATE,
        _archive_all,
        "are in the archive.",
        "The archive keeps 9,999.",
        takes=_GROUP,
    ),
    "delete_all": Act("Delete all", "heavy", _STATE, _delete_all, "are deleted.", _LOST, takes=_GROUP),
    "delete_queue": Act(
        "Delete queue", "heavy", ("queue",), _delete_queue, "The queue is deleted.", f"With all its tasks. {_LOST}"
    ),
    "limit_queue": Act(
        "Limit the queue",
        "medium",
        ("queue", "most"),
        job_acts.limit_queue,
        "The queue is limited.",
        "While so many tasks are unfinished, every producer in Python is refused more; Go's are not.",
    ),
    "lift_limit": Act(
        "Lift the limit",
        "medium",
        ("queue",),
        job_acts.lift_limit,
        "The queue has no limit any more.",
        "It takes any number of tasks again, as long as the server has memory.",
    ),
    "mute": Act("Mute", "light", _ERRORS, job_acts.mute, "They are counted, and nobody is told.", takes=("length",)),
    "unmute": Act("Lift the mute", "light", _ERRORS, job_acts.unmute, "These failures need attention as any other."),
    "stop_worker": Act(
        "Stop the worker",
        "heavy",
        ("worker",),
        job_acts.stop_worker,
        "The worker was told to stop.",
        "It takes no more tasks, and has its grace for those it runs; what is not done then is tried again elsewhere. "
        "Whatever keeps it running starts it again.",
        preview=job_acts.of_worker,
    ),
    "plan_bulk": Act(
        "Look for tasks",
        "light",
        ("do", "query"),
        bulk_acts.plan,
        "Nothing was changed yet: look at what was found.",
        takes=("when",),
    ),
    "start_bulk": Act("Start", "light", ("bulk", "typed"), bulk_acts.start, "It was started."),
    "pause_bulk": Act("Pause", "light", ("bulk",), bulk_acts.pause, "Nothing more is done until somebody goes on."),
    "stop_bulk": Act("Stop", "light", ("bulk",), bulk_acts.stop, "It was stopped; nothing is done to the rest."),
    "undo_bulk": Act("Undo", "light", ("bulk",), bulk_acts.undo, "What can be put back is put back."),
    "continue_bulk": Act("Go on", "light", ("bulk",), bulk_acts.go_on, "Somebody is at it again."),
    "merge": Act("Change payload", "light", (*_TASK, "changes"), job_acts.merge, "The payload is changed."),
    "clone": Act("Clone", "light", _TASK, job_acts.clone, "This is the new task.", takes=("changes", "to")),
    "unlock": Act(
        "Unlock", "medium", ("phone", "lane"), _unlock, "It is unlocked.", "Wrong codes are forgotten.", "people"
    ),
    "resend": Act(
        "Send a code again",
        "medium",
        ("phone",),
        _resend,
        "The application was asked to send it.",
        "A message goes to this phone or address alone, as if its owner had asked, and counts as theirs. Nobody here "
        "sees the code: never ask for it, and send none for somebody who may not be its owner.",
        "people",
    ),
    "revoke": Act("Log out", "medium", ("user", "session"), _revoke, "The session has ended.", _LOST, "people"),
    "revoke_all": Act(
        "Log out everywhere",
        "heavy",
        ("user",),
        _revoke_all,
        "sessions have ended.",
        f"Every session and token of this person ends. {_LOST}",
        "people",
    ),
    "reset_pin": Act(
        "Reset PIN attempts",
        "medium",
        ("user",),
        _reset_pin,
        "The attempts are forgiven.",
        "Only after the person has proved otherwise who they are.",
        "people",
    ),
    "reset_limit": Act(
        "Reset limit",
        "medium",
        ("limit",),
        limit_acts.reset,
        "What was used is forgotten, bans too.",
        "Processes that remember a refusal may repeat it for some seconds.",
        "limits",
        takes=("user", "caller"),
    ),
    "ban": Act(
        "Ban",
        "medium",
        ("caller", "limit", "length"),
        limit_acts.ban,
        "Every call of this caller is refused for that time.",
        "Whatever it used: every call of this caller there is refused for that time. A longer ban becomes this one.",
        "limits",
    ),
    "unban": Act("Lift the ban", "light", ("caller", "limit"), limit_acts.unban, _LIFTED, room="limits"),
    "lift_ban": Act(
        "Lift the ban",
        "medium",
        ("ban",),
        limit_acts.lift,
        _LIFTED,
        "What was used stays used; processes that remember the ban may repeat it for a minute.",
        "limits",
    ),
    "own_limit": Act(
        "Give it a limit of its own",
        "medium",
        ("caller", "limit", "most", "length"),
        limit_acts.bend,
        "The caller has a limit of its own now.",
        "Until that time is over, or it is taken back, this limit stands instead of everybody's.",
        "limits",
    ),
    "common_limit": Act(
        "Take its own limit back",
        "light",
        ("caller", "limit"),
        limit_acts.unbend,
        "Everybody's limit counts for this caller again.",
        room="limits",
    ),
    "delete_entry": Act(
        "Delete entry",
        "medium",
        ("cache", "key"),
        _delete_entry,
        "The entry is gone: who reads it next computes it anew.",
        "No read that starts later gets a value computed before.",
        "cache",
    ),
    "invalidate_tag": Act(
        "Invalidate",
        "medium",
        ("tag",),
        _invalidate_tag,
        "All entries with the tag are gone, in all caches.",
        "However many they are, they are computed anew as they are read.",
        "cache",
    ),
    "release": Act(
        "Release",
        "heavy",
        ("claim", "fence"),
        _release,
        "It is given back: the next request with this key executes.",
        "Its owner is gone, and the effect may have happened, a payment too: ask the provider first. "
        f"Then the next request with this key executes, from the point reached. {_LOST}",
        "idempotency",
    ),
    "close_breaker": Act(
        "Close the breaker",
        "medium",
        ("breaker",),
        _close_breaker,
        "Messages pass again; its hour begins anew.",
        "Messages that nobody asked for pass again as well, and cost money, until it trips anew. "
        f"What the hour says so far is forgotten. {_LOST}",
        "people",
    ),
    "tail": Act(
        "Show its events",
        "light",
        ("channel",),
        _tail,
        "It is listened to for two minutes.",
        room="events",
        takes=("kind",),
    ),
    "fire": Act("Run now", "light", ("entry",), cron_acts.fire, "The entry was fired."),
    "pause_entry": Act("Pause", "light", ("entry",), cron_acts.pause, "The entry is paused."),
    "resume_entry": Act("Resume", "light", ("entry",), cron_acts.resume, "The entry fires again."),
    "edit_entry": Act(
        "Change when it fires",
        "medium",
        ("entry", "spec"),
        cron_acts.edit,
        "The entry fires at other times now.",
        "Schedulers follow within two seconds; its instants count from now on.",
        takes=("timezone", "missed"),
        preview=cron_acts.next_of_changed,
    ),
    "add_entry": Act(
        "Add an entry",
        "medium",
        ("entry", "spec", "type", "queue"),
        cron_acts.add,
        "The entry is stored.",
        "Until it is removed a task of this type is made each time, payments too.",
        takes=("timezone", "missed", "payload"),
        preview=cron_acts.next_of_new,
    ),
    "remove_entry": Act(
        "Remove the entry",
        "heavy",
        ("entry",),
        cron_acts.remove,
        "The entry is gone; what it enqueued stays.",
        f"It fires no more. {_LOST}",
    ),
}
