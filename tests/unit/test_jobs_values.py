"""Arguments and results arrive as they were, equal calls have one text, and what cannot be served is refused early."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import enum
import functools
import math
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import annotated_types
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core import codec
from hustlex.errors import Misuse
from hustlex.jobs import Aggregate, Job, PayloadError, Tasks, current_job
from hustlex.jobs.define import results
from hustlex.jobs.define.arguments import Arguments
from hustlex.jobs.define.results import ResultType
from hustlex.testing import eager

if typing.TYPE_CHECKING:
    from fractions import Fraction

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"


class Rank(enum.IntEnum):
    FIRST = 1


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Money(msgspec.Struct, frozen=True):
    amount: Decimal
    currency: str = "NGN"


class Loose(msgspec.Struct, eq=False):
    amount: int


@dataclasses.dataclass(frozen=True)
class User:
    name: str


@dataclasses.dataclass(frozen=True)
class Admin(User):
    rights: str = "all"


class Person(pydantic.BaseModel):
    name: str
    born: date | None = None


class Aliased(pydantic.BaseModel):
    given_name: str = pydantic.Field(alias="givenName")


class TwoNames(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    amount: int = pydantic.Field(validation_alias="in", serialization_alias="out")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.amount


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


class Hidden(pydantic.BaseModel):
    name: str
    note: str = pydantic.Field(default="", exclude=True)


class Tagged(pydantic.BaseModel):
    tags: set[str]


VALUES: list[tuple[Any, Any]] = [
    (int, 2**80),
    (float, 1.5),
    (bool, True),
    (str, "é\n"),
    (bytes, b"\xff"),
    (Decimal, Decimal("10.50")),
    (UUID, UUID(int=7)),
    (Color, Color.RED),
    (Rank, Rank.FIRST),
    (datetime, datetime(2026, 1, 2, tzinfo=UTC)),
    (date, date(2026, 1, 2)),
    (time, time(1, 2)),
    (timedelta, timedelta(days=1, microseconds=3)),
    (Money, Money(Decimal("1.10"))),
    (Loose, Loose(3)),
    (User, User("Ada")),
    (Person, Person(name="Ada", born=date(2000, 1, 1))),
    (Aliased, Aliased(givenName="Ada")),
    (TwoNames, TwoNames.model_validate({"in": 3})),
    (Tagged, Tagged(tags={"b", "a"})),
    (set[int], {3, 1, 2}),
    (frozenset[str], frozenset({"b", "a"})),
    (list[Person], [Person(name="Ada")]),
    (dict[UUID, list[Money]], {UUID(int=1): [Money(Decimal(1))]}),
    (dict[int, str], {2: "b", 1: "a"}),
    (tuple[int, str], (1, "a")),
    (Person | None, Person(name="Ada")),
    (set[int | str], {1, "a"}),
    (Any, {"a": [1, None, "x", 2.5]}),
]


def taking(kind: Any) -> Any:
    def handler(value: Any) -> Any: ...

    handler.__annotations__ = {"value": kind, "return": kind}
    return Tasks().task("t")(handler)


def fields(value: Any) -> Any:
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_arguments_and_results_take_the_same_types(kind: Any, value: Any) -> None:
    task = taking(kind)
    (arrived,) = task.arguments(task.job(value).payload).values()
    came_back = task.result.decode(task.result.encode(value))
    assert fields(arrived) == fields(value) == fields(came_back)
    assert type(arrived) is type(value) is type(came_back)


CHANGED: list[tuple[Any, Any, str]] = [
    (float, math.nan, "argument 'value' of 't' is nan"),
    (float | None, math.nan, "is nan"),
    (float, -math.inf, "is -inf"),
    (Any, {"a": [1.0, math.inf]}, "argument 'value' of 't'.a[1] is inf"),
    (Decimal, Decimal("NaN"), "argument 'value'"),
    (dict[str, float | None], {"rate": math.nan}, "'t'.rate is nan"),
    (str, "a\ud800b", "half a character (U+D800)"),
    (list[str], ["\udc80"], "'t'[0] holds half a character (U+DC80)"),
    (Any, {"\ud800": 1}, "half a character"),
    (Login, Login(password=pydantic.SecretStr("hush-hush")), "'t'.password would not arrive"),
    (Hidden, Hidden(name="a", note="x"), "'t'.note"),
    (User, Admin("Ada"), "argument 'value' of 't' would not arrive"),
    (list[User], [User("a"), Admin("b")], "'t'[1]"),
    (Any, UUID(int=1), "would not arrive as it is"),
    (Any, {1: "a"}, "would not arrive"),
    (dict, {"at": datetime(2026, 1, 1, tzinfo=UTC)}, "'t'.at"),
    (Any, {1, 2}, "would not arrive"),
    (Money, {"amount": "1", "curency": "USD"}, "'t'.curency"),
    (Any, object(), "argument 'value'"),
    (Any, Color.RED, "would not arrive"),
]


@pytest.mark.parametrize(("kind", "value", "words"), CHANGED)
def test_what_would_arrive_as_another_value_is_refused_by_name(kind: Any, value: Any, words: str) -> None:
    task = taking(kind)
    with pytest.raises(PayloadError) as refusal:
        task.job(value)
    assert words in str(refusal.value) and "hush" not in str(refusal.value)
    with pytest.raises(PayloadError):
        task.result.encode(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: "a", "1": "b"}, "two keys that are one text"),
        ([{Color.RED: 1, Color.RED.value: 2}], "two keys that are one text"),
        (msgspec.Raw(b'{"a":'), "a msgspec.Raw that is no JSON"),
        ({"a": [msgspec.Raw(b"")]}, "a msgspec.Raw that is no JSON"),
        (msgspec.Raw(b'"\xff"'), "a msgspec.Raw that is no JSON"),
    ],
)
def test_what_nobody_could_read_again_is_refused_without_annotations_too(value: Any, words: str) -> None:
    """Found in results: the job had succeeded, and nobody could have its value."""
    for write in (ResultType(lambda: None, "t").encode, results.dumps, lambda value: untyped(value).payload):
        with pytest.raises(PayloadError, match=words):
            write(value)


def untyped(value: Any) -> Job[Any]:
    tasks = Tasks()

    @tasks.task("untyped")
    async def take(value):  # type: ignore[no-untyped-def]
        ...

    return take.job(value)


def test_what_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(PayloadError, match="holds itself"):
        taking(Any).job(loop)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(datetime, "2026-01-02T00:00:00Z"), (Decimal, "1.5"), (Money, {"amount": "1"}), (list[int], (1, 2))],
)
def test_plain_values_that_the_type_reads_are_taken(kind: Any, value: Any) -> None:
    taking(kind).job(value)


def lock(job: Job) -> str:
    from hustlex.jobs.enqueue.draft import draft

    return draft(job, {"unique_for": timedelta(minutes=1)}, "id").lock


def test_equal_calls_are_one_job() -> None:
    @Tasks().task("t")
    def handler(a: int, b: dict[str, int] = {}, *, c: set[str] = frozenset(), d: Person | None = None) -> None: ...  # type: ignore[assignment] # noqa: B006

    calls = [
        handler.job(1),
        handler.job(a=1, b={}),
        handler.job(c=set(), a=1, d=None),
        handler.job(1, {}, d=None, c=set()),
    ]
    assert len({lock(call) for call in calls}) == 1
    assert handler.job(1).payload == b'{"a":1}'
    one = handler.job(1, {"x": 1, "y": 2}, c={"p", "q", "r"})
    assert one.payload == handler.job(c={"r", "p", "q"}, b={"y": 2, "x": 1}, a=1).payload
    assert lock(one) != lock(calls[0])


class Later:
    def __call__(self, n: int) -> int:
        return n

    async def run(self, n: int) -> int:
        return n


class LaterAsync:
    async def __call__(self, n: int) -> int:
        return n


async def plus(n: int, more: int = 1) -> int:
    await asyncio.sleep(0)
    return n + more


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


async def twice(n: int) -> Any:
    return plus(n)


def task_of(n: int) -> Any:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.set_result(n + 1)
    return future


async def future_of(n: int) -> Any:
    return asyncio.create_task(plus(n))


HANDLERS: dict[str, Any] = {
    "decorated": decorated(plus),
    "lambda": lambda n: plus(n),
    "partial": functools.partial(plus, more=1),
    "partial of decorated": functools.partial(decorated(plus), more=1),
    "coroutine in coroutine": twice,
    "thread's future": task_of,
    "task": future_of,
}
OTHERS: dict[str, Any] = {"object": Later(), "method": Later().run, "async object": LaterAsync()}


@pytest.mark.parametrize("name", [*HANDLERS, *OTHERS])
async def test_what_a_handler_returns_is_awaited(name: str) -> None:
    tasks = Tasks()
    task = tasks.task("t")((HANDLERS | OTHERS)[name])
    async with eager(tasks) as jobs:
        handle = (await jobs.enqueue(task.job(n=1))).or_raise()
        assert await handle.result(timeout=timedelta(0)) == (2 if name in HANDLERS else 1)


def generate(n: int) -> Iterator[int]:
    yield n


async def stream(n: int) -> AsyncIterator[int]:
    yield n


class Generating:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "handler",
    [
        generate,
        stream,
        functools.partial(generate, 1),
        decorated(stream),
        Generating(),
        Later,
        dict.update,
        5,
        None,
        print,
    ],
)
def test_what_cannot_be_served_is_refused_when_it_is_defined(handler: Any) -> None:
    with pytest.raises(Misuse, match="'t'"):
        Tasks().task("t")(handler)
    if handler not in (dict.update, print):
        with pytest.raises(Misuse):
            Aggregate("", handler)


async def test_a_generator_that_only_shows_at_run_time_fails_once() -> None:
    tasks = Tasks()
    task = tasks.task("t")(lambda n: generate(n))
    async with eager(tasks, propagate=False) as jobs:
        await jobs.enqueue(task.job(1))
        assert isinstance(jobs.ran[0].error, PayloadError) and "nothing of it has run" in str(jobs.ran[0].error)


@pytest.mark.parametrize(
    "kind", [Mixed, User | Money | Admin, Person | Login, Iterator[int], pydantic.SecretStr, list[asyncio.Event]]
)
def test_an_annotation_that_cannot_be_read_is_refused_when_it_is_defined(kind: Any) -> None:
    def bad(fine: int, broken: Any) -> None: ...

    bad.__annotations__["broken"] = kind
    with pytest.raises(Misuse, match="parameter 'broken' of 'shop:sell'"):
        Tasks().task("shop:sell")(bad)

    def returning() -> Any: ...

    returning.__annotations__["return"] = kind
    with pytest.raises(Misuse, match="the result of 'shop:sell'"):
        Tasks().task("shop:sell")(returning)


def test_names_that_are_not_defined_fail_at_the_start_of_a_worker() -> None:
    tasks = Tasks()

    @tasks.task("t")
    def handler(fine: int, share: Fraction) -> None: ...

    with pytest.raises(Misuse, match="parameter 'share' of 't' names 'Fraction'"):
        tasks.check()
    with pytest.raises(Misuse, match="share"):
        handler.job(1, 2)  # type: ignore[arg-type]


def test_a_name_that_is_defined_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = Tasks()

    def handler(place: Any) -> None: ...

    handler.__annotations__["place"] = "LaterDefined"
    task = tasks.task("t")(handler)
    monkeypatch.setitem(globals(), "LaterDefined", User)
    tasks.check()
    assert task.arguments(task.job(User("a")).payload) == {"place": User("a")}


def test_a_type_is_exact_unless_a_prefix_is_declared() -> None:
    tasks = Tasks()
    tasks.task("refund")(lambda: None)
    tasks.task("mail:", prefix=True)(lambda: None)
    tasks.task("mail:welcome", prefix=True)(lambda: None)
    found = {
        name: task.type if (task := tasks.find(name)) else None
        for name in ("refund", "refund:dry_run", "refunds", "mail:bye", "mail:welcome:2", "mail:welcome", "mail")
    }
    assert found == {
        "refund": "refund",
        "refund:dry_run": None,
        "refunds": None,
        "mail:bye": "mail:",
        "mail:welcome:2": "mail:welcome",
        "mail:welcome": "mail:welcome",
        "mail": None,
    }


async def test_what_is_written_wins_over_what_is_returned() -> None:
    tasks = Tasks()

    @tasks.task("t")
    async def handler() -> dict[str, int]:
        await current_job().result.write({"written": 1})
        return {"returned": 1}

    async with eager(tasks) as jobs:
        handle = (await jobs.enqueue(handler.job())).or_raise()
        assert await handle.result(timeout=timedelta(0)) == {"written": 1}


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    at: datetime
    amount: Decimal
    id: UUID


def test_a_strict_model_is_an_argument_and_a_result() -> None:
    async def pay(payment: Strict) -> Strict: ...

    given = Strict(at=datetime(2026, 1, 2, tzinfo=UTC), amount=Decimal("1.50"), id=UUID(int=7))
    task = Tasks().task("pay")(pay)
    assert task.arguments(task.job(given).payload) == {"payment": given}
    assert task.result.decode(task.result.encode(given)) == given
    with pytest.raises(PayloadError, match="not a valid Strict"):
        task.arguments(b'{"payment": {"at": 5, "amount": "1.5", "id": 7}}')


def test_an_annotation_that_no_argument_can_have_is_misuse() -> None:
    async def pay(amount: Any) -> None: ...

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def raises() -> Any:
        raise Mute

    for kind in (Final[int], ClassVar[int]):
        pay.__annotations__["amount"] = kind
        with pytest.raises(Misuse, match="'pay'"):
            Tasks().task("pay")(pay)
    pay.__annotations__["amount"] = "raises()"
    pay.__globals__["raises"] = raises
    with pytest.raises(Misuse, match="cannot be read"):
        Tasks().task("pay")(pay)


@dataclasses.dataclass
class Priced:
    amount: pydantic.PositiveInt


@dataclasses.dataclass
class Boxed(Generic[T]):
    inside: T


class Chain(msgspec.Struct):
    amount: pydantic.PositiveInt
    next: Chain | None = None


class Row(typing.TypedDict, total=False):
    amount: pydantic.PositiveInt


class Paid(pydantic.BaseModel):
    amount: pydantic.PositiveInt


Kobo = typing.NewType("Kobo", pydantic.PositiveInt)
Even = typing.Annotated[int, pydantic.AfterValidator(lambda value: value if value % 2 == 0 else 1 / 0)]
Text = typing.Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]
Price = typing.Annotated[Decimal, pydantic.Field(gt=0, decimal_places=2)]


@pytest.mark.parametrize(
    ("kind", "good", "bad", "where"),
    [
        (pydantic.PositiveInt, 1, 0, "$.amount"),
        (typing.Annotated[int, pydantic.Field(gt=0)] | None, None, -1, "$.amount"),
        (list[pydantic.PositiveInt] | None, [1], [1, -1], "$.amount[1]"),
        (tuple[str, pydantic.PositiveInt], ("a", 1), ("a", 0), "$.amount[1]"),
        (dict[str, Priced], {"a": Priced(1)}, {"a": Priced(0)}, "$.amount[...].amount"),
        (Boxed[pydantic.PositiveInt], Boxed(1), Boxed(0), "$.amount.inside"),
        (Chain, Chain(1, Chain(2)), Chain(1, Chain(0)), "$.amount.next.amount"),
        (Row, {"amount": 1}, {"amount": 0}, "$.amount.amount"),
        (Kobo, 1, 0, "$.amount"),
        (typing.Annotated[list[int], annotated_types.Len(1)], [0], [], "$.amount"),
        (Price, Decimal("1.25"), Decimal("1.255"), "$.amount"),
        (Even, 2, 3, "$.amount"),
        (Text, "x", " x", "$.amount"),
        (
            pydantic.UUID4,
            UUID("a3f0c1d2-0000-4000-8000-000000000000"),
            UUID("a3f0c1d2-0000-1000-8000-000000000000"),
            "$.amount",
        ),
    ],
    ids=[f"kind {n}" for n in range(14)],
)
def test_a_constraint_is_held_where_a_job_is_made_and_where_it_is_read(
    kind: Any, good: Any, bad: Any, where: str
) -> None:
    def pay(amount: Any) -> None: ...

    pay.__annotations__["amount"] = kind
    task = Tasks().task("pay")(pay)
    assert task.arguments(task.job(good).payload)["amount"] == good
    for attempt in (lambda: task.job(bad), lambda: task.arguments(codec.dumps({"amount": bad}))):
        with pytest.raises(PayloadError) as caught:
            attempt()
        assert caught.value.message.endswith(f" - at `{where}`"), caught.value.message


def test_a_result_is_held_to_its_constraint() -> None:
    def count() -> pydantic.PositiveInt:
        return 0

    task = Tasks().task("count")(count)
    assert task.result.decode(task.result.encode(1)) == 1
    with pytest.raises(PayloadError, match="greater than 0"):
        task.result.encode(0)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (typing.Annotated[datetime, annotated_types.Timezone(None)], "a field of a pydantic model, or as msgspec.Meta"),
        (pydantic.AwareDatetime, "take the plain type"),
        (pydantic.HttpUrl, "take the plain type"),
    ],
    ids=["timezone", "aware", "url"],
)
def test_what_nobody_would_hold_is_refused_while_defining_and_says_what_to_write(kind: Any, advice: str) -> None:
    def pay(amount: Any) -> None: ...

    pay.__annotations__["amount"] = kind
    with pytest.raises(Misuse, match=rf"'amount' of 'pay' .*{advice}"):
        Tasks().task("pay")(pay)


def test_a_constraint_that_is_held_is_taken() -> None:
    def pay(
        amount: typing.Annotated[int, msgspec.Meta(gt=0)],
        paid: Paid,
        note: typing.Annotated[str, pydantic.Field(description="for the receipt")] = "",
    ) -> None: ...

    task = Tasks().task("pay")(pay)
    task.job(amount=1, paid=Paid(amount=1))
    for wrong in ({"amount": 0, "paid": Paid(amount=1)}, {"amount": 1, "paid": Paid.model_construct(amount=-1)}):
        with pytest.raises(PayloadError):
            task.job(**wrong)


LAGOS, LONDON = ZoneInfo("Africa/Lagos"), ZoneInfo("Europe/London")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_a_moment_of_an_hour_that_occurs_twice_arrives() -> None:
    def remind(at: datetime) -> None: ...

    task = Tasks().task("remind")(remind)
    for fold in (0, 1):
        at = datetime(2026, 10, 25, 1, 30, fold=fold, tzinfo=LONDON)
        assert task.arguments(task.job(at).payload)["at"].timestamp() == at.timestamp()


def test_a_whole_number_that_a_float_cannot_hold_is_refused() -> None:
    def pay(kobo: float, each: list[float] | None = None) -> None: ...

    task = Tasks().task("pay")(pay)
    assert task.arguments(task.job(2**53, each=[1]).payload) == {"kobo": 2.0**53, "each": [1.0]}
    with pytest.raises(PayloadError, match="'kobo' of 'pay' would not arrive"):
        task.job(2**53 + 1)
    with pytest.raises(PayloadError, match=r"'each' of 'pay'\[1\] would not arrive"):
        task.job(1, each=[1, 2**53 + 1])


@dataclasses.dataclass
class Due:
    at: datetime
    amount: Decimal
    tags: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Due(NOON, Decimal("1.10")), Due(NOON.astimezone(LAGOS), Decimal("1.1"))),
        (Due(NOON, Decimal(100), frozenset("ab")), Due(NOON, Decimal("1E+2"), frozenset("ba"))),
        (Due(NOON, Decimal(0)), Due(NOON, Decimal("-0.00"))),
    ],
)
def test_equal_calls_are_one_job_for_a_lock(first: Due, second: Due) -> None:
    def pay(due: Due, rate: float = 0.0) -> None: ...

    task = Tasks().task("pay")(pay)
    locks = {task.canonical(task.job(due, **more).payload) for due in (first, second) for more in ({}, {"rate": -0.0})}
    assert first == second and len(locks) == 1


def test_calls_that_differ_in_the_last_of_many_digits_are_two_jobs() -> None:
    def pay(amount: Decimal) -> None: ...

    task = Tasks().task("pay")(pay)
    assert len({task.canonical(task.job(Decimal("1." + "0" * 40 + digit)).payload) for digit in "12"}) == 2


@pytest.mark.parametrize(
    "value", [1, "x", [1.5, None], {"b": 1, "a": 2}, Money(Decimal("1.5")), Color.RED, b"x", {3, 1, 2}, NOON]
)
def test_a_settled_text_is_the_usual_one_where_a_value_has_only_one(value: Any) -> None:
    assert codec.settled(value) == codec.dumps(value)


async def exact(number: int, text: str, truth: bool = False) -> None: ...


@given(st.one_of(st.integers(), st.integers().map(lambda n: n * 10**4000), st.booleans()), st.text(), st.booleans())
def test_plain_values_that_are_not_read_again_would_arrive(number: int, text: str, truth: bool) -> None:
    """Whole numbers, text and truth values: what is taken without a look is what a look would have let pass."""
    arguments = Arguments(exact, "exact")
    try:
        payload = arguments.encode((number, text), {"truth": truth})
    except PayloadError:
        return
    arrived = arguments.decode(payload)
    assert arrived == {"number": number, "text": text, "truth": truth}
    assert [*map(type, arrived.values())] == [type(number) if type(number) is int else int, str, bool]
