"""What this process knows of revocations, and up to which moment it is sure to know them all. No I/O.

Everything here is told by the feed (``revocation_log.py``), or by this process's own revocations.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

import msgspec

from hustlex.core.time import Clock, server_clock
from hustlex.tokens.types import Rejected, Rejection

_MOST = 200_000
_SWEEP_EVERY = 10_000

_TOKEN = Rejected(Rejection.REVOKED_TOKEN)
_SESSION = Rejected(Rejection.SESSION_REVOKED)
_ALL = Rejected(Rejection.REVOKED_ALL)


class RevocationEntry(msgspec.Struct, frozen=True):
    """One line of the feed.

    kind: "sid", "jti", "user" or "key". name: of what is revoked; of a user the reference, of a key its kid.
    until_ms: when it stops to matter, because every token it forbids is dead. line_ms (user): tokens issued up to then,
    and those of sessions that were logged in before, are void, but for those of the session ``kept``. user (sid): the
    reference of whose session it is; a notice says nothing of another's ("" from a version that did not tell).
    """

    kind: str
    name: str
    until_ms: int
    line_ms: int = 0
    kept: str = ""
    user: str = ""


class Feeding(msgspec.Struct, frozen=True):
    """How the local view stands."""

    warm: bool
    """Whether it has caught up with the feed."""
    lag_s: float
    """What a bounded check may have missed now (infinite before it was warm)."""
    entries: int
    """Revocations held."""
    read: int
    """Notices seen since the start."""


class Bearer(Protocol):
    """What a verdict looks at."""

    sid: str
    jti: str
    uref: str
    ims: int
    auth_s: int


class RevocationCache:
    """Read by every check without a lock; written under one.

    staleness_s: how old what is known may be. floor_ms: only of tokens issued from then on is every revocation known.
    most: notices held; with more, no bounded check is answered from here
    until enough of them have stopped to matter.
    """

    def __init__(self, staleness_s: float, clock: Clock = server_clock, most: int = _MOST) -> None:
        self._staleness_s = staleness_s
        self._clock = clock
        self._live = clock is server_clock
        self._most = most
        self._lock = threading.Lock()
        self._sids: dict[str, tuple[int, str]] = {}
        self._jtis: dict[str, int] = {}
        self._users: dict[str, tuple[int, str, int]] = {}
        self._crowded_until_ms = 0
        self._proven_at = -float("inf")
        self._read = 0
        self.offset_ms: int | None = None
        self.fresh_until = -float("inf")
        self.floor_ms = 0
        self.warm = False

    # -- reading

    def become(self, *, warm: bool) -> None:
        """Whether all that was announced is known here."""
        self.warm = warm

    def verdict(self, token: Bearer) -> Rejected | None:
        """What forbids this token, as far as is known."""
        if token.sid in self._sids and self._sids[token.sid][1] in (token.uref, ""):
            return _SESSION
        if token.jti in self._jtis:
            return _TOKEN
        user = self._users.get(token.uref)
        if user is None or token.sid == user[1]:
            return None
        # By its session too: where the server's clock was set back, a token's own time may lie behind the line.
        return _ALL if token.ims <= user[0] or 0 < token.auth_s < user[0] // 1000 else None

    def now_ms(self) -> int:
        """The server's time, from this process's steady clock; before it was asked, this process's wall clock; in
        tests, the injected one."""
        return self.at_ms(time.monotonic())

    def at_ms(self, moment: float) -> int:
        """The same, of a moment of the steady clock that was read just now."""
        if not self._live and (injected_ms := self._clock()):
            return injected_ms
        if self.offset_ms is None:
            return time.time_ns() // 1_000_000
        return int(moment * 1000) + self.offset_ms

    def injected_ms(self) -> int:
        """A test's clock, or 0."""
        return self._clock()

    def standing(self) -> Feeding:
        """For metrics."""
        lag = time.monotonic() - self._proven_at
        return Feeding(self.warm, max(0.0, lag), self._entries(), self._read)

    # -- writing

    def set_clock(self, server_ms: int, asked_at: float) -> None:
        """The server said its time in answer to a question of this moment (steady clock). So our idea of its time is
        ahead by the question's way there, at most; never behind."""
        self.offset_ms = server_ms - int(asked_at * 1000)

    def prove(self, at: float) -> None:
        """Everything that was in the feed at this moment (steady clock) has been learned."""
        self._proven_at = max(self._proven_at, at)
        if self._crowded_until_ms <= self.now_ms():
            self.fresh_until = self._proven_at + self._staleness_s

    def complete_from(self, since_ms: int) -> None:
        """Of tokens that were issued before, not every revocation may be known here."""
        self.floor_ms = max(self.floor_ms, since_ms)

    def learn(self, notice: RevocationEntry) -> None:
        """Take one notice. Taking it twice is the same as once."""
        with self._lock:
            self._read += 1
            if self._read % _SWEEP_EVERY == 0 or self._entries() >= self._most:
                self._sweep(self.now_ms())
            if self._entries() >= self._most:
                self._crowd(notice.until_ms)
            elif notice.kind == "sid":
                self._sids[notice.name] = (notice.until_ms, notice.user)
            elif notice.kind == "jti":
                self._jtis[notice.name] = notice.until_ms
            elif notice.kind == "user" and notice.line_ms >= self._users.get(notice.name, (0,))[0]:
                # A later line covers an earlier one: what that one had kept is over, or kept again.
                self._users[notice.name] = (notice.line_ms, notice.kept, notice.until_ms)

    def _crowd(self, until_ms: int) -> None:
        """No room: until this notice stops to matter, this view proves nothing."""
        self._crowded_until_ms = max(self._crowded_until_ms, until_ms)
        self.fresh_until = -float("inf")

    def _entries(self) -> int:
        return len(self._sids) + len(self._jtis) + len(self._users)

    def _sweep(self, now_ms: int) -> None:
        self._sids = {name: said for name, said in self._sids.items() if said[0] > now_ms}
        self._jtis = {name: until for name, until in self._jtis.items() if until > now_ms}
        self._users = {name: user for name, user in self._users.items() if user[2] > now_ms}
