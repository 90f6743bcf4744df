"""Reading many tasks is decoding each: whatever came before, and whatever the bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hustlex.jobs.reader import MessageReader
from hustlex.jobs.wire import TaskMessage, WireError, decode_task, encode_task

FEW = st.sampled_from(["", "a", "mail:send", "é", "x" * 127, "x" * 128])
MESSAGES = st.builds(
    TaskMessage,
    type=FEW,
    payload=st.sampled_from([None, b"{}", b"p" * 127, b"p" * 128, b"p" * 16_383, b"p" * 16_384]),
    id=FEW,
    queue=st.sampled_from(["", "default", "low"]),
    retry=st.sampled_from([0, 25]),
    retried=st.sampled_from([0, 3]),
    timeout=st.sampled_from([0, 1800]),
    deadline=st.sampled_from([0, 1_700_000_000]),
    unique_key=st.sampled_from(["", "lock"]),
    retention=st.sampled_from([0, 60]),
    error_msg=st.sampled_from(["", "no"]),
    headers=st.sampled_from([{}, {"a": "b"}]),
)


def _read(read: object, data: bytes) -> TaskMessage | None:
    try:
        return read(data)  # type: ignore[operator,no-any-return]
    except WireError:
        return None


@given(st.lists(st.tuples(MESSAGES, st.integers(0, 400), st.none() | st.integers(0, 255)), max_size=12))
def test_a_reader_reads_as_decoding_does(tasks: list[tuple[TaskMessage, int, int | None]]) -> None:
    reader = MessageReader()
    for message, at, byte in tasks:
        sound = encode_task(message)
        broken = bytearray(sound)
        if byte is not None:
            broken[at % len(sound) : at % len(sound) + 1] = [byte] if at % 2 else []
        for data in (sound, bytes(broken), sound[: at % (len(sound) + 1)], sound + bytes(broken)[:at], sound):
            assert _read(reader.read, data) == _read(decode_task, data)


def test_what_is_alike_is_known_the_second_time() -> None:
    reader = MessageReader()
    first, second = (TaskMessage("t", b"%d" % n, f"id{n}", "q", retry=3, timeout=30) for n in (1, 2))
    assert [reader.read(encode_task(message)) for message in (first, second)] == [first, second]
    assert len(reader._known) == 1


def test_a_task_without_a_payload_teaches_nothing_of_others() -> None:
    reader = MessageReader()
    for message in (TaskMessage("t", None, "id", "q", retry=3), TaskMessage("t", b"p", "id", "", retry=3)):
        assert reader.read(encode_task(message)) == message


def test_options_that_are_a_tasks_own_are_not_kept() -> None:
    reader = MessageReader()
    for n in range(1, 600):
        for own in ({"deadline": n}, {"unique_key": str(n)}, {"error_msg": str(n)}, {"retry": n}):
            message = TaskMessage("t", b"p", "id", "q", **own)
            assert reader.read(encode_task(message)) == message
    assert len(reader._known) == 256
