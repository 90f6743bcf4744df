"""Refresh tokens as text, and the chain they form. Pure.

Each token's successor is computed from it, so whoever shows a token again within the grace is given the same
successor, although Redis holds only hashes. A random salt, stored with the session and overwritten by the next
rotation, keeps an old token together with a leaked key from being enough to walk the chain.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from hustlex.core import check
from hustlex.core.keyring import KID, Keyring
from hustlex.errors import BadReply

_FORM = re.compile(
    rf"hxr1\.({KID})\.([A-Za-z0-9_-]{{1,40}})\.([A-Za-z0-9_-]{{22}})\.([1-9][0-9]{{0,9}})"
    r"\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})",
    re.ASCII,
)


class RefreshToken(msgspec.Struct, frozen=True, eq=False):
    """What a refresh token says."""

    version: str
    """Kid of the root that tags it and derives its successor."""
    uref: str
    """The user's stand-in in key names."""
    sid: str
    """The session's id."""
    gen: int
    """Place in the chain, from 1."""
    secret: bytes
    """32 bytes."""

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("sid", self.sid), ("gen", self.gen)]

    def __repr__(self) -> str:
        return f"RefreshToken(sid={self.sid!r}, gen={self.gen})"


class Chain:
    """Everything about refresh tokens that needs the keyring. kid: names the secret of new ones."""

    def __init__(self, keyring: Keyring) -> None:
        self.kid = keyring.kid
        self._by_kid = {self.kid: self} | {old.kid: Chain(old) for old in keyring.old}
        self._tag_key = keyring.key("rt-tag")
        self._next_key = keyring.key("rt-next")

    def write(self, token: RefreshToken) -> str:
        """The token as the client holds it, with a tag over all of it. Raises BadReply when its root is not listed."""
        body = f"hxr1.{token.version}.{token.uref}.{token.sid}.{token.gen}.{_text(token.secret)}"
        return f"{body}.{self._of(token)._tag(body)}"

    def read(self, text: str) -> RefreshToken | None:
        """None for anything but a token that this issuer wrote: a guessed or edited one never reaches Redis."""
        check.instance("refresh_token", text, str)
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        chain, (body, _, tag) = self._by_kid.get(found[1]), text.rpartition(".")
        if chain is None or not hmac.compare_digest(tag, chain._tag(body)):
            return None
        return RefreshToken(found[1], found[2], found[3], int(found[4]), urlsafe_b64decode(found[5] + "="))

    def successor(self, token: RefreshToken, salt: bytes, version: str = "") -> RefreshToken:
        """The one token that follows under this salt. version: of the keys for the one after, by default those in use.

        Raises BadReply when the token's own secret is not listed.
        """
        gen = token.gen + 1
        message = b"\0".join((b"rt-next", token.sid.encode(), str(gen).encode(), token.secret + salt))
        secret = hmac.digest(self._of(token)._next_key, message, hashlib.sha256)
        return RefreshToken(version or self.kid, token.uref, token.sid, gen, secret)

    def _of(self, token: RefreshToken) -> Chain:
        chain = self._by_kid.get(token.version)
        if chain is None:
            raise BadReply(
                "the token is of a secret that is not listed",
                op="tokens.refresh",
                hint="bring a new secret to every process before it is used, see docs/guides/secrets.md",
            )
        return chain

    def _tag(self, body: str) -> str:
        return _text(hmac.digest(self._tag_key, b"rt-tag\0" + body.encode(), hashlib.sha256)[:16])

    def __repr__(self) -> str:
        return "Chain(...)"


def fingerprint(secret: bytes) -> bytes:
    """What Redis holds of a secret. 256 random bits need no slow hash."""
    return hashlib.sha256(secret).digest()


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
