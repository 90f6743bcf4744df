"""Challenges, grants and device tokens as text, and the names of all keys. One phone's keys share the tag ``{<ref>}``:
one slot. Each cap has a tag of its own.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec

from hustlex.core.keyring import KID

Lane = Literal["anon", "known"]
"""Messages, pauses, open challenges, wrong codes and locks are counted per lane. Strangers share ``anon``; ``known`` is
for devices and sessions that proved themselves before, so that strangers cannot shut the owner out."""

LANES: tuple[Lane, Lane] = ("anon", "known")

CountedLane = Literal["anon", "known", "extra"]
"""A lane that is counted. Nobody asks for ``extra``: it serves strangers while theirs is used up or locked."""

COUNTED: tuple[CountedLane, ...] = (*LANES, "extra")
LANE_TRAITS: dict[CountedLane, str] = {"anon": "", "known": "k", "extra": "e"}
_OF_LANE: dict[CountedLane, str] = {"anon": "", "known": ":known", "extra": ":extra"}
_REF = r"[a-z2-7]{26}|\+[0-9]{5,15}"
_CHALLENGE = re.compile(
    rf"oc1\.({_REF})\.([a-z][a-z0-9_]{{0,31}})\.([A-Za-z0-9_-]{{22}})\.({KID})(?:\.([ke]?s?))?", re.ASCII
)
_GRANT = re.compile(rf"og1\.({_REF})\.([A-Za-z0-9_-]{{22}})", re.ASCII)
_DEVICE = re.compile(r"od1\.([A-Za-z0-9_-]{22})", re.ASCII)


class Challenge(msgspec.Struct, frozen=True):
    """One request for a code, as the client holds it."""

    ref: str
    """Keyed stand-in for the phone."""
    purpose: str
    """What the code is for."""
    cid: str
    """128 random bits, known only to whoever asked for the code."""
    kid: str
    """The secret its codes were made with."""
    traits: str = ""
    """A "k" in lane ``known``, an "e" in ``extra``, an "s" with a longer code that is never repeated. The record says
    the same, or the challenge is not good for anything."""

    @property
    def lane(self) -> CountedLane:
        return "known" if "k" in self.traits else "extra" if "e" in self.traits else "anon"

    @property
    def strong(self) -> bool:
        return "s" in self.traits

    def text(self) -> str:
        return f"oc1.{self.ref}.{self.purpose}.{self.cid}.{self.kid}" + (f".{self.traits}" if self.traits else "")


class Grant(msgspec.Struct, frozen=True):
    """secret: 128 bits. Redis holds only its hash, so a look into Redis yields no grant that could be used."""

    ref: str
    secret: str

    def text(self) -> str:
        return f"og1.{self.ref}.{self.secret}"


def parse_challenge(text: str) -> Challenge | None:
    """None for anything this room never wrote."""
    found = _CHALLENGE.fullmatch(text)
    if found is None or found[5] == "":
        return None
    return Challenge(found[1], found[2], found[3], found[4], found[5] or "")


def parse_grant(text: str) -> Grant | None:
    """None for anything this room never wrote."""
    found = _GRANT.fullmatch(text)
    return Grant(found[1], found[2]) if found else None


def device_token(secret: str) -> str:
    """What a remembered device keeps."""
    return f"od1.{secret}"


def device_mark(token: str) -> str:
    """What Redis keeps of a device token; "" for anything this room never wrote."""
    found = _DEVICE.fullmatch(token)
    return hashed(found[1]) if found else ""


def hashed(secret: str) -> str:
    """What Redis keeps of a secret of 128 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


class SubjectKeys:
    """Key names of one phone, or one subject of an authenticator."""

    __slots__ = ("_root",)

    def __init__(self, prefix: str, ref: str) -> None:
        self._root = f"{prefix}otp:{{{ref}}}"

    def sends(self, lane: CountedLane) -> str:
        """The lane's sends of 24 hours."""
        return f"{self._root}:sends{_OF_LANE[lane]}"

    def cool(self, lane: CountedLane) -> str:
        """The lane's pause."""
        return f"{self._root}:cool{_OF_LANE[lane]}"

    @property
    def devices(self) -> str:
        """Marks of the devices that proved themselves."""
        return f"{self._root}:dev"

    @property
    def step(self) -> str:
        """The last step of an authenticator that was used."""
        return f"{self._root}:totp"

    def fail(self, lane: CountedLane) -> str:
        """The lane's wrong codes of 24 hours."""
        return f"{self._root}:fail:{lane}"

    def lock(self, lane: CountedLane) -> str:
        """The lane's lock."""
        return f"{self._root}:lock:{lane}"

    def record(self, purpose: str, cid: str) -> str:
        """The record of one challenge."""
        return f"{self._root}:{purpose}:{cid}"

    def subject_record(self, purpose: str) -> str:
        """The one record that a phone has for a purpose under subject binding."""
        return self._root if purpose == "default" else f"{self._root}:{purpose}"

    def active(self, purpose: str, lane: CountedLane) -> str:
        """The lane's open challenges of a purpose."""
        return f"{self._root}:act:{purpose}{_OF_LANE[lane]}"

    def grant(self, secret: str) -> str:
        """The grant with this secret."""
        return f"{self._root}:grant:{hashed(secret)}"


def meter(prefix: str, tag: str) -> str:
    """The key of a cap. tag: ``cc:NG``, ``pfx:2348031``, ``blk:<ref>`` or ``ip:<ref>``."""
    return f"{prefix}otp:{{{tag}}}:cap"
