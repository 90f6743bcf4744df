"""Key names against the ones recorded from Go."""

from __future__ import annotations

import pytest

from hustlex.errors import Misuse
from hustlex.jobs import keys
from hustlex.jobs.keys import queue_keys


@pytest.mark.parametrize(
    ("task_type", "payload", "ending"),
    [
        ("reindex", None, "reindex:"),
        ("reindex", b"", "reindex:d41d8cd98f00b204e9800998ecf8427e"),
        ("email:send", b'{"a":123}', "email:send:2222ed84a70c9ad4f666381f12eaca89"),
        ("u:1", b"x", "u:1:9dd4e461268c8034f5c8564e155c67a6"),
    ],
)
def test_unique_keys_are_those_of_go(task_type: str, payload: bytes | None, ending: str) -> None:
    assert queue_keys("default").unique(task_type, payload) == "asynq:{default}:unique:" + ending


def test_every_key_of_a_queue() -> None:
    q = queue_keys("low")
    plain = {
        "pending",
        "active",
        "lease",
        "scheduled",
        "retry",
        "archived",
        "completed",
        "paused",
        "processed",
        "failed",
        "groups",
        "aggregation_sets",
    }
    assert {name: getattr(q, name) for name in plain} == {name: f"asynq:{{low}}:{name}" for name in plain}
    assert q.task("x") == "asynq:{low}:t:x"
    assert q.group("G") == "asynq:{low}:g:G"
    assert q.aggregation_set("G", "uuid") == "asynq:{low}:g:G:uuid"
    assert q.processed_on("2026-11-23") == "asynq:{low}:processed:2026-11-23"
    assert q.failed_on("2026-11-23") == "asynq:{low}:failed:2026-11-23"


def test_global_keys() -> None:
    assert keys.server("h", 1, "s") == "asynq:servers:{h:1:s}"
    assert keys.workers("h", 1, "s") == "asynq:workers:{h:1:s}"
    assert keys.scheduler("h:1:u") == "asynq:schedulers:{h:1:u}"
    assert keys.scheduler_history("e") == "asynq:scheduler_history:e"
    assert (keys.QUEUES, keys.CANCEL) == ("asynq:queues", "asynq:cancel")


def test_names_are_case_sensitive_and_not_trimmed() -> None:
    assert queue_keys("Low").pending != queue_keys("low").pending
    assert queue_keys(" low ").pending == "asynq:{ low }:pending"


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_a_blank_queue_is_refused(name: str) -> None:
    with pytest.raises(Misuse):
        queue_keys(name)


def test_keys_are_built_once() -> None:
    assert queue_keys("q") is queue_keys("q")
