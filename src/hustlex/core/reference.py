"""How a user appears in key names: ``uref`` in the contracts. One user's keys share the tag ``{<uref>}``: one slot."""

from __future__ import annotations

import re

from hustlex.core import check
from hustlex.core.keyring import Keyring

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
STAND_IN = re.compile(r"[a-z2-7]{26}", re.ASCII)


def user_reference(user_id: check.Id, keyring: Keyring) -> str:
    """The user id itself when it is plain, else a keyed stand-in; never the same for two users.

    Ids that look like a stand-in get one too, so nobody can choose an id that is another user's stand-in.
    Raises Misuse for what ``check.identity`` refuses.
    """
    plain = check.identity("user_id", user_id)
    if _PLAIN.fullmatch(plain) and not STAND_IN.fullmatch(plain):
        return plain
    return keyring.reference(plain)
