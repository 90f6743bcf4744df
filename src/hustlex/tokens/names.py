"""How users and sessions appear in key names. One user's keys share the tag ``{<uref>}``: one slot."""

from __future__ import annotations

import re

_RANDOM = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


def is_random_id(text: str) -> bool:
    """Whether this room could have drawn it: 128 bits, base64url."""
    return _RANDOM.fullmatch(text) is not None


class Keys:
    """Key names of one user."""

    def __init__(self, prefix: str, uref: str) -> None:
        self._prefix = prefix
        self._tag = f"{{{uref}}}"
        self.index = f"{prefix}sessions:{self._tag}"
        self.marker = f"{prefix}jwt:revoked_before:{self._tag}"

    def record(self, sid: str) -> str:
        """A session's own fields."""
        return f"{self._prefix}session:{self._tag}:{sid}"

    def data(self, sid: str) -> str:
        """The application's fields of a session; apart, so that they can never overwrite its own."""
        return f"{self._prefix}session:{self._tag}:{sid}:d"

    def blacklist(self, jti: str) -> str:
        """Present while an access token is forbidden. A jti carries the user's tag."""
        return f"{self._prefix}jwt:blacklist:{jti}"
