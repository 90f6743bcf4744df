"""What an operator sees of a caller: strikes, bans, and limits and bans set by hand. What is left tells ``peek``."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.errors import Misuse
from hustlex.ratelimit.engine.memory import SubjectState

_LOOK, _BAN = load("hustlex.ratelimit", "look"), load("hustlex.ratelimit", "ban")


class PenaltyState(msgspec.Struct, frozen=True):
    """How one policy punishes this caller, or bends for them."""

    policy: str
    """Its name."""
    strikes: int
    """Refusals that count towards the next ban."""
    level: int
    """Bans in a row; each doubles the length of the next."""
    banned_for: timedelta
    """Rest of the ban; 0 when there is none."""
    own_limit: int | None
    """The limit that ``set_limit`` gave this caller; None: the policy's own."""
    own_limit_for: timedelta
    """How long it still holds."""


def penalties(subject: SubjectState, now_ms: int) -> Op[tuple[PenaltyState, ...]] | None:
    """Of each policy that has a penalty or may be overridden; None when none has."""
    places = [(at, kind, subject.key_prefix + ending) for at, kind, ending in subject.compiled.marks()]
    policies = subject.compiled.policies

    def decode(reply: Reply) -> tuple[PenaltyState, ...]:
        found = {(at, kind): row for (at, kind, _), row in zip(places, reply[0], strict=True)}
        return tuple(_state(policies[at].name, found, at) for at in dict.fromkeys(at for at, _, _ in places))

    if not places:
        return None
    return _LOOK.op(tuple(key for *_, key in places), (now_ms, *(kind for _, kind, _ in places)), decode)


def ban(subject: SubjectState, length_ms: int, now_ms: int) -> Op[None]:
    """Refuse every call for so long. Raises Misuse when no policy has a penalty: nobody would look for a ban."""
    keys = _penalty_keys(subject)
    if not keys:
        raise Misuse("none of these policies has a penalty, so none can ban", hint="give one a penalty=Penalty(...)")
    subject.forget()
    return _BAN.op(keys, (now_ms, length_ms), _nothing)


def unban(subject: SubjectState) -> Op[bool] | None:
    """Forget strikes and bans; what was used stays. None when no policy has a penalty."""
    keys = _penalty_keys(subject)
    subject.forget()
    if not keys:
        return None
    return command("ratelimit.unban", Effect.IDEMPOTENT, "DEL", *keys, keys=keys, decode=bool)


def _penalty_keys(subject: SubjectState) -> tuple[str, ...]:
    return tuple(subject.key_prefix + ending for _, kind, ending in subject.compiled.marks() if kind == "p")


def _nothing(_: Reply) -> None:
    return None


def _state(name: str, found: dict[tuple[int, str], list[int]], at: int) -> PenaltyState:
    strikes, level, rest = found.get((at, "p")) or (0, 0, 0)
    limit, left = found.get((at, "n")) or (None, 0)
    banned, own = timedelta(milliseconds=rest), timedelta(milliseconds=max(0, left))
    return PenaltyState(name, strikes, level, banned, limit, own)
