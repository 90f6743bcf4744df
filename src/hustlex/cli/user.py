"""``hustlex user``: what stands for one person, over all rooms: the same as on the console's page *People*."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from hustlex.cli.client import Prefix, Url, listening
from hustlex.cli.hidden import view, visible
from hustlex.cli.limit import rules_of
from hustlex.cli.otp import print_phone
from hustlex.cli.output import AsJson, print_fields, print_json, print_table, typed
from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.events.names import ChannelTemplate
from hustlex.people.person import PATH_OF_USER, PersonSight, PersonState, destination, look_up, tasks_of
from hustlex.people.timeline import TimelineEntry, answers, timeline

user = typer.Typer(no_args_is_help=True)

_PHONE = re.compile(r"\+[0-9 ()-]{7,24}|[^@\s]+@[^@\s]+")


@user.callback()
def group() -> None:
    """One person: sessions, PIN, codes, limits, keys, tasks, and a timeline that says why."""


@user.command()
def show(
    who: Annotated[str, typer.Argument(metavar="PHONE", help="Their id or phone; - reads it from standard input")],
    phone: Annotated[
        str | None, typer.Option("--phone", help="Their phone or mail, where that is not the id; - reads it")
    ] = None,
    rules: Annotated[
        list[str] | None, typer.Option("--rule", help="A limit per user, or a file of rules: what is left of it")
    ] = None,
    channels: Annotated[
        list[str] | None, typer.Option("--channel", help="A channel of theirs, as users:{user}: who listens")
    ] = None,
    place: Annotated[str, typer.Option(help="Where tasks name a user, as header.user")] = PATH_OF_USER,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """What explains what they call about, and a timeline: sessions, PIN, limits, keys of payments, tasks, what
    operators did; of a phone also lanes, locks and open codes.

    Example: echo +2348031234567 | hustlex user show -
    """
    user_id = check.identity("user", typed(who))
    address = user_id if phone is None else typed(phone)
    sight = PersonSight(
        rules=tuple(rule for text in rules or () for rule in rules_of(text)),
        channels=tuple(map(_template, channels or ())), view=view(reveal=False), place=place,
    )  # fmt: skip
    found = asyncio.run(_look(url, prefix, sight, user_id, _phone(address, given=phone is not None)))
    if as_json:
        print_json("user/1", _plain(found))
    else:
        _print(found)


def _template(text: str) -> ChannelTemplate:
    found = ChannelTemplate(text)
    if found.parameters != {"user"}:
        raise Misuse(f"--channel {text!r} is no channel of one user", hint="as users:{user}")
    return found


def _phone(address: str, *, given: bool) -> str:
    """ "" for an id that is no phone. given: it was said to be one."""
    return address if given or _PHONE.fullmatch(address) else ""


async def _look(url: str | None, prefix: str | None, sight: PersonSight, user_id: str, phone: str) -> PersonState:
    async with listening(url, prefix) as hx:
        if phone == user_id:
            try:
                await hx.otp.inspector.phone(destination(phone))
            except Misuse:
                phone = ""
        found = await look_up(hx, msgspec.structs.replace(sight, place=""), user_id, phone)
        return msgspec.structs.replace(found, tasks=await tasks_of(hx, sight, user_id))


def _plain(found: PersonState) -> dict[str, Any]:
    assert found.sessions is not None
    tasks = found.tasks.tasks if found.tasks else ()
    entries = timeline(found, datetime.now(UTC))
    return {
        "reference": found.reference,
        "sessions": found.sessions.sessions,
        "revoked_before": found.sessions.revoked_before,
        "ended": found.ended,
        "pin": found.pin,
        "codes": found.codes,
        "limits": [{"name": each.name, "allowed": each.decision.allowed, "outcome": each.decision.outcome,
                    "policies": each.decision.per_policy, "marks": each.marks} for each in found.limits],
        "claims": found.claims,
        "channels": [{"name": name, "listeners": number} for name, number in found.channels],
        "tasks": [{"id": each.id, "queue": each.queue, "type": each.type, "state": each.state} for each in tasks],
        "answers": answers(found),
        "timeline": [{"at": each.at, "room": each.room, "state": each.state, "words": _words(each)}
                     for each in entries],
    }  # fmt: skip


def _words(entry: TimelineEntry) -> str:
    return f"{entry.words} {visible(entry.kind, entry.about)}".rstrip()


def _print(found: PersonState) -> None:
    assert found.sessions is not None
    assert found.pin is not None
    devices = [f"{each.device or each.client_id} ({each.last_network or 'network unknown'})"
               for each in found.sessions.sessions]  # fmt: skip
    print_fields({"reference": found.reference, "sessions": devices, "revoked before": found.sessions.revoked_before,
                  "wrong PINs": found.pin.wrong, "PIN locked for": found.pin.locked_for})  # fmt: skip
    if found.codes is not None:
        print()
        print_phone(found.codes)
    for each in answers(found):
        if each.sentences:
            print(f"\n{each.question}:")
            print("\n".join(f"  {sentence}" for sentence in each.sentences))
    _section(("limit", "policy", "left", "of", "retry after"), [
        (limit.name, each.policy, each.remaining, each.limit, each.retry_after)
        for limit in found.limits for each in limit.decision.per_policy
    ])  # fmt: skip
    _section(("channel", "listeners"), list(found.channels))
    tasks = found.tasks.tasks if found.tasks else ()
    _section(("task", "queue", "type", "state"), [(each.id, each.queue, each.type, each.state) for each in tasks])
    entries = timeline(found, datetime.now(UTC))
    _section(("when", "room", "state", "what"), [(each.at, each.room, each.state, _words(each)) for each in entries])
    if found.claims is not None and found.claims.cursor:
        print(f"\nlooked for keys at {found.claims.looked_at:,} keys of the server, not at all")


def _section(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        print()
        print_table(heads, rows)
