"""Random histories of two users against a plain model: every answer, and what the room promises about all of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import timedelta

import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from hustlex._sync.tokens import Tokens
from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock
from hustlex.drivers.blocking import Driver
from hustlex.tokens import (
    Access,
    CheckResult,
    How,
    LoggedOut,
    Refreshed,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    RevokedSession,
    TokenOptions,
    TokenPair,
)
from hustlex.tokens.revocation_log import LogReader
from tests.conftest import LONG
from tests.support.depth import examples
from tests.support.keys import lives_ms

KEYRING = Keyring(b"a test secret of thirty-two bytes or more")
SECOND, MINUTE, DAY = 1000, 60_000, 86_400_000
ACCESS, ABSOLUTE, IDLE, LEEWAY, GRACE, TOUCH, CAP = 15 * MINUTE, 7 * DAY, 3 * DAY, 30_000, 10_000, MINUTE, 3

OPTIONS = TokenOptions(sessions_per_user=CAP, jitter=0)

fresh = itertools.count()
users = st.sampled_from(["u1", "bea@example.com"])
recent = st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, 3])
durations = st.sampled_from(
    [
        1,
        500,
        SECOND,
        GRACE - 1,
        GRACE,
        GRACE + 1,
        GRACE + SECOND,
        MINUTE,
        ACCESS,
        ACCESS + LEEWAY,
        DAY,
        IDLE,
        ABSOLUTE,
        -500,
    ]
)
REJECTED = {
    "revoke_all": Rejected(Rejection.REVOKED_ALL),
    "absolute": Rejected(Rejection.EXPIRED_ABSOLUTE),
    "idle": Rejected(Rejection.EXPIRED_IDLE),
}
REFUSED = {
    "absolute": RefreshRefused(Refusal.EXPIRED_ABSOLUTE),
    "idle": RefreshRefused(Refusal.EXPIRED_IDLE),
}


@dataclass(eq=False)
class Shown:
    """An access token that a client holds."""

    text: str
    issued: int
    expires: int
    forbidden: bool = False


@dataclass(eq=False)
class Session:
    """One session, as the documentation tells it. spent: when each generation was superseded."""

    user: str
    sid: str
    client: str
    born: int
    last: int
    refreshes: list[str]
    accesses: list[Shown] = field(default_factory=list)
    spent: dict[int, int] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    over: str = ""
    listed: bool = True
    exempt: int = 0

    @property
    def ends(self) -> int:
        return self.born + ABSOLUTE

    def end(self, reason: str) -> None:
        self.over, self.listed = reason, False


class Process:
    """Another process that follows the feed when it is told to, so that no thread makes a history differ."""

    def __init__(self, driver: Driver, prefix: str, clock: FixedClock) -> None:
        self.driver = driver
        self.plain, self.following = (
            Tokens(driver, KEYRING, prefix=prefix, clock=clock, options=OPTIONS) for _ in range(2)
        )
        self.reader = LogReader(prefix, self.following._view, lambda: None, 900_000)

    def check(self, access: str) -> tuple[CheckResult, CheckResult]:
        self.reader.lost()
        for ask in (self.reader.attend, self.reader.next, self.reader.attend):
            self.driver.run(ask())
        return self.plain.check(access, mode="stateless"), self.following.check(access)


class Model(RuleBasedStateMachine):
    """url and raw are set by the test. Each example has a prefix of its own."""

    url: str
    raw: redis.Redis
    sessions: Bundle[Session] = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock()
        self.prefix = f"p{next(fresh)}:"
        self.driver = Driver(self.url, timeout=LONG)
        self.tokens = Tokens(self.driver, KEYRING, prefix=self.prefix, clock=self.clock, options=OPTIONS)
        self.elsewhere = Process(self.driver, self.prefix, self.clock)
        self.all: list[Session] = []
        self.marker = {"u1": 0, "bea@example.com": 0}

    def teardown(self) -> None:
        self.driver.close()

    # -- what the model knows

    @property
    def now(self) -> int:
        return self.clock.now_ms

    def index(self, user: str) -> list[Session]:
        return sorted((s for s in self.all if s.user == user and s.listed), key=lambda s: (s.ends, s.sid))

    def why_over(self, session: Session, born: int) -> str:
        marker = self.marker[session.user]
        if born <= marker and session.exempt < marker:
            return "revoke_all"
        if session.over or session.ends <= self.now:
            return session.over or "absolute"
        if session.last + IDLE <= self.now:
            return "idle"
        return "" if session.listed else "evicted"

    def hold(self, session: Session, pair: TokenPair) -> None:
        issued = max(self.now, self.marker[session.user] + 1)
        expires = -(-min(issued + ACCESS, session.ends) // SECOND) * SECOND
        assert (pair.session_id, pair.expires_in) == (session.sid, timedelta(milliseconds=expires - issued))
        session.accesses.append(Shown(pair.access, issued, expires))

    # -- what happens

    @rule(ms=durations)
    def time_passes(self, ms: int) -> None:
        self.clock.advance(timedelta(milliseconds=ms))

    @rule()
    def the_server_forgets_its_scripts(self) -> None:
        self.raw.script_flush()

    @rule(target=sessions, user=users, client=st.sampled_from(["app", "web"]))
    def login(self, user: str, client: str) -> Session:
        pair = self.tokens.login(user, client_id=client)
        assert isinstance(pair, TokenPair)
        for session in self.index(user):
            session.listed = session.ends > self.now
        for session in self.index(user)[: len(self.index(user)) - CAP + 1]:
            session.listed = False
        born = max(self.now, self.marker[user] + 1)
        made = Session(user, pair.session_id, client, born, born, [pair.refresh])
        self.all.append(made)
        self.hold(made, pair)
        return made

    @rule(session=sessions, age=recent)
    def check(self, session: Session, age: int) -> None:
        shown = session.accesses[-1 - age % len(session.accesses)]
        seen = self.tokens.check(shown.text, mode="strict")
        expected = self.expected_check(session, shown)
        if expected is not None:
            assert seen == expected
            return
        assert isinstance(seen, Access)
        assert (seen.user_id, seen.session_id, seen.client_id) == (session.user, session.sid, session.client)
        if self.now - session.last >= TOUCH:
            session.last = self.now

    def expected_check(self, session: Session, shown: Shown) -> Rejected | None:
        if shown.expires + LEEWAY <= self.now:
            return Rejected(Rejection.EXPIRED)
        if shown.forbidden:
            return Rejected(Rejection.REVOKED_TOKEN)
        why = self.why_over(session, shown.issued)
        return REJECTED.get(why, Rejected(Rejection.SESSION_REVOKED, why)) if why else None

    @rule(session=sessions, age=recent)
    def check_in_another_process(self, session: Session, age: int) -> None:
        """Stateless sees the age only; bounded, once it has read on, all but that a session lies idle."""
        shown = session.accesses[-1 - age % len(session.accesses)]
        expired = shown.expires + LEEWAY <= self.now
        stateless, bounded = self.elsewhere.check(shown.text)
        assert isinstance(stateless, Rejected) == expired
        expected = self.expected_check(session, shown)
        if expected in (None, Rejected(Rejection.EXPIRED_IDLE)) and session.over != "idle":
            assert isinstance(bounded, Access) and bounded.mode == "bounded"
        elif session.over not in REFUSED:
            assert isinstance(bounded, Rejected)

    @rule(session=sessions, age=recent, own=st.sampled_from([True] * 9 + [False]))
    def refresh(self, session: Session, age: int, own: bool) -> None:
        gen = max(1, len(session.refreshes) - age)
        alive = not self.why_over(session, session.born)
        expected = self.expected_refresh(session, gen, own)
        seen = self.tokens.refresh(session.refreshes[gen - 1], client_id=session.client if own else "other")
        if isinstance(expected, RefreshRefused):
            assert seen == expected
            recently = gen not in session.spent or self.now - session.spent[gen] <= GRACE
            assert not (own and alive and recently), "an honest straggler was refused"
            return
        assert isinstance(seen, Refreshed)
        assert seen.how is expected
        if expected is How.ROTATED:
            assert seen.pair.refresh not in session.refreshes
            session.refreshes.append(seen.pair.refresh)
            session.spent[gen] = session.last = self.now
        assert seen.pair.refresh == session.refreshes[-1], "the chain forked"
        self.hold(session, seen.pair)

    def expected_refresh(self, session: Session, gen: int, own: bool) -> RefreshRefused | How:
        why, current = self.why_over(session, session.born), len(session.refreshes)
        if why:
            if why in REFUSED:
                session.end(why)
            return REFUSED.get(why, RefreshRefused(Refusal.REVOKED, why))
        if not own:
            session.end("client")
            return RefreshRefused(Refusal.CLIENT_MISMATCH)
        age = self.now - session.spent.get(current - 1, 0)
        if gen == current:
            return How.COALESCED if gen > 1 and age < GRACE + SECOND else How.ROTATED
        if gen == current - 1 and age <= GRACE:
            return How.REPLAYED
        session.end("reuse")
        return RefreshRefused(Refusal.REUSE_DETECTED)

    @rule(session=consumes(sessions), age=recent)
    def logout(self, session: Session, age: int) -> None:
        shown = session.accesses[-1 - age % len(session.accesses)]
        assert self.tokens.logout(shown.text) == LoggedOut(session.sid, session.listed)
        shown.forbidden = shown.expires + LEEWAY > self.now
        session.listed = False
        session.over = session.over or "logout"
        self.check(session, age)
        self.refresh(session, 0, True)

    @rule(session=sessions)
    def revoke_session(self, session: Session) -> None:
        assert self.tokens.revoke_session(session.user, session.sid) == RevokedSession(session.listed)
        session.listed = False
        session.over = session.over or "revoked"

    @rule(user=users)
    def revoke_all(self, user: str) -> None:
        self.revoke_all_but(user, None)

    @rule(kept=sessions)
    def revoke_all_others(self, kept: Session) -> None:
        self.revoke_all_but(kept.user, kept)

    def revoke_all_but(self, user: str, kept: Session | None) -> None:
        listed = [session for session in self.index(user) if session.ends > self.now]
        seen = self.tokens.revoke_all(user, except_session=kept.sid if kept else None)
        assert seen == RevokedAll(len(listed) - (kept in listed), kept in listed)
        self.marker[user] = max(self.now, self.marker[user] + 1)
        for session in self.all:
            if session.user == user:
                session.listed = session is kept and kept in listed
        if kept in listed:
            kept.exempt = self.marker[user]

    @rule(session=sessions, values=st.dictionaries(st.sampled_from(["theme", "st", "cur"]), st.text(max_size=8)))
    def set_data(self, session: Session, values: dict[str, str]) -> None:
        alive = not self.why_over(session, session.born)
        assert self.tokens.set_data(session.user, session.sid, values) == alive
        session.data = values

    @rule(session=sessions)
    def data(self, session: Session) -> None:
        alive = not self.why_over(session, session.born)
        assert self.tokens.data(session.user, session.sid) == (session.data if alive else None)

    # -- what always holds

    @invariant()
    def the_list_of_sessions_is_right(self) -> None:
        for user in self.marker:
            alive = [session for session in reversed(self.index(user)) if not self.why_over(session, session.born)]
            assert [info.session_id for info in self.tokens.sessions(user)] == [session.sid for session in alive]
            assert len(alive) <= CAP

    @invariant()
    def every_key_has_an_end(self) -> None:
        for key, life in lives_ms(self.raw, f"{self.prefix}*").items():
            assert life != -1, key


def test_random_histories_match_the_model(url: str, raw: redis.Redis) -> None:
    Model.url, Model.raw = url, raw
    unhurried = settings(max_examples=examples(40), stateful_step_count=50, deadline=None)
    run_state_machine_as_test(Model, settings=unhurried)
