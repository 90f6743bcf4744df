"""Who is limited: users, keys, addresses and everybody, none of whom may pass for another."""

from __future__ import annotations

import re
from typing import Literal

from hustlex.core import check

_TAKEN = re.compile(r"global|(?:ip|user|key):.*", re.DOTALL)


def caller_of(who: Literal["user", "key"], identity: check.Id) -> str:
    """The identity of a user, or of an API key's owner: its id as it is, unless that reads as another kind of caller.

    A user called ``global`` or ``ip:203.0.113.7`` would share the count of everybody, or of that address: they are
    ``user:global`` and ``user:ip:203.0.113.7``. Raises Misuse.
    """
    plain = check.identity(check.one_of("who", who, ("user", "key")), identity)
    return f"{who}:{plain}" if _TAKEN.fullmatch(plain) else plain
