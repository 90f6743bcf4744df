"""What is typed to find tasks: what it means, and one sentence for what means nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core import cursor
from hustlex.errors import Misuse
from hustlex.jobs.search import marks
from hustlex.jobs.search.marks import Mark, Stop
from hustlex.jobs.search.plan import plan
from hustlex.jobs.search.query import LONGEST, Query, TextTest, parse, whole
from hustlex.jobs.types import State

NOW_S = datetime(2026, 11, 29, 12, 0, tzinfo=UTC).timestamp()
KINDS = ("list", "rising", "hands")


def read(text: str) -> Query:
    return whole(text, NOW_S)


def test_the_example_of_the_guide_is_read() -> None:
    query = read('state:retry,archived type:gig:* error~timeout age>1h -queue:critical id:"a b"')
    assert [(term.field, term.op, term.negated) for term in query.terms] == [
        ("state", ":", False),
        ("type", ":", False),
        ("error", "~", False),
        ("age", ">", False),
        ("queue", ":", True),
        ("id", ":", False),
    ]
    assert query.terms[0].values == (State.RETRY, State.ARCHIVED)
    assert query.terms[1].values == (TextTest("gig:*", "glob", True),)
    assert query.terms[3].values == (3600.0,)
    assert query.terms[5].values == (TextTest("a b", "equal", False),)


@pytest.mark.parametrize(
    ("text", "column", "part"),
    [
        ("state:sleeping", 1, "a state is one of"),
        ("type:a stat:retry", 8, "did you mean state?"),
        ("gig:notify", 1, "goes into quotation marks"),
        ("age:1h", 1, "age goes with > >= < <=, not with :"),
        ("age>soon", 1, "compared with a duration"),
        ("age>99999999d", 1, "compared with a duration"),
        ("next<2026-13-01", 1, "compared with 2h, a date"),
        ("ended>9999-01-01", 1, "compared with 2h, a date"),
        ("type:", 1, "needs a value"),
        ("type: a", 1, "needs a value"),
        ('error~"timeout', 1, "never closed"),
        ('error~"a"b', 1, "put a blank"),
        ("retried>many", 1, "compared with a number"),
        ("retried>\u0661", 1, "compared with a number"),
        ("size>1x", 1, "compared with bytes"),
        ("payload>5", 1, "compares numbers"),
        ("type.a:b", 1, "has no parts"),
        ("is:odd", 1, "orphan, unique"),
        ("group:g*", 1, "whole name"),
        ("state:aggregating", 1, "group:NAME"),
        ("-", 1, "missing"),
        (" ".join(["a"] * 13), 25, "at most 12 terms"),
        ("id:" + ",".join(["a"] * 51), 1, "at most 50 values"),
        ("type:a,", 1, "needs a value"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_at_its_column(text: str, column: int, part: str) -> None:
    [fault] = parse(text, NOW_S).faults
    assert (fault.column, part in fault.sentence) == (column, True), fault
    with pytest.raises(Misuse, match="query: "):
        read(text)


def test_the_rest_of_a_query_with_a_fault_counts() -> None:
    query = parse('nonsense:1 type:a "odd"x state:retry', NOW_S)
    assert [term.field for term in query.terms] == ["type", "state"] and len(query.faults) == 2


@pytest.mark.parametrize("text", ["a" * (LONGEST + 1), "a\x00b", "a\nb", "\ud800", None, 7, b"a", ["a"]])
def test_what_is_no_line_of_text_is_refused(text: object) -> None:
    with pytest.raises(Misuse):
        parse(text, NOW_S)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = parse(text, NOW_S)
    except Misuse:
        return
    assert len(query.terms) <= 12 and all(1 <= fault.column <= max(1, len(text)) for fault in query.faults)
    plan(query)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=20))
def test_any_value_can_be_quoted(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    [term] = read(f'type="{quoted}"').terms
    assert term.values == (TextTest(value, "equal", False),)


@pytest.mark.parametrize(
    ("typed", "value", "found"),
    [
        ("type:gig:*", "gig:notify", True),
        ("type:gig:*", "Gig:Notify", True),
        ("type:Gig:*", "gig:notify", False),
        ("type=gig:*", "gig:notify", False),
        ("type=gig:*", "gig:*", True),
        ("type:*:*:c", "a:b:c", True),
        ("type:a*a", "a", False),
        ("type~NOT", "gig:notify", False),
        ("type~not", "gig:NOTify", True),
        ("type:*", "", True),
        ("type:a*b*c", "acb", False),
    ],
)
def test_texts_are_compared_as_they_are_typed(typed: str, value: str, found: bool) -> None:
    [test] = read(typed).terms[0].values
    assert isinstance(test, TextTest) and test.holds(value) is found


def test_moments_are_of_the_past_but_for_the_next_start() -> None:
    def of(text: str) -> object:
        return read(text).terms[0].values[0]

    assert of("next<2h") == NOW_S + 7200 and of("ended>2h") == NOW_S - 7200
    assert of("ended>2026-11-29") == NOW_S - 12 * 3600 == of("ended>00:00")
    assert of("ended>2026-11-29T11:00:00+01:00") == NOW_S - 7200


def test_a_plan_looks_only_where_it_can_be() -> None:
    def states(text: str) -> list[State]:
        return [place.state for place in plan(read(text)).places]

    assert states("state:retry") == [State.RETRY] and states("-state:retry,active,pending") == [
        State.SCHEDULED, State.COMPLETED, State.ARCHIVED,
    ]  # fmt: skip
    assert states("next<1h state:retry,pending") == [State.RETRY]
    assert states("group:g") == [State.AGGREGATING] and states("state:active next<1h") == []
    assert State.AGGREGATING not in states("type:a")
    [place] = plan(read("state:archived ended>2h age>1h")).places
    assert (place.low, place.high) == (NOW_S - 7200, NOW_S - 3600)
    assert plan(read("queue:gig* -queue:gigs")).queues(["gigs", "gig2", "low"]) == ["gig2"]
    assert plan(read("id:a,b")).ids == ("a", "b") and plan(read("id:a*")).ids is None


def test_needles_are_plain_runs_that_must_be_there() -> None:
    assert plan(read("type:gig:* error~timeout")).needles == (b"timeout", b"gig:")
    assert plan(read("type:a,b -error~timeout type:ab")).needles == ()
    assert plan(read("Timeout")).needles == (b"Timeout",) and not plan(read("Timeout")).fold
    folded = plan(read("type=Gig:Notify error~timeout"))
    assert folded.fold and set(folded.needles) == {b"gig:notify", b"timeout"}
    assert plan(read('payload.note="ü b/c 12345"')).needles == (b"12345",)
    assert plan(read('error~"token \u2039hidden\u203a of +234803\u2022\u202267"')).needles == (b"234803",)


def test_a_cursor_is_another_searchs_or_nobodys() -> None:
    sealed = cursor.sealed(Stop(marks.about("a"), "low", 1, Mark(3, b"17.5", (b"x", b"\xff"))))
    assert marks.opened(sealed, "a", KINDS) == Stop(marks.about("a"), "low", 1, Mark(3, b"17.5", (b"x", b"\xff")))
    assert marks.opened("", "a", KINDS) is None
    odd = [
        Stop(marks.about("a"), "low", -1, None),
        Stop(marks.about("a"), "low", 1000, None),
        Stop(marks.about("a"), "low", 0, Mark(-1, b"1", (b"x",))),
        Stop(marks.about("a"), "low", 0, Mark(0, b"nan", (b"x",))),
        Stop(marks.about("a"), "low", 0, Mark(0, b"1)", (b"x",))),
        Stop(marks.about("a"), "low", 0, Mark(0, b"1", ())),
        Stop(marks.about("a"), "low", 0, Mark(0, b"1", (b"x",) * 100)),
        Stop(marks.about("a"), "low", 1, Mark(0, b"0" * 40, (b"x",))),
        Stop(marks.about("a"), "low", 2, Mark(0, b"17", (b"x",))),
        Stop(marks.about("a"), "low", 3, Mark(0, b"1", (b"x",))),
    ]
    for text in (sealed[:-4], "AAAA", "é", "{}", "a b", "=" * 9, sealed + "x", *map(cursor.sealed, odd)):
        with pytest.raises(Misuse, match="cursor"):
            marks.opened(text, "a", KINDS)
    with pytest.raises(Misuse, match="another search"):
        marks.opened(sealed, "b", KINDS)


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        marks.opened(text, "a", KINDS)
    except Misuse:
        return
