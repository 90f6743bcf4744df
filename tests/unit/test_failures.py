"""What failures have in common: signatures that stay, and texts without what differs or is private."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease.record import MOST_GROUPS
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.attempt_errors import DeadlineExceeded
from hustlex.worker.execute.failures import FailureTally, kind_of, signature_of, template
from hustlex.worker.queue_state import LeasedTask, QueueState

PRIVATE = {
    "no user 3f9a01c2-77aa-4b1e-9d6f-0f3c5a4f2b11": "no user <id>",
    "late since 2026-11-28T13:06:21.123Z": "late since <time>",
    "unknown ada@example.ng": "unknown <email>",
    "GET https://api.example/pay?token=abc&x=1 failed": "GET https://api.example/pay?<query> failed",
    "cannot reach 10.0.0.7:6379": "cannot reach <addr>",
    "no such name 'Ada Lovelace' in \"users\"": "no such name <text> in <text>",
    "digest 9c41ab03f2e07d15 differs": "digest <hex> differs",
    "key sk_live_4242abcdABCD4242abcd refused": "key <token> refused",
    "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln": "token <token>",
    "code 123456 for +2348031234567": "code <n> for +<n>",
    "can't, won't: 1,234.50 kobo": "can't, won't: <n> kobo",
    "first\nsecond 7": "first",
    "\n\n  wide   words\t here ": "wide words here",
}


@pytest.mark.parametrize("text", PRIVATE)
def test_what_differs_is_a_word(text: str) -> None:
    assert template(text) == PRIVATE[text]


@given(st.text())
def test_a_template_is_one_short_line_without_a_digit(text: str) -> None:
    found = template(text)
    assert len(found) <= 200 and "\n" not in found
    assert not re.search(r"[0-9]", found)


@given(st.uuids(), st.integers(0, 10**14), st.integers(0, 10**12), st.ip_addresses(v=4))
def test_the_same_error_has_the_same_template(one: UUID, when: int, amount: int, address: Any) -> None:
    moment = (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=when)).isoformat()
    assert template(f"gig {one} at {moment}: {amount} from {address}") == "gig <id> at <time>: <n> from <addr>"


def raised(make: Any) -> BaseException:
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError


def decode(text: str) -> Any:
    return json.loads(text)


def test_the_place_is_the_innermost_function_of_the_application() -> None:
    one, other = (kind_of("t", raised(lambda text=text: decode(text))) for text in ("{", "[[["))
    assert one.place == other.place == "test_failures.decode"
    assert one.error == "json.decoder.JSONDecodeError"
    assert signature_of(one) == signature_of(other) and re.fullmatch("[0-9a-f]{16}", signature_of(one))
    assert signature_of(one) != signature_of(kind_of("another", raised(lambda: decode("{"))))


def test_without_a_place_the_text_tells_them_apart() -> None:
    one, other = kind_of("t", ValueError("no gig 7")), kind_of("t", ValueError("no user 7"))
    assert (one.place, one.error, one.message) == ("", "ValueError", "no gig <n>")
    assert signature_of(one) == signature_of(kind_of("t", ValueError("no gig 8"))) != signature_of(other)
    assert (kind_of("t", DeadlineExceeded()).error, kind_of("t", DeadlineExceeded()).message) == (
        "",
        "context deadline exceeded",
    )


def test_an_error_that_lies_or_cannot_speak_is_counted() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    class Liar(Exception):
        __module__ = 7  # type: ignore[assignment]
        __traceback__ = 3  # type: ignore[assignment]

    for error in (Mute(), Liar("x"), Exception("\udcff"), Exception("a" * 10**6)):
        assert signature_of(kind_of("t\udcff", error))


def job(task_id: str, queue: str = "gigs") -> LeasedTask:
    return LeasedTask(_sources[queue], task_id.encode(), "h:1", TaskMessage(type="t", id=task_id), 0.0)


_sources = {name: QueueState(name, 1) for name in ("gigs", "sms")}


def test_failures_are_gathered_and_told_once() -> None:
    tally = FailureTally()
    for n in range(15):
        tally.note(job(f"t{n}"), ValueError("no gig"))
    tally.note(job("s1", "sms"), KeyError("x"))
    told = dict(tally.take())
    [gigs], [sms] = told[queue_keys("gigs")], told[queue_keys("sms")]
    assert gigs.count == 15 and gigs.ids == tuple(f"t{n}" for n in range(14, 4, -1))
    assert sms.ids == ("s1",) and tally.take() == []
    tally.put_back(queue_keys("gigs"), [gigs])
    tally.note(job("t15"), ValueError("no gig"))
    [(_, [again])] = tally.take()
    assert again.count == 16 and again.ids[0] == "t15"


def test_a_flood_of_signatures_has_a_most() -> None:
    tally = FailureTally()
    words = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)]
    for word in words:
        tally.note(job("t"), ValueError(word))
    [(_, counts)] = tally.take()
    assert len(counts) == MOST_GROUPS
