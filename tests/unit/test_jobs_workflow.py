"""Workflows as values: who comes after whom, what is refused, and results put into arguments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.errors import Misuse
from hustlex.jobs import RESULT, RESULTS, Job, PayloadError, StepName, Tasks, Workflow, gather
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.wire import TaskMessage, decode_task, encode_task
from hustlex.jobs.workflow.plan import HEADER, LIFE_S, Link, compose, latest_ms, life_s, plant

tasks = Tasks()


@tasks.task("add")
def add(n: int, note: str = "") -> None: ...


@tasks.task("sum", queue="sums", retention=timedelta(hours=1))
def total(parts: list[int]) -> None: ...


def job(name: str) -> Job:
    return Job(name)


A, B, C, D, E = map(job, "abcde")


def shape(workflow: Workflow) -> dict[str, str]:
    """Type of each step -> types of those before it."""
    steps = workflow.steps
    return {step.job.type: "".join(steps[position].job.type for position in step.after) for step in steps}


def test_a_chain_is_one_after_the_other() -> None:
    assert shape(A.then(B).then(C)) == {"a": "", "b": "a", "c": "b"}
    assert shape(A.then(B.then(C))) == {"a": "", "b": "a", "c": "b"}


def test_gathered_parts_start_together_and_are_waited_for_together() -> None:
    assert shape(gather(A, B)) == {"a": "", "b": ""}
    assert shape(gather(A, B, then=C)) == shape(gather(A, B).then(C)) == {"a": "", "b": "", "c": "ab"}


def test_parts_are_combined() -> None:
    diamond = A.then(gather(B, C)).then(D)
    assert shape(diamond) == {"a": "", "b": "a", "c": "a", "d": "bc"}
    assert shape(gather(A.then(B), C, then=D.then(E))) == {"a": "", "b": "a", "c": "", "d": "bc", "e": "d"}
    assert shape(gather(A, B, then=gather(C, D))) == {"a": "", "b": "", "c": "ab", "d": "ab"}


@given(st.recursive(st.just(A), lambda part: st.lists(part, min_size=1, max_size=3).map(lambda p: gather(*p, then=A))))
def test_every_step_comes_after_those_it_waits_for(workflow: Any) -> None:
    whole = workflow.then(A)
    assert all(before < position for position, step in enumerate(whole.steps) for before in step.after)
    assert whole.steps[-1].after, "the last step waits"
    planted = plant(whole, "w")
    for position, step in enumerate(whole.steps):
        for index, before in enumerate(step.after):
            assert Link("default", f"w:{position}", index) in planted[before].then


@pytest.mark.parametrize(
    "build",
    [
        lambda: gather(),
        lambda: A.then("b"),  # type: ignore[arg-type]
        lambda: gather(*[A] * 1001),
        lambda: gather(*[A] * 101, then=gather(*[A] * 101)),
        lambda: plant(A.then(B), " "),
        lambda: plant(A.then(B.with_options(task_id="mine")), "w"),
        lambda: plant(A.then(B.with_options(unique_for=timedelta(hours=1))), "w"),
        lambda: plant(A.with_options(group="g").then(B), "w"),
        lambda: plant(Workflow((*add.job(RESULT).then(A).steps,)), "w"),
        lambda: plant(gather(A, B, then=add.job(n=RESULT)), "w"),
        lambda: draft(add.job(RESULT), {}, "x"),
        lambda: A.taking("RESULT"),  # type: ignore[arg-type]
        lambda: add.job(RESULT).with_options(nonsense=1),  # type: ignore[call-arg]
    ],
)
def test_what_can_never_work_is_refused(build: Any) -> None:
    with pytest.raises(Misuse):
        build()


def test_the_widest_and_the_longest_are_accepted() -> None:
    assert len(gather(*[A] * 999, then=B).steps) == 1000
    assert len(gather(*[A] * 100, then=gather(*[B] * 100)).steps) == 200


def test_other_arguments_are_checked_where_the_job_is_made() -> None:
    assert add.job(RESULT, note="x").payload == b'{"note":"x"}'
    assert add.job(n=RESULT).slots == (("n", False),)
    for wrong in (lambda: add.job(RESULT, note=1), lambda: add.job(note=RESULT), lambda: add.job(RESULT, other=2)):  # type: ignore[arg-type,call-arg]
        with pytest.raises(PayloadError):
            wrong()
    with pytest.raises(PayloadError):
        total.job([RESULT])  # only as a whole argument


def test_planted_steps_say_what_redis_needs_to_know() -> None:
    due = datetime(2030, 1, 1, tzinfo=UTC)
    first = add.job(1).with_options(process_in=timedelta(seconds=90), retention=timedelta(seconds=5))
    flow = first.then(total.job(RESULTS).with_options(process_at=due, headers={"trace": "t"}))
    one, two = plant(flow, "w")
    assert (one.name, two.name) == (StepName("default", "w:0"), StepName("sums", "w:1"))
    assert (one.after, one.then) == ((), (Link("sums", "w:1", 0),))
    assert (two.after, two.then, two.slots) == ((one.name,), (), (("parts", True),))
    assert (one.keep_s, one.due, two.keep_s, two.due) == (5, "+90000", 3600, str(int(due.timestamp() * 1000)))
    kept, last = decode_task(one.message), decode_task(two.message)
    assert (kept.retention, kept.headers) == (LIFE_S, {HEADER: "1"}), "kept until somebody has seen that it succeeded"
    assert (last.retention, last.headers) == (3600, {"trace": "t"}), "nobody waits for it"
    assert life_s((one, two)) == LIFE_S + 90
    assert latest_ms((one, two)) == int(due.timestamp() * 1000)


def message(payload: bytes | None) -> bytes:
    return encode_task(TaskMessage("t", payload, "i", "q"))


def filled(payload: bytes | None, slots: Any, *results: bytes) -> Any:
    return json.loads(decode_task(compose(message(payload), slots, results)).payload or b"?")


def test_results_are_filled_in() -> None:
    assert filled(b'{"b":1}', [("a", False)], b'{"x":2}') == {"b": 1, "a": {"x": 2}}
    assert filled(None, [("a", True), ("b", True)], b"1", b"", b'"x"') == {"a": [1, None, "x"], "b": [1, None, "x"]}
    assert filled(None, [("", False)], b"[1]") == [1]
    assert filled(None, [("", True)], b"1", b"2") == [1, 2]
    assert compose(message(b"as it is"), (), [b"\xff"]) == message(b"as it is")


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())
def test_results_keep_every_digit(value: Any) -> None:
    written = json.dumps(value).encode()
    composed = decode_task(compose(message(None), (("n", False),), [written])).payload or b""
    assert written in composed


@pytest.mark.parametrize("result", [b"\xff", b"not json", b"{", b"1 2", b'"\\ud800'])
def test_a_result_that_is_not_json_is_refused(result: bytes) -> None:
    with pytest.raises(PayloadError, match="not JSON"):
        compose(message(None), (("n", False),), [result])


def test_a_job_shows_no_payload_and_is_still_a_plain_value() -> None:
    assert repr(add.job(RESULT)) == "Job('add', 2 bytes)"
    assert repr(RESULT) == "RESULT"
    assert repr(RESULTS) == "RESULTS"
    assert msgspec.structs.replace(add.job(1), type="x").slots == ()
