"""What operators did, as the console and the command line write it down: before each act, and again when it is over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from hustlex.core.keys import tagged
from hustlex.core.logs import logger
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.core.redact import What
from hustlex.core.reference import STAND_IN
from hustlex.errors import Misuse

Phase = Literal["intent", "done", "failed", "refused", "signed in"]
Via = Literal["web", "cli"]

FIELDS = ("queue", "task", "state", "entry", "user", "session", "phone", "lane", "limit", "bulk", "do", "query",
          "changes", "to", "when", "group", "channel", "kind",
          "cache", "key", "tag", "claim", "fence", "breaker",
          "caller", "ban", "most", "length", "worker",
          "spec", "timezone", "missed", "type", "payload", "signature")  # fmt: skip
"""What a target is named by."""
PRIVATE = ("user", "phone", "key", "caller")
"""Of these, what names a person."""
_WORDS: Mapping[str, Any] = {"query": "audit", "group": "group", "channel": "audit", "tag": "audit", "spec": "audit",
                             "timezone": "audit", "type": "audit"}  # fmt: skip
"""Of these, what somebody may have written a secret into, and what kind of a value that is."""
ROOMS: Mapping[str, str] = {"publish": "events"}
"""Of verbs that have no button, the rooms, where these are not jobs."""
_ID = re.compile(r"\d{1,18}-\d{1,18}", re.ASCII)
_MOST_ENTRIES = 20_000
_MOST_BETWEEN = 100
_log = logger("hustlex.audit")


class AuditEntry(msgspec.Struct, frozen=True):
    """One thing that somebody did, or tried."""

    id: str
    """``<Unix ms>-<n>``: when it was written down."""
    fields: dict[str, str]


def note(prefix: str, fields: Mapping[str, str]) -> Op[str]:
    """Write one entry of the audit; answers its id. About the newest 20,000 are kept; each goes to the log
    ``hustlex.audit``, too."""
    key = audit_key(prefix)
    pairs = [part for pair in fields.items() for part in pair]

    def decode(reply: Reply) -> str:
        made = str(reply.decode())
        _log.info("%s", json.dumps({"id": made, **fields}, ensure_ascii=True))
        return made

    return command(
        "console.note", Effect.ONCE, "XADD", key, "MAXLEN", "~", _MOST_ENTRIES, "*", *pairs, keys=(key,), decode=decode
    )


def entry(name: str, via: Via, phase: Phase, verb: str, target: str, **more: str) -> dict[str, str]:
    """Its fields. name: who it is. target: see ``written``."""
    return {"name": name, "via": via, "phase": phase, "verb": verb, "target": target, "queue": "", **more}


def written(given: Mapping[str, str], reference: Callable[[str], str], show: Callable[[What], Any]) -> str:
    """A target, as ``queue=mail task=7``: a person stands there under the keyed stand-in of key names and logs, of a
    payload the names of what changes, and what looks like a secret not at all."""
    parts = [part for name in FIELDS if given.get(name) for part in _written(name, given[name], reference, show)]
    return " ".join(parts)


def _written(name: str, value: str, reference: Callable[[str], str], show: Callable[[What], Any]) -> Iterator[str]:
    if name in PRIVATE:
        yield f"{name}={reference(value)}"
    elif name == "ban":
        yield f"ban={_person_of(value, reference)}"
    elif name == "claim":
        yield stand_in(value, reference)
    elif name in ("changes", "payload"):
        yield f"{name}={_names(value)}"
    elif name in _WORDS:
        yield f"{name}={show(What(_WORDS[name], value)).value}"
    else:
        yield f"{name}={value}"


def stand_in(claim: str, reference: Callable[[str], str]) -> str:
    """What stands there for a claim, whose record names a person."""
    if "idem:{" not in claim:
        return f"claim={claim}"
    return f"user={_person_of(claim, reference)} claim={claim.partition('}:')[2]}"


def _person_of(key: str, reference: Callable[[str], str]) -> str:
    """Keys hold a plain id as it is, and of others the stand-in already."""
    person = tagged(key)
    return person if STAND_IN.fullmatch(person) else reference(unquote(person) or "?")


def _names(text: str) -> str:
    try:
        return ",".join(sorted(changes_of(text)))
    except Misuse:
        return "?"


def changes_of(text: str) -> dict[str, Any]:
    """What is to be merged into a payload. Raises Misuse for anything but a JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Misuse("changes is no JSON object", hint='write what changes, as {"gig_id": 8}; null takes a name out')
    return found


class Endings:
    """Of entries that come newest first: that an act was begun is told where its end is not."""

    def __init__(self, ended: Iterable[str] = ()) -> None:
        """ended: acts whose end was told before these."""
        self._ended = set(ended)

    def supersede(self, entry: AuditEntry) -> bool:
        """Whether how its act ended was told already."""
        self._ended.add(entry.fields.get("of", ""))
        return entry.id in self._ended


def is_id(text: str) -> bool:
    """Whether an entry could have it, which is what a page of the audit goes on behind."""
    return _ID.fullmatch(text) is not None


def notes(
    prefix: str, before: str, count: int, since_ms: int | None = None, until_ms: int | None = None
) -> Op[list[AuditEntry]]:
    """Entries of the audit, newest first. before: the id after which to go on, "" = from the newest. since_ms,
    until_ms: Unix times of the oldest and the newest."""
    key = audit_key(prefix)
    newest = f"({before}" if before else "+" if until_ms is None else str(until_ms)
    oldest = "-" if since_ms is None else str(since_ms)
    return command(
        "console.notes", Effect.READ, "XREVRANGE", key, newest, oldest, "COUNT", count,
        keys=(key,), decode=_entries,
    )  # fmt: skip


def ended(prefix: str, after: str) -> Op[list[str]]:
    """Of the hundred entries that were written down just after this one: ids of the acts whose end they tell."""
    key = audit_key(prefix)
    return command(
        "console.notes", Effect.READ, "XRANGE", key, f"({after}", "+", "COUNT", _MOST_BETWEEN, keys=(key,),
        decode=lambda reply: [entry.fields["of"] for entry in _entries(reply) if "of" in entry.fields],
    )  # fmt: skip


def audit_key(prefix: str) -> str:
    """The stream's key."""
    return f"{prefix}console:{{audit}}"


def _entries(reply: Reply) -> list[AuditEntry]:
    return [AuditEntry(entry.decode(), _pairs(fields)) for entry, fields in reply or ()]


def _pairs(fields: Reply) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
