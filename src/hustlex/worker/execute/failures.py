"""What failures have in common: which error, raised where, at which kind of task. Counted here, told now and then.

The signature leaves out what differs from one time to the next: line numbers, ids, amounts, names in quotes. So does
the text that is kept, which therefore holds neither a phone nor a code.
"""

from __future__ import annotations

import re
import sysconfig
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path, PurePath
from types import CodeType, TracebackType

import hustlex
from hustlex.core.faults import SPEECHLESS, readable, words
from hustlex.jobs.keys import QueueKeys
from hustlex.jobs.lease.record import MOST_GROUPS, MOST_IDS, FailureCount, FailureKind
from hustlex.worker.attempt_errors import OURS
from hustlex.worker.queue_state import LeasedTask

_LONGEST_TEXT = 500
_LONGEST = 200
_DEEPEST = 1_000
_FOREIGN = (
    str(Path(hustlex.__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
"""Where code lies that is not the application's."""
_PACKAGES = ("site-packages", "dist-packages")

_DIFFERS = (
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b"), "<time>"),
    (re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)*"), "<token>"),
    (re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\?[^\s'\"]*=[^\s'\"]*"), "?<query>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<addr>"),
    (re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`"), "<text>"),
    (re.compile(r"\b(?=[0-9]*[a-fA-F])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\b(?=\d*[^\W\d])(?=[^\W\d]*\d)\w{20,}\b"), "<token>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)


def template(text: str) -> str:
    """The first line of an error's text, with a word in place of each part that differs from time to time."""
    line = next((line for line in text[:_LONGEST_TEXT].splitlines() if line.strip()), "")
    for pattern, word in _DIFFERS:
        line = pattern.sub(word, line)
    return " ".join(line.split())[:_LONGEST]


def kind_of(task_type: str, error: BaseException) -> FailureKind:
    """What is kept of an error. Never raises."""
    kind = readable(task_type)
    try:
        name = "" if issubclass(type(error), OURS) else _named(type(error))
        return FailureKind(kind, name, _place(error) if name else "", template(words(error)))
    except BaseException:  # noqa: BLE001 - whatever a type's own words raise
        return FailureKind(kind, "", "", SPEECHLESS)


def signature_of(kind: FailureKind) -> str:
    """16 hex digits: of the task's type, the class and the place; of the text where the place is not known."""
    parts = (kind.type, kind.error, kind.place or kind.message)
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _named(error: type[BaseException]) -> str:
    module = getattr(error, "__module__", "")
    name = str(error.__qualname__) if module == "builtins" else f"{module}.{error.__qualname__}"
    return readable(name)[:_LONGEST]


def _place(error: BaseException) -> str:
    """The innermost step of the application's own code, else the innermost of all."""
    innermost = own = None
    for code in _codes(error.__traceback__):
        innermost = code
        if not _foreign(code.co_filename):
            own = code
    found = own or innermost
    if found is None:
        return ""
    file = PurePath(found.co_filename)
    stem = file.parent.name if file.stem == "__init__" else file.stem
    return readable(f"{stem}.{found.co_qualname.replace('<locals>.', '')}")[:_LONGEST]


def _codes(step: TracebackType | None) -> Iterator[CodeType]:
    for _ in range(_DEEPEST):
        if step is None:
            return
        yield step.tb_frame.f_code
        step = step.tb_next


def _foreign(file: str) -> bool:
    return file.startswith(("<", *_FOREIGN)) or any(name in file for name in _PACKAGES)


class _Group:
    """Failures of one signature that were not told yet."""

    __slots__ = ("count", "ids", "kind")

    def __init__(self, kind: FailureKind) -> None:
        self.kind = kind
        self.count = 0
        self.ids: deque[str] = deque(maxlen=MOST_IDS)

    def add(self, count: int, ids: Iterator[str]) -> None:
        self.count += count
        self.ids.extend(task_id for task_id in ids if task_id not in self.ids)


class FailureTally:
    """Failures since they were told last, by queue and signature: at most 100 signatures of a queue."""

    def __init__(self) -> None:
        self._queues: dict[QueueKeys, dict[str, _Group]] = {}

    def note(self, job: LeasedTask, error: BaseException) -> None:
        """One more. Never raises."""
        kind = kind_of(job.message.type, error)
        self._add(job.queue.keys, signature_of(kind), kind, 1, iter([job.id.decode("utf-8", "replace")]))

    def take(self) -> list[tuple[QueueKeys, list[FailureCount]]]:
        """What was not told yet, out of here."""
        taken, self._queues = self._queues, {}
        return [
            (
                keys,
                [
                    FailureCount(name, group.kind, group.count, tuple(reversed(group.ids)))
                    for name, group in groups.items()
                ],
            )
            for keys, groups in taken.items()
        ]

    def put_back(self, keys: QueueKeys, counts: list[FailureCount]) -> None:
        """It could not be told."""
        for seen in counts:
            self._add(keys, seen.signature, seen.kind, seen.count, reversed(seen.ids))

    def _add(self, keys: QueueKeys, signature: str, kind: FailureKind, count: int, ids: Iterator[str]) -> None:
        groups = self._queues.setdefault(keys, {})
        group = groups.get(signature)
        if group is None:
            if len(groups) >= MOST_GROUPS:
                return
            group = groups[signature] = _Group(kind)
        group.add(count, ids)
