"""One call of several checks: what is sent, and what each of them is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any

from msgspec.structs import replace

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.ratelimit.engine.ops import PendingCheck
from hustlex.ratelimit.types import Decision, WrongWindow

Judged = Decision | WrongWindow
Asked = Mapping[PendingCheck, int]
"""Checks of one window of one policy, and how many callers ask for each."""

_SCRIPTS = {
    "check_counter": load("hustlex.ratelimit", "check_counters"),
    "check_strict": load("hustlex.ratelimit", "check_stricts"),
    "check_gcra": load("hustlex.ratelimit", "check_gcras"),
}


def together(asked: Asked) -> Op[list[Judged]]:
    """One call for all. The answer: what each caller is told, check by check."""
    parts = tuple([pending.op for pending in asked])
    callers = asked.values()
    first: Op[Any] = parts[0]
    if sum(callers) == 1:
        return replace(first, decode=partial(_alone, first.decode))
    keys = tuple(chain.from_iterable([part.keys for part in parts]))
    args = (*first.args, *callers) if max(callers) > 1 else first.args
    script = _SCRIPTS[next(iter(asked)).request.compiled.script]
    return Op(script.name, script.effect, keys, args, partial(_decode, asked), script, first.timeout_ms, None, parts)


def _alone(decode: Callable[[Reply], Judged], line: Reply) -> list[Judged]:
    return [decode(line)]


def _decode(asked: Asked, reply: Reply) -> list[Judged]:
    if len(reply) == len(asked):
        return [pending.op.decode(line) for pending, line in zip(asked, reply, strict=True)]
    following, judged = partial(next, iter(reply), b""), list[Judged]()
    for pending, callers in asked.items():
        if callers == 1:
            judged.append(pending.op.decode(following()))
        else:
            judged += _each(pending, callers, following(), following(), following())
    if len(judged) != sum(asked.values()):
        raise ValueError("a reply is for as many as asked")
    return judged


def _each(pending: PendingCheck, callers: int, first: bytes, passing: int, refusal: bytes) -> list[Judged]:
    """Of the callers of one subject: the first line, counted on for those that pass."""
    judged: list[Judged] = []
    if passing and pending.each is not None:
        judged += pending.each(first, passing)
    if passing < callers:
        judged += [pending.op.decode(refusal)] * (callers - passing)
    return judged
