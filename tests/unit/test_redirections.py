"""What a cluster says about where slots are, as both drivers read it."""

from __future__ import annotations

import pytest

from hustlex.core.op import Effect
from hustlex.drivers.faults import NotSent, Redirected, anew, refusal, verdict
from hustlex.drivers.slotmap import read_slots
from hustlex.errors import Refused


@pytest.mark.parametrize(
    ("text", "slot", "host", "port"),
    [
        ("MOVED 3999 127.0.0.1:6381", 3999, "127.0.0.1", 6381),
        ("ASK 0 node-1.example:7000", 0, "node-1.example", 7000),
        ("MOVED 16383 :7000", 16383, "", 7000),
        ("MOVED 1 ::1:7000", 1, "::1", 7000),
        ("ASK 1 [2001:db8::7]:7000", 1, "2001:db8::7", 7000),
    ],
)
def test_an_answer_that_names_another_node_is_read(text: str, slot: int, host: str, port: int) -> None:
    for answer in (refusal(text), anew(refusal(text))):
        assert isinstance(answer, Redirected)
        assert (answer.slot, answer.host, answer.port) == (slot, host, port)
        assert verdict(answer, Effect.ONCE) is None


@pytest.mark.parametrize("text", ["MOVED", "MOVED 1", "MOVED x 127.0.0.1:1", "ASK 1 nowhere", "MOVED 1 host:x"])
def test_one_that_cannot_be_read_is_a_plain_refusal(text: str) -> None:
    assert type(refusal(text)) is Refused


def test_the_slots_of_a_cluster_are_read() -> None:
    reply = [[0, 5, [b"", 1], [b"10.0.0.2", 2, b"id", []]], [6, 9, [None, 3]], [10, 16383, [b"?", 4]]]
    first, second = read_slots(reply, "10.0.0.9")
    assert (first.first, first.last, first.primary, first.replicas) == (0, 5, ("10.0.0.9", 1), (("10.0.0.2", 2),))
    assert second.primary == ("10.0.0.9", 3)
    for foreign in (None, [], b"OK", [[1]], [[5, 1, [b"h", 1]]], [[0, 16384, [b"h", 1]]], [[0, 1]], [[0, 1, b"h"]]):
        with pytest.raises(NotSent):
            read_slots(foreign, "10.0.0.9")
