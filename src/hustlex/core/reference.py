"""How a user appears in key names: ``uref`` in the contracts. One user's keys share the tag ``{<uref>}``: one slot."""

from __future__ import annotations

import re

from hustlex.core.keyring import Keyring
from hustlex.errors import Misuse

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_STAND_IN = re.compile(r"[a-z2-7]{26}", re.ASCII)
_LONGEST_USER_ID = 255


def user_reference(user_id: str, keyring: Keyring) -> str:
    """The user id itself when it is plain, else a keyed stand-in; never the same for two users.

    Ids that look like a stand-in get one too, so nobody can choose an id that is another user's stand-in.
    Raises Misuse for an empty id, one over 255 characters, or text that is not Unicode.
    """
    if not 0 < len(user_id) <= _LONGEST_USER_ID:
        raise Misuse(f"a user id has 1 to {_LONGEST_USER_ID} characters, not {len(user_id)}")
    if _PLAIN.fullmatch(user_id) and not _STAND_IN.fullmatch(user_id):
        return user_id
    try:
        return keyring.reference(user_id)
    except UnicodeEncodeError:
        raise Misuse("a user id must be valid Unicode text") from None
