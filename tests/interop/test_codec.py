"""Messages, keys, texts and firings: ours against the library's own, value by value. No server runs here.

The generated message types are internal to the library, so go/codec.go takes them from protobuf's registry, where
they register themselves. PeriodicTaskManager's hash is not compared: we have no such manager.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hustlex.jobs import Job, gotext, wire
from hustlex.jobs.enqueue.options import Options, option_texts
from hustlex.jobs.schedule import cron
from hustlex.jobs.schedule.cron import CronError
from hustlex.jobs.wire import SchedulerEnqueueEvent, SchedulerEntry, ServerInfo, TaskMessage, WorkerInfo
from tests.interop.support import GoClient, GoError, encoded, spec
from tests.support.depth import examples
from tests.unit.test_jobs_cron import RECORDED
from tests.unit.test_jobs_wire import MESSAGES, SERVER, TASKS, T

WITH_GO = settings(
    max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BYTES_FIELDS = ("payload", "task_payload")


def go_view(codec: GoClient, kind: str, data: bytes) -> tuple[dict[str, Any], bytes]:
    """What the library reads in a message, and the bytes it writes for it."""
    answer = codec("decode", message=kind, bytes=encoded(data))
    return answer["json"], base64.b64decode(answer["bytes"])


def as_json(task: TaskMessage) -> dict[str, Any]:
    """A task as protobuf's JSON has it: 64-bit numbers as text, bytes as base64."""
    long = ("timeout", "deadline", "last_failed_at", "retention", "completed_at")
    view = {name: getattr(task, name) for name in TaskMessage.__struct_fields__}
    return view | {name: str(view[name]) for name in long} | {"payload": encoded(task.payload or b"")}


# -- A1 to A4: messages


@pytest.mark.parametrize("name", TASKS)
def test_go_writes_each_golden_task_and_reads_what_we_write(codec: GoClient, name: str) -> None:
    task, golden = TASKS[name]
    view, again = go_view(codec, "TaskMessage", wire.encode_task(task))
    assert (view, again.hex()) == (as_json(task), golden)
    assert base64.b64decode(codec("encode", message="TaskMessage", json=as_json(task))).hex() == golden


@WITH_GO
@given(task=MESSAGES)
def test_a_task_survives_both_languages(codec: GoClient, task: TaskMessage) -> None:
    cleaned = wire.decode_task(wire.encode_task(task))
    view, again = go_view(codec, "TaskMessage", wire.encode_task(task))
    assert view == as_json(cleaned)
    assert wire.decode_task(again) == cleaned
    if len(cleaned.headers) < 2:
        assert again == wire.encode_task(task)


@pytest.mark.parametrize(
    "task",
    [
        TaskMessage("t", b"\x00" * 1_000_000, "big"),
        TaskMessage("nul\0", b"\0", "nul\0"),
        TaskMessage("emoji 🚀", "🚀".encode(), "🚀", "queue 🚀", error_msg="💥", headers={"🔑": "é", "": ""}),
        TaskMessage("lone \ud800 surrogate", b"x", error_msg="\udfff", headers={"\ud83d": "\ude80"}),
        TaskMessage("many", headers={f"key {n}": f"value {n}" for n in range(50)}),
    ],
    ids=lambda task: task.type[:5],
)
def test_odd_content_survives_both_languages(codec: GoClient, task: TaskMessage) -> None:
    cleaned = wire.decode_task(wire.encode_task(task))
    view, again = go_view(codec, "TaskMessage", wire.encode_task(task))
    assert view == as_json(cleaned)
    assert wire.decode_task(again) == cleaned


@pytest.mark.parametrize(
    "data", [b"\x0a\x02a\xff", b"\x0a\x05a", b"\x3a\x01\xff", b"\x7a\x05\x0a\x01k\x12\x01\xff", b"\xff"]
)
def test_what_go_cannot_read_neither_can_we(codec: GoClient, data: bytes) -> None:
    """A wrong length, broken text: a message like this stops the library's crash recovery, so we never write one."""
    with pytest.raises(wire.WireError):
        wire.decode_task(data)
    with pytest.raises(GoError):
        go_view(codec, "TaskMessage", data)


@WITH_GO
@given(data=st.binary(max_size=60) | st.sampled_from([bytes.fromhex(golden) for _, golden in TASKS.values()]))
def test_both_read_the_same_bytes_or_both_refuse_them(codec: GoClient, data: bytes) -> None:
    try:
        ours = wire.decode_task(data)
    except wire.WireError:
        with pytest.raises(GoError):
            go_view(codec, "TaskMessage", data)
        return
    assert go_view(codec, "TaskMessage", data)[0] == as_json(ours)


@pytest.mark.parametrize(
    ("kind", "data", "decode"),
    [
        ("ServerInfo", wire.encode_server(SERVER), wire.decode_server),
        (
            "ServerInfo",
            wire.encode_server(ServerInfo("h", 1, "s", 5, {"a": 6, "b c": 1}, True, "closed", 0, 3)),
            wire.decode_server,
        ),
        (
            "WorkerInfo",
            wire.encode_worker(WorkerInfo("h", 1, "s", "id", "t", b"\xff", "q", T, T + 1)),
            wire.decode_worker,
        ),
        (
            "SchedulerEntry",
            wire.encode_entry(SchedulerEntry("e", "@daily", "t", None, ('Queue("q")',), T)),
            wire.decode_entry,
        ),
        ("SchedulerEnqueueEvent", wire.encode_event(SchedulerEnqueueEvent("id", T)), wire.decode_event),
    ],
    ids=["server", "server with everything", "worker", "entry", "event"],
)
def test_registry_messages_survive_both_languages(codec: GoClient, kind: str, data: bytes, decode: Any) -> None:
    view, again = go_view(codec, kind, data)
    rewritten = base64.b64decode(codec("encode", message=kind, json=view))
    assert decode(again) == decode(rewritten) == decode(data)
    assert len(again) == len(data)


# -- A6: option texts, Go's text forms


OPTIONS: list[dict[str, Any]] = [
    {"queue": 'low "and" slow', "max_retry": 10},
    {"task_id": "id\n\t\x01\x7f\\", "group": "é\u200b\U0001f680"},
    {"timeout": timedelta(seconds=90), "unique_for": timedelta(hours=24, seconds=1.5)},
    {"retention": timedelta(days=2), "process_in": timedelta(milliseconds=1500)},
    {"deadline": datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)},
    {"process_at": datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options))
def test_options_are_written_as_the_library_does(codec: GoClient, options: Options) -> None:
    theirs = codec("option texts", task=spec(Job("t", None, options)))
    assert sorted(option_texts(options)) == sorted(theirs)


# Characters that every Unicode version in use knows: whether later ones are printable differs.
OLD = st.characters(exclude_categories=["Cs"]).filter(lambda c: unicodedata.ucd_3_2_0.category(c) != "Cn")


@WITH_GO
@given(text=st.text(OLD, max_size=30))
def test_text_is_quoted_as_go_does(codec: GoClient, text: str) -> None:
    assert gotext.quote(text) == codec("quote", text=text)


@WITH_GO
@given(duration=st.timedeltas(timedelta(days=-90_000), timedelta(days=90_000)))
def test_durations_are_written_and_read_as_go_does(codec: GoClient, duration: timedelta) -> None:
    nanoseconds = duration // timedelta(microseconds=1) * 1000
    text = codec("format duration", ns=nanoseconds)
    assert gotext.format_duration(duration) == text
    assert gotext.parse_duration(text) == duration


UNIT = st.sampled_from(["ns", "us", "µs", "ms", "s", "m", "h", "", "d", "S"])
NUMBER = st.sampled_from(["0", "1", "1.5", ".5", "2.", "+1", "-2", ".", "", "007", "1.0000001", "100"])


@WITH_GO
@given(parts=st.lists(st.tuples(NUMBER, UNIT), max_size=3))
def test_both_read_the_same_durations_or_both_refuse_them(codec: GoClient, parts: list[tuple[str, str]]) -> None:
    text = "".join(number + unit for number, unit in parts)
    try:
        theirs = codec("parse duration", text=text)
    except GoError:
        with pytest.raises(ValueError, match="duration"):
            gotext.parse_duration(text)
        return
    assert abs(gotext.parse_duration(text) // timedelta(microseconds=1) * 1000 - theirs) < 1000


# -- F1: when cron entries fire

YEAR_S = 366 * 86_400
START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
ZONES = [
    "UTC",
    "Africa/Lagos",
    "America/New_York",
    "America/Havana",
    "Australia/Adelaide",
    "Asia/Kathmandu",
    "Europe/London",
    "America/Sao_Paulo",
    "Pacific/Apia",
]
SPECS = [
    *RECORDED,
    "@every 90s",
    "@every 1500ms",
    "@every 36h",
    "30 1,2 * * *",
    "0 0 29 2 *",
    "0 0 31 * *",
    "0 12 13 * 5",
    "59 23 31 12 *",
    "*/7 3-5 * jan-mar mon-fri",
    "@hourly",
    "@monthly",
    "@yearly",
]


def our_fires(text: str, zone: str, start: datetime, until: int, most: int) -> list[int]:
    schedule, found, at = cron.parse(text, zone), [], start
    while len(found) < most:
        following = schedule.next_after(at)
        if following is None or following.timestamp() > until:
            break
        at = following
        found.append(int(at.timestamp()))
    return found


def go_fires(codec: GoClient, text: str, zone: str, start: datetime, until: int, most: int) -> list[int]:
    found: list[int] = codec("fires", spec=text, location=zone, start=int(start.timestamp()), until=until, most=most)
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_firings_is_the_same(codec: GoClient, zone: str) -> None:
    """A year of the rare ones, the first thousand firings of the frequent ones, and those around each clock change."""
    until = int(START.timestamp()) + YEAR_S
    starts = [START, datetime(2026, 3, 7, 20, tzinfo=UTC), datetime(2026, 10, 3, 9, tzinfo=UTC)]
    for text in SPECS:
        for start in [*starts, datetime(2026, 10, 31, 20, tzinfo=UTC), datetime(2026, 3, 28, 20, tzinfo=UTC)]:
            most = 1000 if start == START else 100
            ours = our_fires(text, zone, start, until, most)
            assert ours == go_fires(codec, text, zone, start, until, most), (text, start)


def test_after_a_change_of_half_an_hour_the_library_misses_a_midnight_and_we_do_not(codec: GoClient) -> None:
    """Its search goes in whole hours and so passes over the midnight after Lord Howe's change; the only such zone."""
    zone, start = "Australia/Lord_Howe", datetime(2026, 4, 4, 13, tzinfo=UTC)
    expected = int(datetime(2026, 4, 5, 13, 30, tzinfo=UTC).timestamp())
    assert our_fires("0 0 */2 * 1", zone, start, 2**40, 1) == [expected]
    assert go_fires(codec, "0 0 */2 * 1", zone, start, 2**40, 1) == [expected + 86_400]


def field(low: int, high: int, names: str = "") -> st.SearchStrategy[str]:
    """One field of a spec, mostly valid."""
    number = st.integers(max(0, low - 1), high + 1).map(str)
    if names:
        number = number | st.sampled_from(names.split())
    span = st.builds("{}-{}".format, number, number)
    part = number | span | st.sampled_from(["*", "?"])
    stepped = st.builds("{}/{}".format, part, st.integers(0, high).map(str))
    return st.lists(part | stepped, min_size=1, max_size=3).map(",".join) | st.just("*")


TEXTS = st.builds(
    "{} {} {} {} {}".format,
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12, "jan FEB Dec june"),
    field(0, 6, "sun MON Sat monday"),
)


@WITH_GO
@given(
    text=TEXTS,
    zone=st.sampled_from(ZONES),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001
)
def test_both_read_the_same_specs_and_fire_alike(codec: GoClient, text: str, zone: str, start: datetime) -> None:
    start = start.replace(tzinfo=UTC, microsecond=0)
    try:
        theirs = go_fires(codec, text, zone, start, 2**40, 5)
    except GoError:
        if "7" not in text.rsplit(maxsplit=1)[-1]:  # for us it is Sunday, as for Unix
            with pytest.raises(CronError):
                cron.parse(text, zone)
        return
    try:
        ours = our_fires(text, zone, start, 2**40, 5)
    except CronError as refused:
        ours = [] if "never fires" in str(refused) else [str(refused)]
    assert ours == theirs


def test_sunday_may_be_written_as_seven(codec: GoClient) -> None:
    """The library knows 0 alone."""
    with pytest.raises(GoError):
        go_fires(codec, "0 9 * * 7", "UTC", START, 2**40, 3)
    assert our_fires("0 9 * * 7", "UTC", START, 2**40, 3) == go_fires(codec, "0 9 * * 0", "UTC", START, 2**40, 3)


def test_what_never_fires_for_the_library_is_refused(codec: GoClient) -> None:
    assert go_fires(codec, "0 0 30 2 *", "UTC", START, 2**40, 3) == []
    with pytest.raises(CronError, match="never fires"):
        cron.parse("0 0 30 2 *", "UTC")


@pytest.mark.parametrize("text", ["* * * *", "@reboot", "60 * * * *", "*/0 * * * *", "", "@every soon"])
def test_what_the_library_refuses_is_refused(codec: GoClient, text: str) -> None:
    with pytest.raises(GoError):
        go_fires(codec, text, "UTC", START, 2**40, 1)
    with pytest.raises(CronError):
        cron.parse(text)


def test_a_zone_without_a_schedule_is_an_error_for_us_and_a_crash_for_the_library(codec: GoClient) -> None:
    with pytest.raises(GoError) as crash:
        go_fires(codec, "TZ=UTC", "UTC", START, 2**40, 1)
    assert crash.value.kind == "panic"
    with pytest.raises(CronError):
        cron.parse("TZ=UTC")


def test_headers_are_shown_in_go_json(codec: GoClient) -> None:
    """The library's released version has no Header option; the master's writes the pair as encoding/json does."""
    pair = ["k<&>\u2028", 'v"\\\n']
    assert json.loads(gotext.format_header(*pair)) == pair
    assert gotext.format_header(*pair) == '["k\\u003c\\u0026\\u003e\\u2028","v\\"\\\\\\n"]'
