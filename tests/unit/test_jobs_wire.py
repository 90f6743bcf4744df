"""Golden bytes produced by the Go library, and the identity of encode and decode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from hustlex.jobs import wire
from hustlex.jobs.wire import SchedulerEnqueueEvent, SchedulerEntry, ServerInfo, TaskMessage, WireError, WorkerInfo

T = 1_767_323_045_678_901_234
SECOND = 1_000_000_000
SERVER = ServerInfo("host1", 123, "sid", 10, {"default": 1}, False, "active", T)

TASKS = {
    "plain": (
        TaskMessage(
            "email:welcome", b'{"user_id":42}', "11111111-2222-3333-4444-555555555555", "default", 25, timeout=1800
        ),
        "0a0d656d61696c3a77656c636f6d65120e7b22757365725f6964223a34327d1a2431313131313131312d323232322d333333332d34"
        "3434342d353535353535353535353535220764656661756c74281940880e",
    ),
    "every field": (
        TaskMessage(
            "t",
            b"\x00\x01\xff",
            "id1",
            "q",
            3,
            2,
            "boom",
            60,
            1_800_000_000,
            "asynq:{q}:unique:t:abc",
            1_700_000_000,
            3600,
            1_700_000_100,
            "grp",
            {"trace": "abc"},
        ),
        "0a017412030001ff1a03696431220171280330023a04626f6f6d403c4880a4a7da0652166173796e713a7b717d3a756e697175653a74"
        "3a6162635880e2cfaa0660901c68e4e2cfaa0672036772707a0c0a0574726163651203616263",
    ),
    "nil payload": (TaskMessage("reindex", id="x"), "0a077265696e6465781a0178220764656661756c74"),
    "negative numbers": (
        TaskMessage("a", None, "x", "q", -1, timeout=-5),
        "0a01611a017822017128ffffffffffffffffff0140fbffffffffffffffff01",
    ),
    "empty header value": (TaskMessage("a", None, "x", "q", headers={"k": ""}), "0a01611a01782201717a050a016b1200"),
    "dump t1": (
        TaskMessage("a:1", b"x", "t1", "default", 25, timeout=1800),
        "0a03613a311201781a027431220764656661756c74281940880e",
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_bytes_that_go_writes(name: str) -> None:
    task, golden = TASKS[name]
    assert wire.encode_task(task).hex() == golden
    assert wire.decode_task(bytes.fromhex(golden)) == task


@pytest.mark.parametrize(
    ("info", "golden"),
    [
        (
            SERVER,
            "0a05686f737431107b1a03736964200a2a0b0a0764656661756c7410013a06616374697665420c08a5ebdcca0610f2ebdcc302",
        ),
        (
            ServerInfo("host1", 123, "sid", 10, {"default": 1}, True, "stopped", T, 2),
            "0a05686f737431107b1a03736964200a2a0b0a0764656661756c74100130013a0773746f70706564420c08a5ebdcca0610f2ebdcc3024802",
        ),
    ],
)
def test_a_server_has_the_bytes_that_go_writes(info: ServerInfo, golden: str) -> None:
    assert wire.encode_server(info).hex() == golden
    assert wire.decode_server(bytes.fromhex(golden)) == info


def test_a_worker_has_the_bytes_that_go_writes() -> None:
    info = WorkerInfo("host1", 123, "sid", "tid", "email:welcome", b"{}", "default", T, T + 1800 * SECOND)
    golden = (
        "0a05686f737431107b1a0373696422037469642a0d656d61696c3a77656c636f6d6532027b7d3a0764656661756c74420c08a5"
        "ebdcca0610f2ebdcc3024a0c08adf9dcca0610f2ebdcc302"
    )
    assert wire.encode_worker(info).hex() == golden
    assert wire.decode_worker(bytes.fromhex(golden)) == info


@pytest.mark.parametrize(
    ("entry", "golden"),
    [
        (
            SchedulerEntry("eid", "@every 30s", "t", b"p", ('Queue("low")', "MaxRetry(3)"), T),
            "0a03656964120a406576657279203330731a01742201702a0c517565756528226c6f7722292a0b4d61785265747279283329320c08a5ebdc"
            "ca0610f2ebdcc3023a0b088092b8c398feffffff01",
        ),
        (
            SchedulerEntry("eid", "@every 30s", "t", None, (), T, T - 30 * SECOND),
            "0a03656964120a406576657279203330731a0174320c08a5ebdcca0610f2ebdcc3023a0c0887ebdcca0610f2ebdcc302",
        ),
    ],
)
def test_a_scheduler_entry_has_the_bytes_that_go_writes(entry: SchedulerEntry, golden: str) -> None:
    assert wire.encode_entry(entry).hex() == golden
    assert wire.decode_entry(bytes.fromhex(golden)) == entry


def test_an_enqueue_event_has_the_bytes_that_go_writes() -> None:
    event = SchedulerEnqueueEvent("tid", T)
    assert wire.encode_event(event).hex() == "0a03746964120c08a5ebdcca0610f2ebdcc302"
    assert wire.decode_event(wire.encode_event(event)) == event


TEXT = st.text(st.characters(), max_size=20)
INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
MESSAGES = st.builds(
    TaskMessage,
    TEXT,
    st.none() | st.binary(min_size=1, max_size=40),
    TEXT,
    TEXT,
    INT32,
    INT32,
    TEXT,
    INT64,
    INT64,
    TEXT,
    INT64,
    INT64,
    INT64,
    TEXT,
    st.dictionaries(TEXT, TEXT, max_size=4),
)


@given(MESSAGES)
def test_any_message_survives_the_wire_with_its_text_cleaned(task: TaskMessage) -> None:
    seen = wire.decode_task(wire.encode_task(task))
    assert seen == wire.decode_task(wire.encode_task(seen))
    assert (seen.type, seen.error_msg, seen.group_key) == tuple(
        wire.clean(text) for text in (task.type, task.error_msg, task.group_key)
    )
    assert (seen.payload, seen.retry, seen.deadline, seen.timeout) == (
        task.payload,
        task.retry,
        task.deadline,
        task.timeout,
    )
    assert seen.headers == {wire.clean(key): wire.clean(value) for key, value in task.headers.items()}


@given(MESSAGES, st.binary(max_size=20_000), st.text(st.characters(codec="ascii"), min_size=1, max_size=300))
def test_a_template_writes_what_the_codec_would(task: TaskMessage, payload: bytes, task_id: str) -> None:
    sample = structs.replace(task, payload=None, id="00000000-0000-4000-8000-000000000000")
    template = wire.MessageTemplate(wire.encode_task(sample), sample.id)
    for content in (payload, None):
        expected = wire.encode_task(structs.replace(task, payload=content, id=task_id))
        assert template.fill(content, task_id) == expected


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 2_097_152])
def test_a_template_writes_lengths_of_any_size(size: int) -> None:
    template = wire.MessageTemplate(wire.encode_task(TaskMessage("t", None, "sample", retry=3)), "sample")
    assert template.fill(b"x" * size, "id") == wire.encode_task(TaskMessage("t", b"x" * size, "id", retry=3))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_clean_leaves_good_text_alone(text: str) -> None:
    assert wire.clean(text) == text


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert wire.decode_task(wire.encode_task(TaskMessage("a", error_msg="\ud83dx\udcff"))).error_msg == "?x?"


def test_a_megabyte_of_payload_and_a_nul_in_text() -> None:
    task = TaskMessage("a\x00b \U0001f600", b"\xff" * 2**20, "x")
    assert wire.decode_task(wire.encode_task(task)) == task


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x02a\xff", b"\x0a\x05ab", b"\x28\x01\x0a"])
def test_what_go_cannot_read_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode_task(data)


@pytest.mark.parametrize("decode", [wire.decode_server, wire.decode_worker, wire.decode_entry, wire.decode_event])
def test_other_messages_refuse_nonsense(decode) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WireError):
        decode(b"\x0a\x02a\xff")


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(WireError):
        wire.encode_task(TaskMessage("a", retry=2**31))
