"""Waiting for a job's end, step by step: what a wait asks, and what it makes of failures."""

from __future__ import annotations

from typing import Any

import pytest

from hustlex.core.op import Op, Sleep
from hustlex.errors import Closed, Denied, Refused, Timeout, Unavailable
from hustlex.jobs import Failed, NotYet, State
from hustlex.jobs.stream import flows
from hustlex.jobs.stream.ops import Glance
from hustlex.jobs.wire import TaskMessage, encode_task

RUNS = Glance(State.ACTIVE, b"", b"", "", "", [])
FAILED = Glance(State.ARCHIVED, encode_task(TaskMessage("t", error_msg="told")), b"", "", "", [])


def play(flow: Any, answers: list[Any]) -> Any:
    """The flow's end, its looks answered in turn, the last answer again and again; time passes by its sleeps alone."""
    answer: Any = None
    while True:
        try:
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
        except StopIteration as stop:
            return stop.value
        if isinstance(step, Sleep):
            answer = None
        elif isinstance(step, Op) and step.name == "jobs.glance":
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        else:
            answer = True


@pytest.mark.parametrize("failure", [Unavailable("away"), Timeout("late"), Refused("starts", server_code="LOADING")])
def test_a_wait_outlives_a_server_that_is_away(failure: Exception) -> None:
    ending = play(flows.wait("default", "x", 60), [failure, RUNS, failure, failure, FAILED])
    assert ending == Failed("told")


def test_a_wait_ends_with_its_time_and_says_what_failed_last() -> None:
    assert play(flows.wait("default", "x", 1), [RUNS]) == NotYet(State.ACTIVE)
    for timeout_s in (0, 1):
        with pytest.raises(Unavailable, match="away"):
            play(flows.wait("default", "x", timeout_s), [Unavailable("away")])


@pytest.mark.parametrize("failure", [Closed("closed"), Denied("no", server_code="NOPERM")])
def test_what_does_not_pass_by_itself_ends_a_wait(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        play(flows.wait("default", "x", 60), [failure, FAILED])
