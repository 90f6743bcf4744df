"""Reads many tasks: what is alike in them is decoded once."""

from __future__ import annotations

from typing import Any

from hustlex.jobs.wire import TaskMessage, decode_task, encode_task

_MOST_KNOWN = 256
_TYPE, _PAYLOAD, _ID = 0x0A, 0x12, 0x1A


class MessageReader:
    """``decode_task`` for tasks of which most differ from an earlier one in type, payload and id only.

    These three fields come first. What comes behind them, the task's options, is kept with its meaning.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Any, ...]] = {}

    def read(self, data: bytes) -> TaskMessage:
        """As ``decode_task``, faults included."""
        try:
            at = data[1] + 2
            start, size = at + 2, data[at + 1]
            if size > 127:
                start, size = start + 1, size - 128 + 128 * data[start]
            end = start + size
            ends = end + 2 + data[end + 1]
            tail = data[ends:]
            tagged = data[0] == _TYPE and data[at] == _PAYLOAD and data[end] == _ID
            if not (tagged and data[1] < 128 > data[end + 1] and data[start - 1] < 128):  # lengths of more bytes
                return decode_task(data)
            options = self._known.get(tail)
            if options is not None:
                payload = data[start:end] or None
                return TaskMessage(data[2:at].decode(), payload, data[end + 2 : ends].decode(), *options)
        except (IndexError, UnicodeDecodeError):
            return decode_task(data)
        return self._learned(data, tail)

    def _learned(self, data: bytes, tail: bytes) -> TaskMessage:
        """Read it, and keep the options where many tasks will have the same: no lock, time or error of its own."""
        m = decode_task(data)
        options = m.queue, m.retry, m.retried, "", m.timeout, 0, "", 0, m.retention
        plain = m.queue and m == TaskMessage(m.type, m.payload, m.id, *options)
        if plain and len(self._known) < _MOST_KNOWN and encode_task(m) == data:
            self._known[tail] = options
        return m
