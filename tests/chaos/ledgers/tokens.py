"""Tokens: what was revoked stays revoked, and nobody else's session ends.

A strict check refuses from the moment a revocation was answered; a bounded one at most its ``staleness`` later.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hustlex.errors import Error
from hustlex.tokens import Access, Refreshed, RefreshRefused, Rejected, TokenPair
from tests.chaos.ledgers import Ledger

STALENESS_S = 2.0
"""The default of ``TokenOptions.staleness``."""
_GRACE_S = 10.0
_MOST = 300


@dataclass
class Session:
    """revoked: when that was answered, of the clock that never steps back."""

    user: str
    pair: TokenPair
    revoked: float = 0.0


class TokensLedger(Ledger):
    name = "tokens"
    _users = 0

    async def prepare(self) -> None:
        self._alive: list[Session] = []
        self._over: list[Session] = []
        for front in self.fronts:
            await front.tokens.start()

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [self._play() for _ in range(3)]

    async def _play(self) -> None:
        ways = [self._login, self._login, self._check_alive, self._refresh, self._end, self._check_over]
        while not self.stage.over:
            await self.dice.choice(ways)()
            await self.pause(0.03)

    async def _login(self) -> None:
        if len(self._alive) < _MOST:
            self._users += 1
            user = f"u{self._users}"
            pair = await self.tried(self.front.tokens.login(user))
            if isinstance(pair, TokenPair):
                self._alive.append(Session(user, pair))
                self.counts["logins"] += 1

    async def _check_alive(self) -> None:
        if self._alive:
            session = self.dice.choice(self._alive)
            asked = time.monotonic()
            answer = await self.tried(self.front.tokens.check(session.pair.access, mode="strict"))
            if session in self._alive and self.stage.as_of(asked) == asked:
                self.hold(not isinstance(answer, Rejected), f"a living session was refused: {answer}")

    async def _refresh(self) -> None:
        """Until it is answered; within the grace a repeat gets the same successor."""
        session = self._taken()
        if session is None:
            return
        begun = time.monotonic()
        front = self.front
        answer = await self.answered(lambda: front.tokens.refresh(session.pair.refresh))
        if isinstance(answer, Refreshed):
            session.pair = answer.pair
            self._alive.append(session)
            self.counts["refreshes"] += 1
        elif isinstance(answer, RefreshRefused):
            late = time.monotonic() - begun > _GRACE_S
            self.hold(late, f"a token was refused that nobody else had shown: {answer}")

    async def _end(self) -> None:
        """By either way, until it is answered."""
        session = self._taken()
        if session is None:
            return
        tokens, pair = self.front.tokens, session.pair
        ways = (
            lambda: tokens.logout(pair.access, pair.refresh),
            lambda: tokens.revoke_session(session.user, pair.session_id),
            lambda: tokens.revoke_all(session.user),
        )
        await self.answered(self.dice.choice(ways))
        session.revoked = time.monotonic()
        self._over.append(session)
        self.counts["revocations"] += 1

    async def _check_over(self) -> None:
        if self._over:
            await self._look(self.dice.choice(self._over[-_MOST:]))

    async def _look(self, session: Session) -> None:
        for front in self.fronts:
            asked = time.monotonic()
            strict = await self.tried(front.tokens.check(session.pair.access, mode="strict"))
            passed = isinstance(strict, Access) and session.revoked <= self.stage.as_of(asked)
            self.hold(not passed, f"a strict check let a revoked token pass: {strict}")
            since = time.monotonic() - session.revoked
            if since > STALENESS_S and self.stage.as_of(asked - STALENESS_S) >= session.revoked:
                bounded = await self.tried(front.tokens.check(session.pair.access))
                self.hold(not isinstance(bounded, Access), f"a bounded check did, {since:.1f} s after: {bounded}")
        refreshed = await self.tried(self.front.tokens.refresh(session.pair.refresh))
        self.hold(not isinstance(refreshed, Refreshed), "a revoked refresh token brought the session back")

    def _taken(self) -> Session | None:
        """Nobody else touches it for now."""
        return self._alive.pop(self.dice.randrange(len(self._alive))) if self._alive else None

    async def settle(self) -> None:
        """All that were revoked, once more."""
        for session in self._over[-_MOST:]:
            await self._look(session)
        for session in self._alive:
            answer = await self.tried(self.front.tokens.check(session.pair.access, mode="strict"))
            self.hold(isinstance(answer, Access | Error), f"a living session was refused in the end: {answer}")
        self.counts["alive"] = len(self._alive)
