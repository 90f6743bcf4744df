"""What an act of the console is done to, as a form names it, and as the audit writes it down."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import msgspec

from hustlex.core.keys import tagged
from hustlex.core.redact import What
from hustlex.dashboard.request import PageRequest
from hustlex.errors import Misuse

FIELDS = ("queue", "task", "state", "entry", "user", "session", "phone", "lane", "limit", "bulk", "do", "query",
          "changes", "to", "when", "group", "channel", "kind",
          "cache", "key", "tag", "claim", "fence", "breaker",
          "caller", "ban", "most", "length", "worker",
          "spec", "timezone", "missed", "type", "payload")  # fmt: skip
"""What a target is named by."""
_MOST_DIGITS = 15
PRIVATE = ("user", "phone", "key", "caller")


class Target(msgspec.Struct, frozen=True):
    """What an act is done to. Fields that the act does not need are empty."""

    queue: str = ""
    task: str = ""
    state: str = ""
    entry: str = ""
    user: str = ""
    session: str = ""
    phone: str = ""
    lane: str = ""
    limit: str = ""
    bulk: str = ""
    do: str = ""
    query: str = ""
    changes: str = ""
    to: str = ""
    when: str = ""
    group: str = ""
    channel: str = ""
    kind: str = ""
    cache: str = ""
    key: str = ""
    tag: str = ""
    claim: str = ""
    fence: str = ""
    breaker: str = ""
    caller: str = ""
    ban: str = ""
    most: str = ""
    length: str = ""
    worker: str = ""
    spec: str = ""
    timezone: str = ""
    missed: str = ""
    type: str = ""
    payload: str = ""
    typed: str = ""

    @property
    def places(self) -> dict[str, str]:
        """The queues that it names: an entry of the audit is for whom all of them exist."""
        return {"queue": self.queue} | ({"to": self.to} if self.to else {})

    def written(self, request: PageRequest) -> str:
        """For the audit: a person stands there under the keyed stand-in of key names and logs, of a payload the names
        of what changes, and a search without what looks like a secret."""
        given = [(name, getattr(self, name)) for name in FIELDS if getattr(self, name)]
        return " ".join(f"{name}={_written(request, name, value)}" for name, value in given)


def _written(request: PageRequest, name: str, value: str) -> str:
    if name in PRIVATE:
        return request.hx.reference(value)
    if name == "ban":
        return request.hx.reference(unquote(tagged(value)) or "?")
    if name in ("changes", "payload"):
        with suppress(Misuse):
            return ",".join(sorted(changes_of(value)))
        return "?"
    kinds: dict[str, Any] = {"query": "audit", "group": "group", "channel": "audit", "tag": "audit",
                              "spec": "audit", "timezone": "audit", "type": "audit"}  # fmt: skip
    return str(request.show(What(kinds[name], value)).value) if name in kinds else value


def whole_of(text: str) -> int:
    """A number that somebody typed. Raises Misuse for what is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise Misuse("the limit is no number", hint="type a whole number")
    return int(text)


def changes_of(text: str) -> dict[str, Any]:
    """What is to be merged into a payload. Raises Misuse for anything but a JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Misuse("changes is no JSON object", hint='write what changes, as {"gig_id": 8}; null takes a name out')
    return found
