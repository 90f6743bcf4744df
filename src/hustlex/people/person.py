"""What the rooms know of one person, as far as who asks may see: at most 50 commands, and nothing is charged.

A user's id and a phone go to the rooms' inspectors; what is shown of them is a keyed stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from hustlex.errors import Misuse
from hustlex.events.names import ChannelTemplate
from hustlex.idempotency import ClaimPage
from hustlex.jobs import FoundTasks
from hustlex.jobs.search import match
from hustlex.jobs.search.query import quoted
from hustlex.otp import Email, PhoneState
from hustlex.otp.names import CountedLane
from hustlex.people.notes import AuditEntry, notes
from hustlex.pins import PinState
from hustlex.ratelimit import Decision, PenaltyState, Policy, Rule, Rulebook, caller_of
from hustlex.tokens import EndedSession, UserState

if TYPE_CHECKING:
    from hustlex.app import HustleX

Rules = Rulebook | tuple[Rule, ...]
"""What the application declares of limits; those of a Rulebook may change."""
PATH_OF_USER = "payload.user_id"
_PATH = re.compile(r"(?:payload|result|header)(?:\.[A-Za-z0-9_-]+)+")
_MOST_LIMITS, _MOST_CHANNELS, _MOST_NOTES, _MOST_TASKS = 5, 3, 500, 50


class PersonSight(msgspec.Struct, frozen=True, kw_only=True):
    """What who asks may see, and what the application declares of its limits and channels."""

    sees_room: Callable[[str], bool] = lambda _: True
    sees_queue: Callable[[str], bool] = lambda _: True
    sees_note: Callable[[Mapping[str, str]], bool] = lambda _: True
    """Of an entry of the audit."""
    view: match.View | None = None
    """What a search may look into; None = all of it."""
    rules: Rules = ()
    channels: tuple[ChannelTemplate, ...] = ()
    place: str = ""
    """Where tasks name a user; then they are looked for, and what stands for the user in other rooms is not."""
    after: str = ""
    """Where the search for tasks goes on."""
    claims_after: str = ""
    """Where the search for claims goes on."""


class PersonLimit(msgspec.Struct, frozen=True):
    """Rules that are judged together, and what is left of them."""

    name: str
    """As the act that resets it takes it."""
    decision: Decision
    """What the next call would be answered."""
    marks: tuple[PenaltyState, ...]
    """Bans, and limits of their own."""
    bannable: bool = False
    """Whether one of the policies has a penalty, where bans stand."""
    bendable: bool = False
    """Whether the caller may have a limit of its own."""


class PersonState(msgspec.Struct, frozen=True):
    """All of it. None, or nothing: not asked for, or a room that does not exist for the operator."""

    user: str = ""
    reference: str = ""
    """The user's stand-in."""
    sessions: UserState | None = None
    ended: tuple[EndedSession, ...] = ()
    pin: PinState | None = None
    codes: PhoneState | None = None
    sends: dict[CountedLane, tuple[datetime, ...]] = {}
    limits: tuple[PersonLimit, ...] = ()
    limits_left: int = 0
    """Of those that are not shown."""
    claims: ClaimPage | None = None
    channels: tuple[tuple[str, int], ...] = ()
    """The name of each, and how many connections listen to it."""
    tasks: FoundTasks | None = None
    notes: tuple[AuditEntry, ...] = ()


async def look_up(hx: HustleX, sight: PersonSight, user: str, phone: str) -> PersonState:
    """What stands for a user, a phone, or both. Raises Misuse for a phone that is not served."""
    found = PersonState(user=user, reference=hx.reference(user) if user else "")
    if phone:
        to = destination(phone)
        codes, sends = await hx.otp.inspector.phone(to), await hx.otp.inspector.sends(to)
        found = msgspec.structs.replace(found, codes=codes, sends=sends)
    if user:
        tokens = hx.tokens.inspector
        sessions, ended, pin = await tokens.user(user), await tokens.ended(user), await hx.pins.inspector.user(user)
        found = msgspec.structs.replace(found, sessions=sessions, ended=ended, pin=pin)
        if sight.place:
            found = msgspec.structs.replace(found, tasks=await tasks_of(hx, sight, user))
        else:
            found = await _of_other_rooms(hx, sight, found, user)
    return msgspec.structs.replace(found, notes=await _notes(hx, sight, user, phone, found.codes))


async def _of_other_rooms(hx: HustleX, sight: PersonSight, found: PersonState, user: str) -> PersonState:
    """Limits, claims and channels: a search for tasks would not leave enough commands for them."""
    sees = sight.sees_room
    groups = limit_groups(sight.rules) if sees("limits") else {}
    names = list(groups)[:_MOST_LIMITS]
    limits = [await limit_of(hx, name, groups[name], user) for name in names]
    claims = None
    if sees("idempotency"):
        claims = await hx.idempotency.inspector.of_principal(user, cursor=sight.claims_after)
    channels = list[tuple[str, int]]()
    for template in sight.channels[:_MOST_CHANNELS] if sees("events") else ():
        with suppress(Misuse):  # an id that cannot stand in a channel's name as it is
            name = template.name({"user": user})
            channels.append((name, await hx.events.inspector.listeners(name)))
    return msgspec.structs.replace(
        found, limits=tuple(limits), limits_left=len(groups) - len(names), claims=claims, channels=tuple(channels)
    )


def destination(text: str) -> str | Email:
    """A phone, or an e-mail address."""
    return Email(text) if "@" in text else text


def declared_limits(rules: Rules) -> dict[str, tuple[Rule, ...]]:
    """Rules by what is judged together, as the middleware does it; each name says whom they limit, if not users."""
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in rules.rules if isinstance(rules, Rulebook) else rules:
        place = f"{rule.endpoint} (places)" if rule.policy.algorithm == "leases" else rule.endpoint
        name = place + {"user": "", "global": " for everybody"}.get(rule.who, f" per {rule.who}")
        found[name] = (*found.get(name, ()), rule)
    return found


def limit_groups(rules: Rules) -> dict[str, tuple[Rule, ...]]:
    """Of these, the limits per user."""
    return {name: each for name, each in declared_limits(rules).items() if each[0].who == "user"}


def limited(rule: Rule, who: str) -> str:
    """The identity that a rule counts, of a user, a key or an address as it is typed."""
    if rule.who == "global":
        return "global"
    return f"ip:{who}" if rule.who == "ip" else caller_of(rule.who, who)


async def limit_of(hx: HustleX, name: str, rules: Sequence[Rule], who: str, *, endpoint: str = "") -> PersonLimit:
    """What is left of these rules for a caller. endpoint: default the rules' own."""
    room, identity, endpoint = hx.ratelimit, limited(rules[0], who), endpoint or rules[0].endpoint
    policies = tuple(rule.policy for rule in rules)
    decision = await room.peek(policies, identity, endpoint=endpoint)
    marks = await room.inspector.caller(policies, identity, endpoint=endpoint)
    return PersonLimit(name, decision, marks, any(each.penalty for each in policies), bendable(rules) is not None)


def bendable(rules: Sequence[Rule]) -> Policy | None:
    """The policy of which a caller may have a limit of its own; None when there is not exactly one."""
    found = [rule.policy for rule in rules if rule.policy.overridable]
    return found[0] if len(found) == 1 else None


async def tasks_of(hx: HustleX, sight: PersonSight, user: str) -> FoundTasks | None:
    """Tasks that name the user at its place, of queues that exist for who asks. Raises Misuse for a place where no
    search looks."""
    if not sight.sees_room("jobs"):
        return None
    if not _PATH.fullmatch(sight.place):
        raise Misuse("this is no place in a task", hint=f"as {PATH_OF_USER}, result.user or header.user")
    inspector = hx.jobs.inspector
    queues = [name for name in await inspector.queues() if sight.sees_queue(name)]
    query = f"{sight.place}={quoted(user)}"
    return await inspector.search(query, queues=queues, cursor=sight.after, size=_MOST_TASKS, view=sight.view)


async def _notes(
    hx: HustleX, sight: PersonSight, user: str, phone: str, codes: PhoneState | None
) -> tuple[AuditEntry, ...]:
    """What operators did about this person, among the newest entries."""
    if not sight.sees_room("audit"):
        return ()
    given = {f"{name}={hx.reference(user)}" for name in ("user", "caller", "ban")} if user else set[str]()
    if phone:
        given |= {f"phone={hx.reference(phone)}", f"phone={codes.ref if codes else ''}"}
    entries = await hx.driver.run(notes(hx.prefix, "", _MOST_NOTES))
    return tuple(
        each
        for each in entries
        if given & set(each.fields.get("target", "").split())
        and each.fields.get("phase") != "intent"
        and sight.sees_note(each.fields)
    )
