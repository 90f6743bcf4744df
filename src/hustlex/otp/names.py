"""Challenges and grants as text, and the names of all keys. One phone's keys share the tag ``{<ref>}``: one slot."""

from __future__ import annotations

import hashlib
import re

import msgspec

from hustlex.otp.codes import text_of

LANE = "anon"
"""Wrong codes and locks are counted per lane; strangers share this one."""

_CHALLENGE = re.compile(r"oc1\.([a-z2-7]{26})\.([a-z][a-z0-9_]{0,31})\.([A-Za-z0-9_-]{22})", re.ASCII)
_GRANT = re.compile(r"og1\.([a-z2-7]{26})\.([A-Za-z0-9_-]{22})", re.ASCII)


class Challenge(msgspec.Struct, frozen=True):
    """ref: keyed stand-in for the phone. cid: 128 random bits, known only to whoever asked for the code."""

    ref: str
    purpose: str
    cid: str

    def text(self) -> str:
        return f"oc1.{self.ref}.{self.purpose}.{self.cid}"


class Grant(msgspec.Struct, frozen=True):
    """secret: 128 bits. Redis holds only its hash, so a look into Redis yields no grant that could be used."""

    ref: str
    secret: str

    def text(self) -> str:
        return f"og1.{self.ref}.{self.secret}"


def parse_challenge(text: str) -> Challenge | None:
    """None for anything this room never wrote."""
    found = _CHALLENGE.fullmatch(text)
    return Challenge(found[1], found[2], found[3]) if found else None


def parse_grant(text: str) -> Grant | None:
    """None for anything this room never wrote."""
    found = _GRANT.fullmatch(text)
    return Grant(found[1], found[2]) if found else None


class Keys:
    """Key names of one phone."""

    def __init__(self, prefix: str, ref: str) -> None:
        self._root = f"{prefix}otp:{{{ref}}}"
        self.sends = f"{self._root}:sends"
        self.cool = f"{self._root}:cool"
        self.fail = f"{self._root}:fail:{LANE}"
        self.lock = f"{self._root}:lock:{LANE}"

    def record(self, purpose: str, cid: str) -> str:
        """The record of one challenge."""
        return f"{self._root}:{purpose}:{cid}"

    def subject_record(self, purpose: str) -> str:
        """The one record that a phone has for a purpose under subject binding."""
        return self._root if purpose == "default" else f"{self._root}:{purpose}"

    def active(self, purpose: str) -> str:
        """The phone's open challenges of a purpose."""
        return f"{self._root}:act:{purpose}"

    def grant(self, secret: str) -> str:
        """The grant with this secret."""
        return f"{self._root}:grant:{text_of(hashlib.sha256(secret.encode()).digest()[:16])}"
