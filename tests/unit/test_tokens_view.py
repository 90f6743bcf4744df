"""What a process knows of revocations, without a server: what counts as proof, what is forgotten, what is too much."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.op import Op
from hustlex.core.time import FixedClock
from hustlex.tokens import Rejected, Rejection, revocation_cache
from hustlex.tokens.revocation_cache import RevocationCache, RevocationEntry
from hustlex.tokens.revocation_log import BLOCK_S, LogReader

SESSION = Rejected(Rejection.SESSION_REVOKED)


class Bearer:
    def __init__(self, sid: str = "s1", jti: str = "j1", uref: str = "u1", ims: int = 100, auth_s: int = 0) -> None:
        self.sid, self.jti, self.uref, self.ims, self.auth_s = sid, jti, uref, ims, auth_s


class Steady:
    """The process's steady clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    clock = Steady()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def entry(number: int, name: str = "s1") -> list[Any]:
    fields = ["kind", "sid", "name", name, "kept", "", "line", "0", "until", "9999999999999"]
    return [f"{number}-0".encode(), [field.encode() for field in fields]]


def attend(reader: LogReader, told: int = 0, at: int = 0, life: bytes = b"1.0", since: int = 0) -> None:
    reader.attend().decode([0, 1, 0, life, since, told, at])


def read(reader: LogReader, reply: Any) -> Op[None]:
    op = reader.next()
    op.decode(reply)
    attend(reader)
    return op


def following(steady: Steady, staleness: float = 2.0) -> tuple[RevocationCache, LogReader]:
    known = RevocationCache(staleness)
    reader = LogReader("", known, lambda: None, 900_000)
    attend(reader)
    return known, reader


# -- proof


def test_before_the_first_answer_nothing_is_proven(steady: Steady) -> None:
    known, reader = following(steady)
    assert steady.now >= known.fresh_until and not known.standing().warm
    assert "BLOCK" not in read(reader, None).args  # catching up does not wait
    assert known.warm and known.fresh_until == steady.now + 2.0
    assert "BLOCK" in reader.next().args


def test_a_silent_wait_proves_up_to_its_end_and_news_up_to_its_question(steady: Steady) -> None:
    known, reader = following(steady)
    read(reader, None)
    op = reader.next()
    steady.now += BLOCK_S
    op.decode(None)
    assert known.fresh_until == 1002.0  # not before it is known that the feed still lives
    attend(reader)
    assert known.fresh_until == 1000.0 + BLOCK_S + 2.0
    op = reader.next()
    asked = steady.now
    steady.now += 0.3
    op.decode({b"jwt:revocations": [entry(1)]})
    attend(reader)
    assert known.fresh_until == asked + 2.0


def test_an_answer_that_lay_unread_proves_nothing_of_the_time_since(steady: Steady) -> None:
    """The loop was blocked: the server answered long ago."""
    known, reader = following(steady)
    read(reader, None)
    op = reader.next()
    steady.now += 60
    op.decode(None)
    attend(reader)
    assert known.fresh_until < steady.now
    assert 59 < known.standing().lag_s < 60


def test_a_full_batch_proves_nothing_because_there_may_be_more(steady: Steady) -> None:
    known, reader = following(steady)
    read(reader, {b"f": [entry(n, f"s{n}") for n in range(1000)]})
    assert not known.warm and known.fresh_until < steady.now
    op = read(reader, {b"f": [entry(1000, "s1000")]})
    assert op.args[-1] == "999-0"
    assert known.warm and known.standing().entries == 1001


def test_after_a_broken_link_all_is_read_again_and_what_was_known_stays(steady: Steady) -> None:
    known, reader = following(steady)
    read(reader, {b"f": [entry(7)]})
    proven = known.fresh_until
    reader.lost()
    assert not known.warm and known.fresh_until == proven
    op = reader.next()
    assert op.args[-1] == "0" and "BLOCK" not in op.args
    assert known.verdict(Bearer()) == SESSION


def test_a_moved_key_is_told(steady: Steady) -> None:
    told = []
    reader = LogReader("p:", RevocationCache(2.0), lambda: told.append(1), 900_000)
    fields = ["kind", "key", "name", "k1", "kept", "", "line", "0", "until", "1"]
    op = read(reader, {b"f": [[b"1-0", [field.encode() for field in fields]]]})
    assert told == [1] and op.keys == ("p:jwt:revocations",)


# -- knowledge


def test_a_later_line_covers_an_earlier_one_and_what_it_kept() -> None:
    known = RevocationCache(2.0)
    known.learn(RevocationEntry("user", "u1", 10**15, 100, "s1"))
    assert known.verdict(Bearer(ims=100)) is None
    assert known.verdict(Bearer(sid="s2", ims=100)) == Rejected(Rejection.REVOKED_ALL)
    assert known.verdict(Bearer(sid="s2", ims=101)) is None
    known.learn(RevocationEntry("user", "u1", 10**15, 200, ""))
    known.learn(RevocationEntry("user", "u1", 10**15, 100, "s1"))  # read again, out of order
    assert known.verdict(Bearer(ims=150)) == Rejected(Rejection.REVOKED_ALL)
    assert known.verdict(Bearer(uref="u2", ims=1)) is None


def test_too_much_to_know_makes_every_check_strict_until_it_has_passed(steady: Steady) -> None:
    clock = FixedClock(1_000_000)
    known = RevocationCache(2.0, clock, most=3)
    for n in range(3):
        known.learn(RevocationEntry("sid", f"s{n}", 2_000_000))
    known.prove(steady.now)
    assert known.fresh_until > steady.now
    known.learn(RevocationEntry("sid", "one too many", 3_000_000))
    assert known.fresh_until < steady.now
    known.prove(steady.now)
    assert known.fresh_until < steady.now, "a crowded view proved something"
    assert known.verdict(Bearer(sid="s0")) == SESSION  # what is known still forbids
    clock.now_ms = 2_500_000
    known.learn(RevocationEntry("sid", "later", 4_000_000))
    known.prove(steady.now)
    assert known.fresh_until < steady.now, "the one too many is forgotten and still matters"
    clock.now_ms = 3_000_000
    known.prove(steady.now)
    assert known.fresh_until > steady.now
    assert known.standing().entries == 1


def test_what_has_stopped_to_matter_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_cache, "_SWEEP_EVERY", 10)
    clock = FixedClock(0 + 1)
    known = RevocationCache(2.0, clock)
    for n in range(1000):
        clock.now_ms = n + 1
        for kind in ("sid", "jti", "user"):
            known.learn(RevocationEntry(kind, f"{n}", n + 5, n))
    assert known.standing().entries < 40


kinds = st.sampled_from(["sid", "jti", "user"])
names = st.sampled_from(["a", "b", "c"])
lines = st.integers(0, 5)


@given(st.lists(st.tuples(kinds, names, lines, st.sampled_from(["", "a", "b"])), max_size=12), st.randoms())
def test_any_order_and_any_repetition_says_the_same(notices: list[tuple[str, str, int, str]], random: Any) -> None:
    """Lines of one user differ in real life: the script moves the marker past the last one."""
    told = {(kind, name, line): RevocationEntry(kind, name, 10**15, line, kept) for kind, name, line, kept in notices}
    shuffled = [*told.values(), *told.values()]
    random.shuffle(shuffled)
    one, two = RevocationCache(2.0), RevocationCache(2.0)
    for notice in told.values():
        one.learn(notice)
    for notice in shuffled:
        two.learn(notice)
    for sid, jti, uref, ims in itertools.product("abc", "abc", "abc", range(7)):
        bearer = Bearer(sid, jti, uref, ims)
        verdict = one.verdict(bearer)
        assert verdict == two.verdict(bearer)
        named = any((n.kind, n.name) in (("sid", sid), ("jti", jti)) for n in told.values())
        last = max(
            (n for n in told.values() if n.kind == "user" and n.name == uref), key=lambda n: n.line_ms, default=None
        )
        swept = last is not None and ims <= last.line_ms and sid != last.kept
        assert (verdict is not None) == (named or swept)
