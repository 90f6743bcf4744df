"""The feed of revocations, a stream that every process with bounded checks reads: operations, and where a reader is.

The stream has a slot of its own, so telling it is a second operation, after the script that decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.tokens.view import Notice, View

_ANNOUNCE = load("hustlex.tokens", "announce")

BLOCK_S = 0.5
"""How long the server holds a question for news."""

_BATCH = 1_000
_MARGIN_MS = 1_500
_START = "0"


def feed_key(prefix: str) -> str:
    """The stream's name."""
    return f"{prefix}jwt:revocations"


def announce(prefix: str, notices: Sequence[Notice], now_ms: int, keep_ms: int) -> Op[None]:
    """Tell every process. keep_ms: the longest that an access token lives. A notice's until_ms of 0 means that long."""
    args = [
        field
        for notice in notices
        for field in (notice.kind, notice.name, notice.kept, notice.line_ms, notice.until_ms)
    ]
    return _ANNOUNCE.op((feed_key(prefix),), (now_ms, keep_ms, *args), _nothing)


def _nothing(_: Reply) -> None:
    return None


class Reader:
    """Where this process stands in the feed. The same for tasks and threads; who drives it is in aio.py, blocking.py.

    on_key: called when signing keys were changed.
    """

    def __init__(self, prefix: str, view: View, on_key: Callable[[], None]) -> None:
        self._feed = feed_key(prefix)
        self._view = view
        self._on_key = on_key
        self._last = _START
        self._sent_at = 0.0

    @property
    def warm(self) -> bool:
        """Whether the reader has caught up since the link was last made."""
        return self._view.warm

    def clock(self) -> Op[None]:
        """Ask the server's time, so that bounded checks go by it."""
        asked_at = time.monotonic()

        def decode(reply: Reply) -> None:
            self._view.set_clock(int(reply[0]) * 1000 + int(reply[1]) // 1000, asked_at)

        return command("tokens.clock", Effect.READ, "TIME", decode=decode)

    def next(self) -> Op[None]:
        """Read on. Not repeated by the driver: after a broken link it may be another server that answers, whose stream
        says less than what was read; then all is read again (``lost``)."""
        self._sent_at = time.monotonic()
        wait = ("BLOCK", int(BLOCK_S * 1000)) if self._view.warm else ()
        return command(
            "tokens.follow", Effect.ONCE, "XREAD", "COUNT", _BATCH, *wait, "STREAMS", self._feed, self._last,
            keys=(self._feed,), decode=self._take, timeout_ms=int(BLOCK_S * 1000) + _MARGIN_MS,
        )  # fmt: skip

    def _take(self, reply: Reply) -> None:
        """Learn, then prove. An empty reply was true when the server gave up waiting; any other when it was asked:
        moments of our own clock that lie before the server's answer, however long that lay unread."""
        entries = next(iter(reply.values())) if reply else []
        for entry_id, fields in entries:
            self._learn(fields)
            self._last = entry_id.decode()
        if len(entries) < _BATCH:
            waited = BLOCK_S if self._view.warm and not entries else 0
            self._view.warm = True
            self._view.prove(self._sent_at + waited)

    def _learn(self, fields: Sequence[bytes]) -> None:
        said = dict(zip(fields[::2], fields[1::2], strict=True))
        kind, name, kept = (said[field].decode() for field in (b"kind", b"name", b"kept"))
        if kind == "key":
            self._on_key()
        self._view.learn(Notice(kind, name, int(said[b"until"]), int(said[b"line"]), kept))

    def lost(self) -> None:
        """The link broke. What is known stays known; what is new is looked for from the start."""
        self._view.warm = False
        self._last = _START
