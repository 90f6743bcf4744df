"""Asynq's key names, exactly. A queue's keys share the tag ``{<queue>}``; nothing here takes a prefix."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from hustlex.core import check
from hustlex.errors import Misuse

LONGEST_NAME = 255
"""Characters of a queue's name, a task's type and id, a group's name."""

QUEUES = "asynq:queues"
"""Set of the names of all queues that ever got a task."""
SERVERS = "asynq:servers"
WORKERS = "asynq:workers"
SCHEDULERS = "asynq:schedulers"
CANCEL = "asynq:cancel"
"""Pub/sub channel; a message is a bare task id."""
HISTORY = "asynq:x:{history}:"
"""Ours: what the keys of the queues' series begin with; all are in one slot."""


class QueueKeys:
    """The keys of one queue, each built once. Make it with ``queue_keys``, which keeps the instances.

    prefix: ``asynq:{<queue>}:``, what every key starts with. task_prefix, group_prefix: what an id or a group's name
    is appended to.
    """

    __slots__ = (
        "active",
        "aggregation_sets",
        "archived",
        "completed",
        "failed",
        "group_prefix",
        "groups",
        "lease",
        "name",
        "paused",
        "pending",
        "prefix",
        "processed",
        "retry",
        "scheduled",
        "task_prefix",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = prefix = f"asynq:{{{name}}}:"
        self.task_prefix = prefix + "t:"
        self.group_prefix = prefix + "g:"
        self.pending = prefix + "pending"
        self.active = prefix + "active"
        self.lease = prefix + "lease"
        self.scheduled = prefix + "scheduled"
        self.retry = prefix + "retry"
        self.archived = prefix + "archived"
        self.completed = prefix + "completed"
        self.paused = prefix + "paused"
        self.processed = prefix + "processed"
        self.failed = prefix + "failed"
        self.groups = prefix + "groups"
        self.aggregation_sets = prefix + "aggregation_sets"

    def task(self, task_id: str) -> str:
        """The hash of one task."""
        return self.task_prefix + addressed("task_id", task_id)

    def group(self, group: str) -> str:
        """The sorted set of tasks that wait in a group."""
        return self.group_prefix + group

    def aggregation_set(self, group: str, set_id: str) -> str:
        """The sorted set of tasks being aggregated together. set_id: UUIDv4 text."""
        return f"{self.group_prefix}{group}:{set_id}"

    def processed_on(self, day: str) -> str:
        """Counter of one UTC day, written ``YYYY-MM-DD``."""
        return f"{self.processed}:{day}"

    def failed_on(self, day: str) -> str:
        """Counter of one UTC day, written ``YYYY-MM-DD``."""
        return f"{self.failed}:{day}"

    def unique(self, task_type: str, payload: bytes | None) -> str:
        """The uniqueness lock of a type and payload. None and b"" give different keys, as nil and []byte{} do in Go."""
        digest = "" if payload is None else hashlib.md5(payload, usedforsecurity=False).hexdigest()
        return f"{self.prefix}unique:{task_type}:{digest}"

    def unique_named(self, task_type: str, name: str) -> str:
        """Ours: the uniqueness lock of a type and a name that the producer chose, whatever the payload."""
        digest = hashlib.md5(name.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        return f"{self.prefix}unique:{task_type}:={digest}"

    def __repr__(self) -> str:
        return f"QueueKeys({self.name!r})"


def named(what: str, name: object, longest: int = LONGEST_NAME) -> str:
    """A name that is to be written into Redis: of a queue, a type, a task, a group, an entry. Raises Misuse.

    As ``check.identity``, and without braces: what stands between the first two of a key decides its place, so a name
    that holds some could write where other queues have their keys. What others wrote is read whatever its name.
    """
    plain = check.identity(what, name)
    if len(plain) > longest:
        raise Misuse(f"{what} has {len(plain)} characters", hint=f"pass at most {longest}")
    if "{" in plain or "}" in plain:
        raise Misuse(f"{what} holds a brace", hint="leave out { and }")
    return plain


def addressed(what: str, name: object) -> str:
    """The name of something that is looked up, as plain text: any text, because others may have written it."""
    if type(name) is not str:
        return check.identity(what, name)
    try:
        _ = name.isascii() or name.encode()
    except UnicodeEncodeError:
        raise Misuse(f"{what} holds half a character", hint="pass valid Unicode text") from None
    return name


def queue_keys(name: str) -> QueueKeys:
    """The keys of a queue, also of one that others named. Case-sensitive, not trimmed; a blank name raises Misuse."""
    return _queue_keys(name if type(name) is str else addressed("queue", name))


@lru_cache(maxsize=4096)
def _queue_keys(name: str) -> QueueKeys:
    if not addressed("queue", name).strip():
        raise Misuse("queue is blank", hint="pass a name with at least one visible character")
    return QueueKeys(name)


def server(host: str, pid: int, server_id: str) -> str:
    """ServerInfo of one worker process."""
    return f"{SERVERS}:{{{host}:{pid}:{server_id}}}"


def workers(host: str, pid: int, server_id: str) -> str:
    """Hash of the tasks that one worker process is running."""
    return f"{WORKERS}:{{{host}:{pid}:{server_id}}}"


def served(host: str, pid: int, server_id: str) -> str:
    """Ours: the task types that one worker process has handlers for."""
    return f"asynq:x:types:{{{host}:{pid}:{server_id}}}"


def stop_channel(server_id: str) -> str:
    """Ours: the channel on which one worker process is told to stop."""
    return f"asynq:x:stop:{server_id}"


def scheduler(scheduler_id: str) -> str:
    """Entries of one scheduler. scheduler_id: ``<host>:<pid>:<uuid4>``."""
    return f"{SCHEDULERS}:{{{scheduler_id}}}"


def fired(queue: QueueKeys, entry_id: str) -> str:
    """Ours: the last instant of a periodic entry that was taken care of."""
    return f"{queue.prefix}x:cron:{entry_id}"


def timing(queue: QueueKeys, entry_id: str) -> str:
    """Ours: when that entry fired by then, as its scheduler had it."""
    return f"{queue.prefix}x:timing:{entry_id}"


def due(queue: QueueKeys) -> str:
    """Ours: task id by Unix ms, of those that hustlex scheduled; also the channel that tells of a new first one."""
    return f"{queue.prefix}x:due"


def scheduler_history(entry_id: str) -> str:
    """Firings of one periodic entry."""
    return f"asynq:scheduler_history:{entry_id}"


def owners(queue: QueueKeys) -> str:
    """Ours: which servers hold tasks of this queue, by the Unix second after which each counts as dead."""
    return queue.prefix + "x:owners"


def parked(queue: QueueKeys) -> str:
    """Ours: messages that nobody could decode, by task id."""
    return queue.prefix + "x:parked"


def ended(queue: QueueKeys) -> str:
    """Ours: the ids of the last tasks that succeeded and left nothing."""
    return queue.prefix + "x:ended"


def step_record(queue: QueueKeys, task_id: str) -> str:
    """Ours: what a workflow knows of one of its steps."""
    return f"{queue.prefix}x:step:{task_id}"


def stream(queue: str, task_id: str) -> str:
    """Ours: what a job tells; also the channel on which each item is announced by its position."""
    return f"{queue_keys(queue).prefix}x:stream:{addressed('task_id', task_id)}"


def failure_groups(queue: QueueKeys) -> tuple[str, str]:
    """Ours: failures by their signature, and when each was seen last."""
    return f"{queue.prefix}x:errors", f"{queue.prefix}x:errors:seen"
