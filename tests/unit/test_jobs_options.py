"""Asynq's rules for options: defaults, limits, roundings, which one wins."""

from __future__ import annotations

import enum
import os
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from hustlex.errors import Misuse
from hustlex.jobs import Tasks
from hustlex.jobs.enqueue.draft import Draft, draft
from hustlex.jobs.enqueue.job import Job, as_job
from hustlex.jobs.enqueue.options import Options, merge, option_texts
from hustlex.jobs.ids import new_id
from hustlex.jobs.types import PayloadError
from hustlex.jobs.wire import TaskMessage, decode_task

ID = "11111111-2222-3333-4444-555555555555"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LAGOS = timezone(timedelta(hours=1))


class Queue(enum.StrEnum):
    LOW = "low"


def drafted(**options: Any) -> Draft:
    return draft(Job("t", b"{}"), Options(**options), ID)


def message(**options: Any) -> TaskMessage:
    return decode_task(drafted(**options).message)


def test_the_defaults_are_those_of_asynq() -> None:
    assert message() == TaskMessage("t", b"{}", ID, "default", 25, timeout=1800)
    assert drafted() == Draft(ID, "default", drafted().message, "", "", 0, "")


MORNING = datetime(2027, 1, 15, 8, 0, 0, 400_000, tzinfo=UTC)


def test_the_later_expiry_replaces_the_earlier() -> None:
    assert merge({"expires_in": HOUR}, {"expires_at": MORNING}) == {"expires_at": MORNING}
    assert merge({"expires_at": MORNING}, {"expires_in": HOUR}) == {"expires_in": HOUR}
    with pytest.raises(Misuse, match="exclude each other"):
        draft(Job("t", None, {"expires_in": HOUR}), {"expires_in": HOUR, "expires_at": MORNING}, ID)


def test_a_deadline_before_the_start_is_refused() -> None:
    for late in (timedelta(0), timedelta(milliseconds=500)):
        with pytest.raises(Misuse, match="deadline"):
            drafted(process_at=MORNING, deadline=MORNING + late)
    assert message(process_at=MORNING, deadline=MORNING + SECOND).deadline == 1_800_000_001
    assert message(process_at=MORNING, deadline=datetime(1970, 1, 1, tzinfo=UTC)).timeout == 1800


@pytest.mark.parametrize(
    ("options", "field", "stored"),
    [
        ({"max_retry": 3}, "retry", 3),
        ({"max_retry": 0}, "retry", 0),
        ({"max_retry": 2**31 - 1}, "retry", 2**31 - 1),
        ({"queue": " Low "}, "queue", " Low "),
        ({"queue": "a:b \u00e9"}, "queue", "a:b \u00e9"),
        ({"queue": Queue.LOW, "task_id": 7}, "queue", "low"),
        ({"queue": Queue.LOW, "task_id": 7}, "id", "7"),
        ({"task_id": uuid.UUID(int=7)}, "id", str(uuid.UUID(int=7))),
        ({"task_id": "order-7"}, "id", "order-7"),
        ({"timeout": timedelta(seconds=30)}, "timeout", 30),
        ({"timeout": timedelta(seconds=90.9)}, "timeout", 90),
        ({"timeout": timedelta(0)}, "timeout", 1800),
        ({"deadline": datetime(2027, 1, 15, 8, 0, 0, 999_999, tzinfo=UTC)}, "deadline", 1_800_000_000),
        ({"deadline": datetime(2027, 1, 15, 9, tzinfo=LAGOS)}, "deadline", 1_800_000_000),
        ({"deadline": datetime(2027, 1, 15, 8, tzinfo=UTC)}, "timeout", 0),
        ({"deadline": datetime(1970, 1, 1, tzinfo=UTC)}, "timeout", 1800),
        ({"deadline": datetime(1, 1, 1, tzinfo=UTC)}, "deadline", 0),
        ({"deadline": datetime(1, 1, 1, tzinfo=UTC)}, "timeout", 1800),
        ({"retention": timedelta(0)}, "retention", 0),
        ({"retention": timedelta(hours=1, milliseconds=900)}, "retention", 3600),
        ({"group": "g"}, "group_key", "g"),
        ({"headers": {"trace": "abc", "empty": ""}}, "headers", {"trace": "abc", "empty": ""}),
        (
            {"unique_for": timedelta(seconds=90.5)},
            "unique_key",
            "asynq:{default}:unique:t:99914b932bd37a50b983c5e7c90ae93b",
        ),
    ],
)
def test_an_option_is_stored_as_go_stores_it(options: dict[str, Any], field: str, stored: Any) -> None:
    assert getattr(message(**options), field) == stored


def test_timeout_and_deadline_together_keep_both() -> None:
    both = message(timeout=MINUTE, deadline=datetime(2027, 1, 15, 8, tzinfo=UTC))
    assert (both.timeout, both.deadline) == (60, 1_800_000_000)


@pytest.mark.parametrize(
    "options",
    [
        {"queue": ""},
        {"queue": " \t"},
        {"task_id": ""},
        {"task_id": "  "},
        {"max_retry": 2**31},
        {"max_retry": -1},
        {"max_retry": True},
        {"max_retry": 1.5},
        {"process_in": -SECOND},
        {"process_in": 5},
        {"timeout": 5},
        {"retention": timedelta(days=365_250)},
        {"retention": timedelta.max},
        {"process_at": datetime.max.replace(tzinfo=UTC)},
        {"headers": {"a": 1}},
        {"headers": {1: "a"}},
        {"headers": ["a"]},
        {"queue": None},
        {"queue": "victim}:t:{x"},
        {"queue": "a{b"},
        {"queue": "a\nb"},
        {"queue": "a\ud800"},
        {"queue": "a" * 256},
        {"task_id": "a\x00b"},
        {"task_id": "{a}"},
        {"group": "a}b"},
        {"timeout": timedelta(milliseconds=500)},
        {"timeout": -SECOND},
        {"retention": timedelta(milliseconds=900)},
        {"unique_for": timedelta(milliseconds=999)},
        {"unique_for": timedelta(0)},
        {"deadline": datetime(2027, 1, 1)},  # noqa: DTZ001
        {"process_at": datetime(2027, 1, 1)},  # noqa: DTZ001
        {"process_in": SECOND, "process_at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"group": " "},
        {"group": "g", "process_in": SECOND},
        {"queues": "typo"},
        {"unique_until": "success"},
        {"unique_until": ""},
        {"unique_until": "done", "unique_for": timedelta(milliseconds=999)},
        {"unique_key": "k"},
        {"unique_key": " ", "unique_for": MINUTE},
        {"debounce": timedelta(0)},
        {"debounce": -SECOND},
        {"debounce": SECOND, "process_in": SECOND},
        {"debounce": SECOND, "process_at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"debounce": SECOND, "unique_until": "done"},
        {"debounce": SECOND, "group": "g"},
    ],
)
def test_what_can_never_work_is_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        drafted(**options)


@pytest.mark.parametrize("task_type", [" ", "", "a{b}", "a\tb", "a\ud800", "a" * 256, None, b"t"])
def test_a_type_that_is_no_name_is_refused(task_type: Any) -> None:
    with pytest.raises(Misuse):
        draft(Job(task_type), {}, ID)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 5}, "timeout cannot be 5 (pass a timedelta, as timedelta(seconds=30))"),
        ({"process_in": -SECOND}, "process_in cannot be -1 day, 23:59:59 (pass 0:00:00 to 36525 days, 0:00:00)"),
        ({"max_retry": -1}, "max_retry cannot be -1 (pass 0 to 2147483647)"),
        ({"headers": {"a": 1}}, "a value in headers cannot be 1 (pass text)"),
        ({"queue": "victim}:t:{x"}, "queue holds a brace (leave out { and })"),
        ({"queues": "a"}, "unknown option: 'queues' (did you mean 'queue'?)"),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_to_pass(options: Any, said: str) -> None:
    with pytest.raises(Misuse) as refused:
        drafted(**options)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({}, ""),
        ({"process_in": timedelta(0)}, ""),
        ({"process_in": timedelta(seconds=90)}, "+90000"),
        ({"process_in": timedelta(microseconds=1)}, "+1"),
        ({"process_at": datetime(2027, 1, 15, 8, tzinfo=UTC)}, "1800000000000"),
        ({"process_at": datetime(2027, 1, 15, 8, 0, 0, 1, tzinfo=UTC)}, "1800000000001"),
        ({"process_at": datetime(1960, 1, 1, tzinfo=UTC)}, "1"),
    ],
)
def test_a_start_is_never_rounded_down(options: dict[str, Any], due: str) -> None:
    assert drafted(**options).due == due


@pytest.mark.parametrize(
    ("options", "until", "ttl_s", "due"),
    [
        ({}, "", 0, ""),
        ({"unique_for": MINUTE}, "", 60, ""),
        ({"unique_until": "started"}, "started", 30 * 86_400, ""),
        ({"unique_until": "done", "unique_for": MINUTE}, "done", 60, ""),
        ({"debounce": timedelta(milliseconds=1500)}, "debounce", 30 * 86_400, "+1500"),
        ({"debounce": SECOND, "unique_until": "started", "unique_for": MINUTE}, "debounce", 60, "+1000"),
    ],
)
def test_a_lock_ends_by_time_or_by_what_happens(options: dict[str, Any], until: str, ttl_s: int, due: str) -> None:
    made = drafted(**options)
    assert (made.until, made.lock_ttl_s, made.due, bool(made.lock)) == (until, ttl_s, due, ttl_s > 0)


def test_the_lock_follows_queue_type_and_payload_only() -> None:
    same = [drafted(unique_for=MINUTE).lock, drafted(unique_for=HOUR, task_id="x", headers={"a": "b"}).lock]
    assert len(set(same)) == 1
    others = {drafted(unique_for=MINUTE, queue="low").lock, draft(Job("t"), {"unique_for": MINUTE}, ID).lock}
    assert len(others | set(same)) == 3
    assert draft(Job("t"), {"unique_for": MINUTE}, ID).lock == "asynq:{default}:unique:t:"


def test_options_of_the_call_win_and_headers_merge() -> None:
    job = Job("t", b"{}", {"queue": "low", "max_retry": 1, "headers": {"a": "1", "b": "1"}})
    sent = decode_task(draft(job, {"queue": "high", "headers": {"b": "2", "c": "2"}}, ID).message)
    assert (sent.queue, sent.retry, sent.headers) == ("high", 1, {"a": "1", "b": "2", "c": "2"})
    assert job.options["queue"] == "low"


def test_the_later_start_replaces_the_earlier() -> None:
    at = datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert merge({"process_at": at}, {"process_in": HOUR}) == {"process_in": HOUR}
    assert merge({"process_in": HOUR}, {"process_at": at}) == {"process_at": at}
    assert Job("t").with_options(process_in=HOUR).with_options(process_at=at).options == {"process_at": at}


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (None, None),
        (b"", b""),
        (b"\xff", b"\xff"),
        ({"a": 1, "b": [None]}, b'{"a":1,"b":[null]}'),
        ("x\ny", b'"x\\ny"'),
    ],
)
def test_a_payload_is_bytes_or_becomes_one_line_of_json(payload: Any, sent: bytes | None) -> None:
    assert as_job("t", payload) == Job("t", sent)


@pytest.mark.parametrize("payload", [object(), {"a": object()}, "\ud800"])
def test_a_payload_that_json_cannot_carry_is_refused(payload: Any) -> None:
    with pytest.raises(PayloadError):
        as_job("t", payload)


def test_a_job_brings_its_own_payload() -> None:
    job = Job("t", b"x")
    assert as_job(job) is job
    with pytest.raises(Misuse):
        as_job(job, b"y")


def test_no_repr_shows_a_payload() -> None:
    job = Job("t", b"secret", {"headers": {"h": "secret"}})
    sent = draft(job, {}, ID)
    assert "secret" not in f"{job!r} {sent!r} {decode_task(sent.message)!r}"


def test_options_are_shown_in_the_words_of_asynqs_tools() -> None:
    shown = option_texts(
        Options(
            queue='e"\u00e9',
            max_retry=0,
            timeout=timedelta(seconds=90),
            unique_for=timedelta(hours=24),
            process_in=timedelta(seconds=90.5),
            retention=HOUR,
            deadline=datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC),
            headers={"k": "<v>"},
        )
    )
    assert shown == (
        'Queue("e\\"\u00e9")',
        "MaxRetry(0)",
        "Timeout(1m30s)",
        "Unique(24h0m0s)",
        "ProcessIn(1m30.5s)",
        "Retention(1h0m0s)",
        "Deadline(Wed Mar  4 15:06:07 UTC 2026)",
        'Header(["k","\\u003cv\\u003e"])',
    )


# -- a task's own options are worked out once


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "l\u00f6w", "max_retry": 3, "timeout": MINUTE, "retention": HOUR, "headers": {"b": "1", "a": ""}},
        {"deadline": datetime(2100, 1, 1, tzinfo=UTC), "group": "g"},
        {"process_in": MINUTE},
        {"process_at": datetime(2100, 1, 1, tzinfo=UTC)},
        {"unique_for": MINUTE},
        {"unique_until": "done", "unique_key": "k"},
        {"debounce": MINUTE},
        {"task_id": "always this"},
    ],
)
def test_a_task_drafts_what_its_options_say(options: Any) -> None:
    @Tasks().task("t\u00f6", **options)
    async def t(n: int) -> None: ...

    for call in ({}, {"queue": "other", "task_id": "mine"}):
        plain = Job("t\u00f6", b'{"n":1}', Options(**options))
        assert draft(t.job(1), Options(**call), ID) == draft(plain, Options(**call), ID)
        assert draft(t.job(1).with_options(**call), {}, ID) == draft(plain, Options(**call), ID)
    assert t.job(1) == Job("t\u00f6", b'{"n":1}', Options(**options))


def test_an_option_that_can_never_work_is_refused_at_the_definition() -> None:
    with pytest.raises(Misuse):
        Tasks().task("t", unique_for=SECOND / 2)(lambda: None)


# -- ids


def test_ids_are_random_uuids_also_in_a_forked_process() -> None:
    drawn = [new_id() for _ in range(1_000)]
    assert all(uuid.UUID(one).version == 4 and str(uuid.UUID(one)) == one for one in drawn)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, "\n".join(new_id() for _ in range(300)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        os.close(writer)
        theirs = pipe.read().split()
    assert len({*drawn, *theirs, *(new_id() for _ in range(300))}) == 1_600
