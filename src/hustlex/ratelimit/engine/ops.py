"""Operations of the rate limit room."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from random import getrandbits
from typing import TypeVar, final

import msgspec

from hustlex.core.check import whole
from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.ratelimit.engine.compiler import NORMAL, CompiledPolicies, Window
from hustlex.ratelimit.types import Decision, WrongWindow

T = TypeVar("T")
SubjectKey = tuple[int, object, object]
"""Compiled policies by their serial, identity, endpoint."""
NOBODY: SubjectKey = (-1, "", "")

_DEAREST = 2**31

_CHECK = load("hustlex.ratelimit", "check")
_COUNTER = load("hustlex.ratelimit", "check_counter")
_STRICT = load("hustlex.ratelimit", "check_strict")
_GCRA = load("hustlex.ratelimit", "check_gcra")
_LOG = load("hustlex.ratelimit", "check_log")
_PEEK = load("hustlex.ratelimit", "peek")
_RESET = load("hustlex.ratelimit", "reset")
_REFUND = load("hustlex.ratelimit", "refund")
_HEARTBEAT = load("hustlex.ratelimit", "heartbeat")
_RELEASE = load("hustlex.ratelimit", "release")
_SHORT = {script.name.partition(".")[2]: script for script in (_COUNTER, _STRICT, _GCRA, _LOG)}


class CheckRequest(msgspec.Struct, frozen=True, eq=False):
    """One call: by which policies, of whom, how much, in which class, under which id. now_ms: 0, or a test's.

    subject: by which memory finds who is request about.
    """

    compiled: CompiledPolicies
    window: Window
    key_prefix: str
    cost: int
    tier: str
    request_id: str
    now_ms: int
    subject: SubjectKey = NOBODY


@final
class PendingCheck(msgspec.Struct, frozen=True, eq=False):
    """A request, and what is to be sent for it.

    each: the decisions of several callers who pass, by the reply to the first; None where each call is for one.
    """

    request: CheckRequest
    op: Op[Decision | WrongWindow]
    each: Callable[[bytes, int], list[Decision]] | None = None


def check(
    request: CheckRequest,
    decode: Callable[[Reply], T],
    timeout_ms: int,
    *,
    general: bool = False,
    kept: list[bytes] | None = None,
) -> Op[T]:
    """Charge every policy or none. general: never by a short script. kept: see Op."""
    compiled, window = request.compiled, request.window
    keys = _keys(request.key_prefix, window.endings)
    if compiled.script and not general:
        usual = request.cost == 1 and request.tier == NORMAL
        args = (request.now_ms, *(window.alone if usual else compiled.alone(window.starts, request.cost, request.tier)))
        if compiled.ids:
            args = (*args[:4], request.request_id)
        return _SHORT[compiled.script].op(keys, args, decode, timeout_ms=timeout_ms, kept=kept)
    rules = compiled.rules(window, request.cost, request.tier)
    op = _CHECK.op(keys, (request.now_ms, request.request_id, *rules), decode, timeout_ms=timeout_ms, kept=kept)
    return msgspec.structs.replace(op, effect=Effect.IDEMPOTENT) if compiled.repeatable else op


def peek(request: CheckRequest, decode: Callable[[Reply], T], timeout_ms: int) -> Op[T]:
    """What ``check`` would answer, with nothing charged."""
    rules = request.compiled.rules(request.window, request.cost, request.tier)
    keys = _keys(request.key_prefix, request.window.endings)
    return _PEEK.op(keys, (request.now_ms, *rules), decode, timeout_ms=timeout_ms)


def reset(request: CheckRequest) -> Op[bool | WrongWindow]:
    """Forget what was used, and bans. True when there was something to forget."""
    compiled, window = request.compiled, request.window
    starts: list[Arg] = []
    for policy, start in zip(compiled.policies, window.starts, strict=True):
        starts += [policy.window_ms, start] if start else []
    return _RESET.op(_keys(request.key_prefix, compiled.reset_endings(window)), (request.now_ms, *starts), _removed)


class ChargedPart(msgspec.Struct, frozen=True):
    """What one policy was charged. ending: of its key. amount: units (gcra: microseconds). bucket: of a strict."""

    ending: str
    kind: str
    amount: int
    bucket: int


def refund(
    key_prefix: str, parts: Sequence[ChargedPart], refund_id: str, request_id: str, mark_ms: int, now_ms: int
) -> Op[bool]:
    """Give back what a call took. True the first time, for this id."""
    keys = (f"{key_prefix}r.{refund_id}", *(key_prefix + part.ending for part in parts))
    amounts = [value for part in parts for value in (part.kind, part.amount, part.bucket)]
    return _REFUND.op(keys, (now_ms, mark_ms, request_id, *amounts), _first)


def heartbeat(key: str, lease: str, life_ms: int, now_ms: int) -> Op[bool]:
    """Keep a lease for another life. False: it had ended."""
    return _HEARTBEAT.op((key,), (now_ms, lease, life_ms), _first)


def release(key: str, lease: str) -> Op[bool]:
    """Give a lease back. False: it was not held any more."""
    return _RELEASE.op((key,), (lease,), _first)


def set_limit(key: str, limit: int, ttl_ms: int) -> Op[None]:
    """From now on one subject has another limit, for this long."""
    return command(
        "ratelimit.set_limit", Effect.IDEMPOTENT, "SET", key, limit, "PX", ttl_ms, decode=_nothing, keys=(key,)
    )


def unset_limit(key: str) -> Op[None]:
    """The policy's own limit again."""
    return command("ratelimit.unset_limit", Effect.IDEMPOTENT, "DEL", key, decode=_nothing, keys=(key,))


def positive(cost: int) -> int:
    """Raises Misuse for a cost that is no whole number, from 1."""
    return whole("cost", cost, 1, _DEAREST)


def new_id() -> str:
    """11 characters of 64 random bits: unique, not secret."""
    return binascii.b2a_base64(getrandbits(64).to_bytes(8, "big"), newline=False)[:11].decode()


def _keys(key_prefix: str, endings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([key_prefix + ending for ending in endings])


def _removed(reply: Reply) -> bool | WrongWindow:
    return WrongWindow(int(reply[1])) if reply[0] == 0 else reply[1] > 0


def _first(reply: Reply) -> bool:
    return bool(reply[0] == 1)


def _nothing(_: Reply) -> None:
    return None
