"""Who is refused most, as all processes told it with what their rooms did."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

import msgspec

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import server_clock

_READ = load("hustlex.metrics", "refused")
MOST_ASKED = 5
"""Policies in one call: each may have 200 callers in each of 25 hours."""


class RefusedCaller(msgspec.Struct, frozen=True):
    """Somebody whom a limit refused in the last 24 hours."""

    policy: str
    caller: str
    """As the application names it to the limit: a user's id, ``ip:203.0.113.7``."""
    times: int
    """At least so often."""


@answering
async def refused_callers(hx: HustleX, policies: Iterable[str], *, max_callers: int = 50) -> tuple[RefusedCaller, ...]:
    """The callers that these policies refused most in the last 24 hours; one call.

    policies: 1 to 5 names as the metrics have them, those that are judged together joined by ``+``. max_callers: of
    each policy, 1 to 200.
    Told by processes whose front has metrics, see ``room_history``; what a process counts is bounded, so among many
    callers that are refused once or twice some are missing. Raises Misuse, Unavailable. Source: lua/refused.lua.
    """
    check.protocol("hx", hx, "driver", "prefix", hint="pass the HustleX")
    return await hx.driver.run(read_refused(hx.prefix, policies, max_callers))


def read_refused(prefix: str, policies: Iterable[str], max_callers: int) -> Op[tuple[RefusedCaller, ...]]:
    """The call of ``refused_callers``, for either front."""
    names = [check.text("policies", each) for each in check.several("policies", policies)]
    check.whole("number of policies", len(names), 1, MOST_ASKED)
    check.whole("max_callers", max_callers, 1, 200)

    def decode(reply: Reply) -> tuple[RefusedCaller, ...]:
        _, found = reply
        return tuple(_caller(policy, row) for policy, rows in zip(names, found, strict=True) for row in rows)

    return _READ.op((f"{prefix}x:{{rooms}}:names",), (server_clock(), max_callers, *names), decode)


def _caller(policy: str, row: list[bytes]) -> RefusedCaller:
    return RefusedCaller(policy, unquote(row[0].decode("utf-8", "replace")), int(row[1]))
