"""What an act of the console is done to, as a form names it, and as the audit writes it down."""

from __future__ import annotations

import msgspec

from hustlex.dashboard.request import PageRequest
from hustlex.errors import Misuse
from hustlex.people.notes import written

_MOST_DIGITS = 15


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
    signature: str = ""
    typed: str = ""

    @property
    def places(self) -> dict[str, str]:
        """The queues that it names: an entry of the audit is for whom all of them exist."""
        return {"queue": self.queue} | ({"to": self.to} if self.to else {})

    def written(self, request: PageRequest) -> str:
        """For the audit."""
        return written(msgspec.structs.asdict(self), request.hx.reference, request.show)


def whole_of(text: str) -> int:
    """A number that somebody typed. Raises Misuse for what is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise Misuse("the limit is no number", hint="type a whole number")
    return int(text)
