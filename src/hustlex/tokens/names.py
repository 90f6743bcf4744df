"""How users and sessions appear in key names. One user's keys share the tag ``{<uref>}``: one slot."""

from __future__ import annotations

import hashlib
import re

from hustlex.core import check
from hustlex.core.addresses import network
from hustlex.errors import Misuse

_RANDOM = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


def is_random_id(text: str) -> bool:
    """Whether this room could have drawn it: 128 bits, base64url."""
    return _RANDOM.fullmatch(text) is not None


def sid_of(session_id: check.Id) -> str:
    """A session's id as text, "" for what cannot be one: it may come from a URL. Raises Misuse for what is no text."""
    text = session_id if type(session_id) is str else check.identity("session_id", session_id)
    return text if is_random_id(text) else ""


def network_of(address: str) -> str:
    """The network an address is in, IPv4 as its /24 and IPv6 as its /48: coarse enough to be kept. "" stays "".

    Raises Misuse for what is no address.
    """
    check.instance("ip", address, str)
    if not address:
        return ""
    try:
        return str(network(address, v4=24, v6=48))
    except ValueError:
        raise Misuse("an address is an IPv4 or IPv6 address", hint="pass the client's, as the server saw it") from None


def proof_key(prefix: str, jkt: str, jti: str, url: str) -> str:
    """Present while a proof of possession may not be taken again. Clients choose the jti: only its hash is kept."""
    name = hashlib.sha256(f"{jti}\0{url}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{prefix}dpop:{{{jkt}}}:{name}"


class UserKeys:
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
