"""Defining tasks: typed calls become JSON and come back typed."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.errors import Misuse
from hustlex.jobs import CronError, Job, PayloadError, Tasks


class Money(msgspec.Struct):
    amount: Decimal
    currency: str = "NGN"


@dataclasses.dataclass
class Place:
    city: str


class Person(pydantic.BaseModel):
    name: str
    born: datetime | None = None


class Kind(enum.Enum):
    CARD = "card"


async def everything(
    gig_id: int,
    money: Money,
    place: Place | None = None,
    *,
    person: Person | None = None,
    people: list[Person] = [],  # noqa: B006 - a default stays the function's own
    kind: Kind = Kind.CARD,
    reference: UUID | None = None,
    at: datetime | None = None,
    raw: bytes = b"",
) -> int:
    """What it does."""
    return gig_id


def test_every_type_comes_back_as_it_was() -> None:
    tasks = Tasks()
    task = tasks.task("gig:x")(everything)
    call: dict[str, Any] = {
        "money": Money(Decimal("10.50")),
        "place": Place("Lagos"),
        "person": Person(name="Ada", born=datetime(2000, 1, 1, tzinfo=UTC)),
        "people": [Person(name="Bola")],
        "kind": Kind.CARD,
        "reference": UUID(int=7),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "raw": b"\xff",
    }
    job = task.job(42, **call)
    assert task.arguments(job.payload) == {"gig_id": 42, **call}
    assert b"\n" not in (job.payload or b"\n") and json.loads(job.payload or b"")["gig_id"] == 42


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1))
def test_any_text_is_one_line_of_json(text: str, number: int) -> None:
    def greet(text: str, number: int) -> None: ...

    task = Tasks().task("greet")(greet)
    payload = task.job(text, number=number).payload or b""
    assert not set(b"\n\r\t") & set(payload)
    assert task.arguments(payload) == {"text": text, "number": number}


def test_the_task_is_still_the_function() -> None:
    task = Tasks().task("gig:x")(everything)
    assert (task.__name__, task.__doc__, task.is_async) == ("everything", "What it does.", True)
    coroutine = task(1, Money(Decimal(1)))
    assert inspect.iscoroutine(coroutine)
    coroutine.close()

    def add(a: int, b: int = 2) -> int:
        return a + b

    plain = Tasks().task("add")(add)
    assert (plain(1), plain(1, b=1), plain.is_async) == (3, 2, False)


def test_left_out_arguments_keep_the_functions_default() -> None:
    def handler(a: int, b: str = "later changed", c: list[int] | None = None) -> None: ...

    task = Tasks().task("t")(handler)
    assert task.job(1).payload == b'{"a":1}'
    assert task.arguments(b'{"a":1}') == {"a": 1}
    assert task.arguments(b'{"a":1,"c":null,"unknown":2}') == {"a": 1, "c": None}


def test_a_handler_without_parameters_takes_any_payload() -> None:
    def handler() -> None: ...

    task = Tasks().task("t")(handler)
    assert task.job().payload == b"{}"
    assert [task.arguments(payload) for payload in (None, b"\xff", b"[1]")] == [{}, {}, {}]


@pytest.mark.parametrize(
    "payload",
    [None, b"", b"null", b"[]", b"{", b"\xff", b'{"money":{"amount":"1"}}',
     b'{"gig_id":"secret","money":{"amount":"1"}}',
     b'{"gig_id":1,"money":{"amount":"secret"}}', b'{"gig_id":1,"money":{"amount":"1"},"person":{"nom":"secret"}}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_payload_that_does_not_fit_is_refused_without_showing_it(payload: bytes | None) -> None:
    task = Tasks().task("gig:x")(everything)
    with pytest.raises(PayloadError) as refusal:
        task.arguments(payload)
    assert "secret" not in str(refusal.value) and "gig:x" in str(refusal.value)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((), {}),
        (("1",), {}),
        ((1, 2, 3, 4), {}),
        ((1,), {"nobody": 1}),
        ((1,), {"a": 2}),
        ((object(),), {}),
        (("\ud800",), {}),
    ],
)
def test_a_call_that_does_not_fit_is_refused_where_it_is_made(args: tuple[Any, ...], options: dict[str, Any]) -> None:
    def handler(a: int, b: int = 0) -> None: ...

    task = Tasks().task("t")(handler)
    with pytest.raises(PayloadError):
        task.job(*args, **options)


@pytest.mark.parametrize("handler", [lambda *args: None, lambda **options: None, lambda a, /: None])
def test_a_handler_whose_arguments_have_no_names_is_refused(handler: Any) -> None:
    with pytest.raises(Misuse):
        Tasks().task("t")(handler)


def test_options_come_from_the_set_then_the_task() -> None:
    tasks = Tasks(queue="low", max_retry=1)

    @tasks.task("t", max_retry=5, timeout=timedelta(seconds=30))
    def handler() -> None: ...

    assert handler.job().options == {"queue": "low", "max_retry": 5, "timeout": timedelta(seconds=30)}


@pytest.mark.parametrize("options", [{"queue": " "}, {"timeout": timedelta(milliseconds=1)}, {"typo": 1}])
def test_bad_options_are_refused_at_definition(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        Tasks().task("t", **options)(lambda: None)


def test_a_type_is_found_exactly_else_by_its_longest_declared_prefix() -> None:
    tasks = Tasks()
    for name in ("email:", "email:welcome", "sms"):
        tasks.task(name, prefix=True)(lambda: None)
    found = {name: task.type if (task := tasks.find(name)) else None for name in (
        "email:welcome", "email:welcome:2", "email:bye", "email", "sms", "smsx", "push", "")}  # fmt: skip
    assert found == {
        "email:welcome": "email:welcome",
        "email:welcome:2": "email:welcome",
        "email:bye": "email:",
        "email": None,
        "sms": "sms",
        "smsx": "sms",
        "push": None,
        "": None,
    }


def test_a_later_definition_is_found_although_the_type_was_looked_up_before() -> None:
    tasks = Tasks()
    assert tasks.find("a:b") is None
    tasks.task("a:", prefix=True)(lambda: None)
    assert tasks.find("a:b") is not None
    exact = tasks.task("a:b")(lambda: None)
    assert tasks.find("a:b") is exact


def test_a_million_unknown_types_do_not_fill_the_memory() -> None:
    tasks = Tasks()
    for number in range(20_001):
        tasks.find(f"unknown:{number}")
    assert len(tasks._found) <= 10_000


def test_a_type_is_defined_once_also_across_sets() -> None:
    tasks, other = Tasks(), Tasks()
    tasks.task("t")(lambda: None)
    other.task("t")(lambda: None)
    with pytest.raises(Misuse):
        tasks.task("t")(lambda: None)
    with pytest.raises(Misuse):
        tasks.include(other)


def test_include_takes_tasks_and_periodic_entries() -> None:
    tasks, other = Tasks(), Tasks()
    task = other.task("t")(lambda: None)
    entry = other.cron("daily", "@daily", task.job())
    tasks.include(other)
    assert (list(tasks), tasks.periodic, len(tasks)) == ([task], (entry,), 1)


def test_a_periodic_entry_shows_its_zone_and_knows_its_next_firing() -> None:
    entry = Tasks().cron("weekly", "0 9 * * 1", Job("t"), timezone="Africa/Lagos")
    assert entry.spec == "CRON_TZ=Africa/Lagos 0 9 * * 1"
    assert entry.schedule.next_after(datetime(2026, 3, 7, tzinfo=UTC)) == datetime(2026, 3, 9, 8, tzinfo=UTC)
    assert Tasks().cron("hourly", "@hourly", Job("t")).spec == "@hourly"


def test_a_periodic_job_is_judged_whole_when_it_is_defined() -> None:
    entry = Tasks().cron("n", "@daily", Job(7, None, {"queue": 5}))  # type: ignore[arg-type, typeddict-item]
    assert (entry.job.type, entry.job.options) == ("7", {"queue": "5"})
    with pytest.raises(Misuse, match="64 KiB"):
        Tasks().cron("n", "@daily", Job("t", b"x" * 70_000))


def test_periodic_names_are_used_once_and_specs_are_checked() -> None:
    tasks = Tasks()
    tasks.cron("n", "@daily", Job("t"))
    with pytest.raises(Misuse):
        tasks.cron("n", "@hourly", Job("t"))
    with pytest.raises(CronError):
        tasks.cron("m", "every day", Job("t"))
