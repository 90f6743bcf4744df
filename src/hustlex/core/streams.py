"""The live connections that this process serves: event streams and sockets, whichever application they belong to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from hustlex.core import forks

StreamKind = Literal["sse", "websocket"]
KINDS: tuple[StreamKind, ...] = get_args(StreamKind)


class OpenStreams:
    """How many there are of each kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = dict.fromkeys(KINDS, 0)
        forks.watch(self)

    def forked(self) -> None:
        """See ``core.forks``: they are the parent's."""
        self._lock = threading.Lock()
        self._open = dict.fromkeys(KINDS, 0)

    @property
    def counts(self) -> tuple[int, ...]:
        """In the order of ``KINDS``."""
        return tuple(self._open.values())

    @contextmanager
    def one(self, kind: StreamKind) -> Iterator[None]:
        """One more, while the block runs."""
        counted = self._open  # a child of this process begins anew, with others
        with self._lock:
            counted[kind] += 1
        try:
            yield
        finally:
            with self._lock:
                counted[kind] -= 1


open_streams = OpenStreams()
"""Of this process."""
