"""A flow whose writes wait, followed by hand; and what the server is asked for each level."""

from __future__ import annotations

from typing import Any

import pytest

from hustlex.core.durability.committed import committed, not_durable
from hustlex.core.durability.level import (
    Committed,
    Durability,
    WaitReply,
    answered,
    briefly,
    exact,
    forced,
    reached,
)
from hustlex.core.op import Batch, Durable, Effect, Flow, Op, Sleep, command, do
from hustlex.errors import Conflict, Error

FSYNC = Durability("fsync")


def op(name: str, effect: Effect = Effect.IDEMPOTENT) -> Op[Any]:
    return command(name, effect, "X", decode=lambda reply: reply)


READ, WRITE = op("read", Effect.READ), op("write")


def done(value: Any, *, safe: bool = True) -> Committed[Any]:
    return Committed(value, safe, safe, 0)


def follow(flow: Flow[Any], *answers: Any) -> tuple[list[Any], Any]:
    """Its steps, and what it returned."""
    steps = []
    try:
        step = flow.send(None)
        for answer in answers:
            steps.append(step)
            step = flow.throw(answer) if isinstance(answer, Error) else flow.send(answer)
        raise AssertionError(f"it goes on with {step}")
    except StopIteration as stop:
        return steps, stop.value


def test_reads_and_pauses_are_as_they_were_and_writes_wait() -> None:
    def flow() -> Flow[list[Any]]:
        read = yield from do(READ)
        yield Sleep(1)
        wrote = yield from do(WRITE)
        both = yield Batch((READ, WRITE))
        plain = yield Batch((READ,))
        return [read, wrote, both, plain]

    error = Conflict("no")
    steps, found = follow(committed(flow(), FSYNC), 1, None, [done(2)], [done(3), error], [4])
    assert steps == [READ, Sleep(1), Durable((WRITE,), FSYNC), Durable((READ, WRITE), FSYNC), Batch((READ,))]
    assert found == Committed([1, 2, [3, error], [4]], True, True, 0)


def test_one_that_did_not_get_so_far_is_enough() -> None:
    def flow() -> Flow[str]:
        yield from do(WRITE)
        yield from do(WRITE)
        return "answer"

    _, found = follow(committed(flow(), FSYNC), [done(1, safe=False)], [done(2)])
    assert (found.value, found.reached) == ("answer", False)


def test_a_failure_is_the_flows_to_handle() -> None:
    def flow() -> Flow[str]:
        try:
            yield from do(WRITE)
        except Conflict:
            yield from do(READ)
        return "handled"

    assert follow(committed(flow(), FSYNC), [Conflict("no")], 1)[1].value == "handled"
    assert follow(committed(flow(), FSYNC), Conflict("thrown"), 1)[1].value == "handled"


def test_nothing_written_is_nothing_waited_for() -> None:
    assert follow(committed(do(READ), FSYNC), 7)[1] == Committed(7, True, True, 0, waited=False)
    steps, found = follow(committed(do(WRITE), Durability("memory")), 7)
    assert steps == [WRITE] and not found.waited


@pytest.mark.parametrize(
    ("word", "question", "probe"),
    [
        ("fsync", ("WAITAOF", 1, 0, 1_500), ("WAITAOF", 1, 0, 1)),
        ("replica", ("WAIT", 2, 500), None),
        ("replica_fsync", ("WAITAOF", 1, 2, 2_500), ("WAITAOF", 1, 0, 1)),
    ],
)
def test_what_the_server_is_asked(word: str, question: Any, probe: Any) -> None:
    durability = Durability(word, replicas=2)
    assert (durability.question, durability.probe) == (question, probe)


@pytest.mark.parametrize(
    ("word", "reply", "enough"),
    [
        ("fsync", [1, 0], True),
        ("fsync", [0, 3], False),
        ("fsync", 1, False),
        ("replica", 1, True),
        ("replica", 0, False),
        ("replica", None, False),
        ("replica_fsync", [1, 1], True),
        ("replica_fsync", [1, 0], False),
        ("replica_fsync", [0, 1], False),
        ("replica_fsync", Conflict("refused"), False),
    ],
)
def test_what_its_answer_means(word: str, reply: Any, enough: bool) -> None:
    durability = Durability(word)
    assert reached(durability, WaitReply("x", *answered(durability, reply, believed=True))) is enough
    if durability.local:
        assert not reached(durability, WaitReply("x", *answered(durability, reply, believed=False)))


@pytest.mark.parametrize(
    ("server", "version", "truth"),
    [
        (b"redis", b"8.0.0", True),
        (b"redis", b"8.2.3", True),
        (b"redis", b"10.0.1", True),
        (b"redis", b"7.4.2", False),
        (b"redis", b"7.2.4", False),
        (b"valkey", b"9.1.2", False),
        (b"redis", b"", False),
    ],
)
def test_which_servers_are_believed(server: bytes, version: bytes, truth: bool) -> None:
    assert exact({b"server": server, b"version": version}) is truth
    assert not exact(Conflict("refused")) and not exact({})


def test_only_a_file_that_is_forced_is_forced() -> None:
    assert forced({b"appendfsync": b"always", b"appendonly": b"yes"})
    for other in ({b"appendfsync": b"everysec", b"appendonly": b"yes"}, {b"appendfsync": b"always"}, Conflict("no")):
        assert not forced(other)


def test_a_replica_is_waited_for_briefly_and_a_disk_longer() -> None:
    waits = {word: briefly(word) for word in ("memory", "replica", "fsync", "replica_fsync")}
    assert {word: each.patience_ms if each else None for word, each in waits.items()} == {
        "memory": None,
        "replica": 50,
        "fsync": 1_500,
        "replica_fsync": 2_500,
    }


def test_the_error_says_how_far_it_came() -> None:
    error = not_durable(Durability("replica_fsync"), Committed("answer", False, False, 0))
    assert (error.answer, error.local, error.replicas, error.maybe_executed) == ("answer", False, 0, True)
    assert (
        "disk" in str(error) and "0 of 1 replicas" in str(error) and "answer" not in str(error).replace("answered", "")
    )
