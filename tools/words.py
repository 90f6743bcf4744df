"""One word for one thing: what parameters and fields of the public surface are called, in every room alike.

``python -m tools.words`` lists them by room. ``make check`` refuses a synonym, by the listing of ``tools/surface.py``.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator

from tools import surface

SYNONYMS = {
    "ttl": "life lifetime lives expiry keep",
    "timeout": "budget patience within",
    "key": "idem",
    "user_id": "uid userid user subject",
    "ip": "address addr",
    "max_...": "largest biggest most maximum",
    "task_id": "tid job_id",
}
"""By the word to use, those that mean it too."""
PARTS = frozenset(["life", "lifetime", "budget", "idem", "uid", "largest", "biggest", "most"])
"""Of them those that are refused as a part of a name, too, as in ``device_life``."""
_A_PERSON = "a phone's or an address' keyed stand-in, no user's id"
_FROM_PLACEHOLDERS = "beside values of a name's placeholders, one of which may well be called so"
EXCEPTIONS = {
    "delivery.Message.subject": "of an e-mail",
    "delivery.Texts.subject": "of an e-mail",
    "diagnostics.ServerFacts.user": "of the server's ACL",
    "events.Member.user": _FROM_PLACEHOLDERS,
    "events.Presence.enter.user": _FROM_PLACEHOLDERS,
    "events.Presence.join.user": _FROM_PLACEHOLDERS,
    "events.ReplayChannel.publish.idem": _FROM_PLACEHOLDERS,
    "jobs.Periodic.passed.most": "asked by the scheduler: how many of them",
    "otp.Cap.most": "read aloud: at most 100 per hour",
    "otp.Country.budget": "money",
    "otp.Email.address": "an e-mail address",
    "otp.Granted.subject": _A_PERSON,
    "otp.OtpEvent.subject": _A_PERSON,
    "otp.ScopeState.budget": "money",
    "otp.ScopeState.most": "of the Cap",
    "otp.Verified.subject": _A_PERSON,
    "web.Proof.subject": _A_PERSON,
    "web.ResponseCache.__init__.user": "a function that says who it is",
    "web.by_strict_user.user": "FastAPI's: the user itself",
    "web.by_user.user": "FastAPI's: the user itself",
    "web.recently.within": "an age of the login, nobody waits",
    "web.sse_response.lifetime": "of an open stream, nothing is kept",
}
"""Where another word is right, each with its reason: ``room.Class.method.parameter`` or ``room.Class.field``."""
_WRONG = {wrong: right for right, words in SYNONYMS.items() for wrong in words.split()}
_PARAMETER = re.compile(r"(?:\(|, )\*{0,2}(\w+): ")
_FIELD = re.compile(r"hustlex\.([\w.]+)\.(\w+): ")


def named(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """``("otp.Otp.issue", "phone")`` for each parameter, and ``("otp.Policy", "ttl")`` for each field."""
    for line in lines:
        head = surface.name_of(line).removeprefix("hustlex.")
        if field := _FIELD.match(line):
            yield field[1], field[2]
        elif "(" in line and not line.startswith("class "):
            yield from ((head, name) for name in _PARAMETER.findall(line.partition(") -> ")[0]))


def synonyms(lines: Iterable[str]) -> list[str]:
    """A sentence for each name that another word is for, and for each exception that is not met any more."""
    found, met = [], set()
    for owner, name in named(lines):
        for right in {_WRONG[word] for word in (name, *PARTS.intersection(name.split("_"))) if word in _WRONG}:
            met.add(f"{owner}.{name}")
            if f"{owner}.{name}" not in EXCEPTIONS:
                found.append(f"hustlex.{owner}: {name} means {right}: call it so")
    return found + [f"{name}: is not met any more; take it off the list" for name in EXCEPTIONS if name not in met]


def main() -> int:
    rooms: dict[str, set[str]] = defaultdict(set)
    for owner, name in named(surface.lines()):
        rooms[owner.partition(".")[0]].add(name)
    print("\n".join(f"{room}: {', '.join(sorted(names))}" for room, names in sorted(rooms.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
