"""Asynq's protobuf messages: structs in, bytes out. The only module that knows protobuf; no I/O.

The schema is built at its first use from the table below (no generated file), in a pool of its own, so that a program
that also carries Asynq's generated classes does not collide with it. Source: asynq v0.26, package ``asynq``, proto3.
Times of tasks are whole Unix seconds (0 = never); times of servers and schedulers are Unix nanoseconds.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from hustlex.core.later import Later
from hustlex.errors import Error

if TYPE_CHECKING:
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
else:
    descriptor_pb2, descriptor_pool = Later("google.protobuf.descriptor_pb2"), Later("google.protobuf.descriptor_pool")
    message, message_factory = Later("google.protobuf.message"), Later("google.protobuf.message_factory")

_GIGA = 1_000_000_000
NEVER_NS = -62_135_596_800 * _GIGA
"""Go's zero time (year 1) in nanoseconds: what "never" must look like in a Timestamp."""


class WireError(Error, ValueError):
    """Bytes that are no valid message of the expected kind (broken protobuf, or text that is not UTF-8)."""

    code = "bad_message"


class TaskMessage(msgspec.Struct, frozen=True, gc=False):
    """One task as stored in the ``msg`` field of its hash."""

    type: str
    payload: bytes | None = None
    """None is Go's nil; on the wire an empty payload and None are the same, so decoding gives None for both."""
    id: str = ""
    queue: str = "default"
    retry: int = 0
    """The maximum number of retries."""
    retried: int = 0
    """How many of them were used."""
    error_msg: str = ""
    timeout: int = 0
    """Seconds, 0 = none."""
    deadline: int = 0
    """Unix second, 0 = none."""
    unique_key: str = ""
    """Full lock key, "" = none."""
    last_failed_at: int = 0
    """Unix second, 0 = never."""
    retention: int = 0
    """Seconds, 0 = none."""
    completed_at: int = 0
    """Unix second, 0 = never."""
    group_key: str = ""
    """"" = none."""
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        """Without payload, headers and error: they may hold personal data."""
        return f"TaskMessage({self.type!r}, id={self.id!r}, queue={self.queue!r})"


class ServerInfo(msgspec.Struct, frozen=True):
    """A worker process, as its heartbeat writes it. queues: weight by name, as configured.

    status: new, active, stopped or closed.
    """

    host: str
    pid: int
    server_id: str
    concurrency: int
    queues: dict[str, int]
    strict_priority: bool
    status: str
    start_time_ns: int
    active_worker_count: int = 0


class WorkerInfo(msgspec.Struct, frozen=True):
    """One task in the hands of a server: since when, and until when its handler may run."""

    host: str
    pid: int
    server_id: str
    task_id: str
    task_type: str
    task_payload: bytes | None
    queue: str
    start_time_ns: int
    deadline_ns: int


class SchedulerEntry(msgspec.Struct, frozen=True):
    """A periodic entry, for display. enqueue_options: texts like ``Queue("low")`` (anything else breaks Go's tools)."""

    id: str
    spec: str
    task_type: str
    task_payload: bytes | None
    enqueue_options: tuple[str, ...]
    next_enqueue_time_ns: int
    prev_enqueue_time_ns: int = NEVER_NS


class SchedulerEnqueueEvent(msgspec.Struct, frozen=True):
    """One firing of a periodic entry: the id of the task it made, and when."""

    task_id: str
    enqueue_time_ns: int


_TYPES = {"text": 9, "bytes": 12, "int32": 5, "int64": 3, "bool": 8}
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_SCHEMA = {  # fields in the order of their numbers, from 1 without a gap
    "Timestamp": "seconds:int64 nanos:int32",
    "TaskMessage": "type:text payload:bytes id:text queue:text retry:int32 retried:int32 error_msg:text timeout:int64 "
    "deadline:int64 unique_key:text last_failed_at:int64 retention:int64 completed_at:int64 group_key:text "
    "headers:map-text",
    "ServerInfo": "host:text pid:int32 server_id:text concurrency:int32 queues:map-int32 strict_priority:bool "
    "status:text start_time:Timestamp active_worker_count:int32",
    "WorkerInfo": "host:text pid:int32 server_id:text task_id:text task_type:text task_payload:bytes queue:text "
    "start_time:Timestamp deadline:Timestamp",
    "SchedulerEntry": "id:text spec:text task_type:text task_payload:bytes enqueue_options:list-text "
    "next_enqueue_time:Timestamp prev_enqueue_time:Timestamp",
    "SchedulerEnqueueEvent": "task_id:text enqueue_time:Timestamp",
}


def _describe(owner: descriptor_pb2.DescriptorProto, fields: str) -> None:
    for number, field in enumerate(fields.split(), 1):
        name, kind = field.split(":")
        shape, _, element = kind.rpartition("-")
        described: Any = owner.field.add(name=name, number=number, label=_REPEATED if shape else _OPTIONAL)
        if shape == "map":
            entry = owner.nested_type.add(name=name.capitalize() + "Entry")
            entry.options.map_entry = True
            _describe(entry, f"key:text value:{element}")
            described.type, described.type_name = _MESSAGE, f".asynq.{owner.name}.{entry.name}"
        elif element in _TYPES:
            described.type = _TYPES[element]
        else:
            described.type, described.type_name = _MESSAGE, f".asynq.{element}"


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="hustlex/asynq.proto", package="asynq", syntax="proto3")
    for name, fields in _SCHEMA.items():
        _describe(file.message_type.add(name=name), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"asynq.{name}")) for name in _SCHEMA}


class _Classes:
    """The messages' classes by name, made once, when the first of them is asked for."""

    _lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if name not in self.__dict__:
                self.__dict__.update(_build())
        return self.__dict__[name]


_wire = _Classes()


def clean(text: str) -> str:
    """Text that Go accepts: lone surrogates become ``?`` (one undecodable message would stop Go's crash recovery)."""
    return text.encode("utf-8", "replace").decode("utf-8")


def encode_task(task: TaskMessage) -> bytes:
    """The bytes Go would write for this task. Text is cleaned; numbers outside their field's range raise WireError."""
    try:
        return _pack_task(task)
    except UnicodeEncodeError:
        return _pack_task(_clean_task(task))
    except (ValueError, TypeError) as fault:
        raise WireError(f"a task message cannot be written: {fault}") from None


def _pack_task(task: TaskMessage) -> bytes:
    packed = _wire.TaskMessage(
        type=task.type,
        payload=task.payload,
        id=task.id,
        queue=task.queue,
        retry=task.retry,
        retried=task.retried,
        error_msg=task.error_msg,
        timeout=task.timeout,
        deadline=task.deadline,
        unique_key=task.unique_key,
        last_failed_at=task.last_failed_at,
        retention=task.retention,
        completed_at=task.completed_at,
        group_key=task.group_key,
        headers=task.headers or None,
    )
    data: bytes = packed.SerializeToString(deterministic=True)
    return data


class MessageTemplate:
    """Messages that differ from a sample in id and payload only: these two fields are written here, the rest is copied.

    sample: an encoded message without payload, whose id is ``task_id``.
    """

    def __init__(self, sample: bytes, task_id: str) -> None:
        self._head, self._tail = sample.split(_field(b"\x1a", task_id.encode()), 1)

    def fill(self, payload: bytes | None, task_id: str) -> bytes:
        """The bytes that ``encode_task`` would write. task_id: not empty, text that needs no cleaning."""
        name = task_id.encode()
        if payload and len(payload) < 128 > len(name):
            return b"%b\x12%c%b\x1a%c%b%b" % (self._head, len(payload), payload, len(name), name, self._tail)
        content = _field(b"\x12", payload) if payload else b""
        return self._head + content + _field(b"\x1a", name) + self._tail


def _field(tag: bytes, data: bytes) -> bytes:
    """A field of bytes, with its length in groups of seven bits, the lowest first."""
    size, length = len(data), b""
    while size > 127:
        length += bytes((size & 127 | 128,))
        size >>= 7
    return tag + length + bytes((size,)) + data


def _clean_task(task: TaskMessage) -> TaskMessage:
    texts = {
        name: clean(getattr(task, name)) for name in ("type", "id", "queue", "error_msg", "unique_key", "group_key")
    }
    headers = {clean(key): clean(value) for key, value in task.headers.items()}
    return msgspec.structs.replace(task, headers=headers, **texts)


def decode_task(data: bytes) -> TaskMessage:
    """Read a stored task. Raises WireError for anything Go could not read either."""
    try:
        m = _wire.TaskMessage.FromString(data)
    except message.DecodeError:
        raise WireError("not a task message") from None
    headers = m.headers
    return TaskMessage(
        m.type,
        m.payload or None,
        m.id,
        m.queue,
        m.retry,
        m.retried,
        m.error_msg,
        m.timeout,
        m.deadline,
        m.unique_key,
        m.last_failed_at,
        m.retention,
        m.completed_at,
        m.group_key,
        dict(headers) if headers else {},
    )


def encode_server(info: ServerInfo) -> bytes:
    """ServerInfo for ``asynq:servers:{...}``."""
    return _dump(
        _wire.ServerInfo(
            host=clean(info.host),
            pid=info.pid,
            server_id=info.server_id,
            concurrency=info.concurrency,
            queues={clean(name): weight for name, weight in info.queues.items()},
            strict_priority=info.strict_priority,
            status=info.status,
            start_time=_stamp(info.start_time_ns),
            active_worker_count=info.active_worker_count,
        )
    )


def decode_server(data: bytes) -> ServerInfo:
    """Raises WireError."""
    m = _parse(_wire.ServerInfo, data)
    return ServerInfo(
        m.host,
        m.pid,
        m.server_id,
        m.concurrency,
        dict(m.queues),
        m.strict_priority,
        m.status,
        _nanoseconds(m.start_time),
        m.active_worker_count,
    )


def encode_worker(info: WorkerInfo) -> bytes:
    """WorkerInfo for one field of ``asynq:workers:{...}``."""
    return _dump(
        _wire.WorkerInfo(
            host=clean(info.host),
            pid=info.pid,
            server_id=info.server_id,
            task_id=clean(info.task_id),
            task_type=clean(info.task_type),
            task_payload=info.task_payload,
            queue=clean(info.queue),
            start_time=_stamp(info.start_time_ns),
            deadline=_stamp(info.deadline_ns),
        )
    )


def decode_worker(data: bytes) -> WorkerInfo:
    """Raises WireError."""
    m = _parse(_wire.WorkerInfo, data)
    return WorkerInfo(
        m.host,
        m.pid,
        m.server_id,
        m.task_id,
        m.task_type,
        m.task_payload or None,
        m.queue,
        _nanoseconds(m.start_time),
        _nanoseconds(m.deadline),
    )


def encode_entry(entry: SchedulerEntry) -> bytes:
    """SchedulerEntry for the list ``asynq:schedulers:{...}``."""
    return _dump(
        _wire.SchedulerEntry(
            id=entry.id,
            spec=clean(entry.spec),
            task_type=clean(entry.task_type),
            task_payload=entry.task_payload,
            enqueue_options=[clean(option) for option in entry.enqueue_options],
            next_enqueue_time=_stamp(entry.next_enqueue_time_ns),
            prev_enqueue_time=_stamp(entry.prev_enqueue_time_ns),
        )
    )


def decode_entry(data: bytes) -> SchedulerEntry:
    """Raises WireError."""
    m = _parse(_wire.SchedulerEntry, data)
    return SchedulerEntry(
        m.id,
        m.spec,
        m.task_type,
        m.task_payload or None,
        tuple(m.enqueue_options),
        _nanoseconds(m.next_enqueue_time),
        _nanoseconds(m.prev_enqueue_time),
    )


def encode_event(event: SchedulerEnqueueEvent) -> bytes:
    """SchedulerEnqueueEvent for ``asynq:scheduler_history:<entry>``."""
    return _dump(_wire.SchedulerEnqueueEvent(task_id=clean(event.task_id), enqueue_time=_stamp(event.enqueue_time_ns)))


def decode_event(data: bytes) -> SchedulerEnqueueEvent:
    """Raises WireError."""
    m = _parse(_wire.SchedulerEnqueueEvent, data)
    return SchedulerEnqueueEvent(m.task_id, _nanoseconds(m.enqueue_time))


def _dump(packed: Any) -> bytes:
    data: bytes = packed.SerializeToString(deterministic=True)
    return data


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except message.DecodeError:
        raise WireError(f"not a {kind.DESCRIPTOR.name} message") from None


def _stamp(nanoseconds: int) -> Any:
    seconds, rest = divmod(nanoseconds, _GIGA)
    return _wire.Timestamp(seconds=seconds, nanos=rest)


def _nanoseconds(stamp: Any) -> int:
    whole: int = stamp.seconds * _GIGA + stamp.nanos
    return whole
