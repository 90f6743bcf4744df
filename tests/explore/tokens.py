"""Refresh tokens: rotation with a grace. Two tabs of one client and a thief hold the same token.

Invariants:

- Each generation has one successor, and everybody who is told one is told the same.
- Within the grace a spent token still leads to its successor, and never to an alarm.
- After the grace a spent token ends the session, and then no token of it is good again.
- In the end whoever holds the newest token that was given out, or one spent a moment ago, goes on, unless there was an
  alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest import mock

from hustlex.core.keyring import Keyring
from hustlex.core.op import Call, Op
from hustlex.core.time import server_clock
from hustlex.errors import Timeout
from hustlex.tokens import flows, jwt, ops
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.options import TokenOptions, policy_of
from hustlex.tokens.refresh_token import Chain
from hustlex.tokens.revocation_cache import RevocationCache
from hustlex.tokens.revoker import Revoker
from hustlex.tokens.signing import Signing
from hustlex.tokens.types import Refreshed, TokenPair
from tests.explore.engine import Mutation, Protocol, argument
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

GRACE_MS = 10_000
_OPTIONS = TokenOptions(grace=timedelta(milliseconds=GRACE_MS), jitter=0)
_ISSUER = TokenIssuer(Keyring(b"a test secret of thirty-two bytes or more"), policy_of(_OPTIONS), None, "")
_REVOKER = Revoker(_ISSUER, RevocationCache(2.0, server_clock))
_SIGNING = Signing(_ISSUER, _REVOKER, None, 1)
_SIGNING.due_at = float("inf")
"""The keys are those of the first generation: asking for them is not what is explored."""
SESSIONS = flows.SessionFlows(_ISSUER, _SIGNING, _REVOKER)
_SUCCESSOR = Chain.successor


_ENDS = ("bury(record, index, data, sid, 'r', wrong or 'reuse', keep_ms)", "")


@dataclass
class Chained:
    first: str = ""
    successors: dict[int, bytes] = field(default_factory=dict)
    """Generation -> the hash of its secret."""
    spent: dict[int, int] = field(default_factory=dict)
    """Generation -> when it was swapped."""
    given: dict[int, str] = field(default_factory=dict)
    """Generation -> the token that clients were given."""
    over: bool = False


def _unsigned(*_: Any, **__: Any) -> str:
    return "signed"


class Tokens(Protocol):
    name = "tokens"
    ticks = (GRACE_MS - 1_000, GRACE_MS + 1_000)
    short = (
        Bounds(0, 1, cast=("tab A", "thief")),
        Bounds(1, 0, cast=("tab A", "tab B")),
        Bounds(1, 1, together=2, cast=("tab B", "thief"), states=500),
    )
    long = (
        Bounds(0, 2),
        Bounds(1, 1),
        Bounds(2, 1, cast=("tab A", "tab B")),
        Bounds(2, 2, cast=("tab A", "thief")),
    )

    def patched(self) -> AbstractContextManager[Any]:
        """Signing takes most of the time, and nothing depends on it."""
        return mock.patch.object(jwt, "write", _unsigned)

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation("endless-grace", ops._REFRESH, (("age <= tonumber(grace_ms)", "true"),)),
            Mutation("no-predecessor", ops._REFRESH, (("'prev', shown, ", ""),)),
            Mutation(
                "alarm-without-end",
                ops._REFRESH,
                (_ENDS,),
            ),
            Mutation("no-grace-for-repeats", ops._REFRESH, (("behind == 1 and shown == f[4]", "false"),)),
            Mutation("successor-of-the-hour", patch=_forgetful),
        )

    def ledger(self) -> Chained:
        return Chained()

    def setup(self, world: World) -> Story:
        SESSIONS._fed = True
        who = ops.session_request("user", "app")
        pair = yield from SESSIONS.login(who, 0, sid="S" * 22, nonce="N" * 22, secret=bytes(32))
        assert isinstance(pair, TokenPair)
        world.ledger.first = world.ledger.given[1] = pair.refresh

    def actors(self, world: World) -> None:
        first = world.ledger.first
        world.add("tab A", _refresh(world, "A", first, 2))
        world.add("tab B", _refresh(world, "B", first, 2))
        world.add("thief", _refresh(world, "T", first, 1))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        chain: Chained = world.ledger
        if op.name != "tokens.refresh":
            return
        shown, status = int(argument(op, "gen")), reply[0]
        age = world.now_ms - chain.spent[shown] if shown in chain.spent else None
        if status in (0, 1, 2, 5):
            if chain.over:
                raise Broken("a token was good after the alarm")
            if age is not None and age > GRACE_MS:
                raise Broken(f"a token spent {age} ms ago was good")
            self._followed(world, shown, status, reply)
        elif status == 4:
            if age is None or age <= GRACE_MS:
                raise Broken(f"an alarm for a token spent {age} ms ago")
            chain.over = True

    def _followed(self, world: World, shown: int, status: int, reply: Any) -> None:
        chain: Chained = world.ledger
        gen, current = int(reply[2]), reply[5]
        if gen != shown + (status != 2):
            raise Broken(f"generation {shown} was followed by {gen}")
        if chain.successors.setdefault(gen, current) != current:
            raise Broken(f"there are two tokens of generation {gen}")
        if status == 0:
            if shown in chain.spent:
                raise Broken(f"generation {shown} was swapped twice")
            chain.spent[shown] = world.now_ms

    def check(self, world: World, look: Look) -> None:
        """All of it is seen in the replies."""

    def closing(self, world: World) -> Story:
        """The client shows the newest token it was ever given."""
        chain: Chained = world.ledger
        newest = max(chain.given)
        age = world.now_ms - chain.spent.get(newest, world.now_ms)
        result = yield from SESSIONS.refresh(
            chain.given[newest], ops.refresher("app", "", "", ""), 0, nonce="C" * 22, salt=b"c" * 16
        )
        if not chain.over and age <= GRACE_MS and not isinstance(result, Refreshed):
            raise Broken(f"the newest token was answered {result}")

    def final(self, world: World, look: Look) -> None:
        self.check(world, look)


def _refresh(world: World, name: str, token: str, times: int) -> Story:
    """Swap, once more with the same token when the reply is lost, and go on with the new one."""
    who = ops.refresher("app", "", "", "")
    for number in range(times):
        nonce, salt = (name * 21 + str(number)), (name * 15 + str(number)).encode()
        try:
            result = yield from SESSIONS.refresh(token, who, 0, nonce=nonce, salt=salt)
        except Timeout:
            result = yield from SESSIONS.refresh(token, who, 0, nonce=nonce, salt=salt)
        if not isinstance(result, Refreshed):
            return
        token = result.pair.refresh
        yield Call(_note(world, token))


def _note(world: World, token: str) -> Any:
    """What a client was given."""

    def note() -> None:
        gen = int(token.split(".")[4])
        if world.ledger.given.setdefault(gen, token) != token:
            raise Broken(f"two tokens of generation {gen} were given out")

    return note


def _forgetful() -> AbstractContextManager[Any]:
    """The second of two who show one token is handed what this call's own salt gives."""

    def pick(token: Any, turn: Any) -> Any:
        return token if turn.how.value != "replayed" else _SUCCESSOR(_ISSUER.chain, token, b"another salt----")

    return mock.patch.object(flows, "_confirmed", pick)
