"""What a client's key may be, and where its record lies. One user's records, and one provider's, share a slot."""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec.structs import force_setattr

from hustlex.core import check
from hustlex.core.keys import component, tag
from hustlex.errors import Misuse

_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_METHOD = re.compile(r"[A-Za-z]{1,32}", re.ASCII)
_LONGEST_EVENT = 512
_LONGEST_ROUTE = 2048


class Scope(msgspec.Struct, frozen=True):
    """Where a key counts: the same key of another user, method or route is another key. Raises Misuse."""

    principal: check.Id
    """Who asks, 1 to 255 characters, as a user id; equal ids are one, as ``7`` and ``"7"``."""
    method: str
    """Letters, as ``POST``; outside HTTP any verb."""
    route: str
    """The template, as ``/transfers/{id}``, never the raw path."""
    target: str = ""
    """The raw path and query, which a key is good for as it is for one body: sent to another account, it is another
    request."""

    def __post_init__(self) -> None:
        force_setattr(self, "principal", check.identity("principal", self.principal))
        force_setattr(self, "route", check.identity("route", self.route, longest=_LONGEST_ROUTE))
        check.instance("target", self.target, str)
        if not _METHOD.fullmatch(check.text("method", self.method)):
            raise Misuse("a scope's method is 1 to 32 letters", hint="as POST; outside HTTP any verb")


def read_key(key: check.Id) -> str | None:
    """The key of an ``Idempotency-Key`` header: a structured-field string or bare, 1 to 255 visible ASCII characters.

    None for any other text: what a client sends never raises. Raises Misuse for what cannot come from a client.
    """
    text = key if type(key) is str else check.identity("key", key)
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    return text if _KEY.fullmatch(text) else None


def record_of(prefix: str, uref: str, scope: Scope, key: str) -> str:
    """The record of a request's key. The digest keeps what clients choose out of key names."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{prefix}idem:{{{uref}}}:{component(f'{scope.method.upper()} {scope.route}')}:{digest}"


def event_record(prefix: str, provider: str, event_id: check.Id) -> str | None:
    """The record of a provider's event; None for a text that cannot be an id. Raises Misuse for what is no text."""
    text = event_id if type(event_id) is str else check.identity("event_id", event_id)
    if not 0 < len(text) <= _LONGEST_EVENT:
        return None
    return f"{prefix}webhook:{tag(provider)}:{component(text)}"
