"""The feed of revocations, a stream that every process with bounded checks reads: operations, and where a reader is.

The stream has a slot of its own, so telling it is a second operation, after the script that decides.

What a reader must never do is to take silence for "nothing was revoked". So the feed has a life with a name, and its
notices have numbers. Where the life is another one than before (the server was flushed, started anew, is an empty or an
older one) or numbers are missing (the stream was trimmed), tokens from before that moment are asked for one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hustlex.core.follower import Ask
from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.tokens.revocation_cache import RevocationCache, RevocationEntry

_ANNOUNCE = load("hustlex.tokens", "announce")
_ATTEND = load("hustlex.tokens", "attend")

BLOCK_S = 0.5
"""How long the server holds a question for news."""

_BATCH = 1_000
_MARGIN_MS = 1_500
_START = "0"


def feed_key(prefix: str) -> str:
    """The stream's name."""
    return f"{prefix}jwt:revocations"


def _beside(prefix: str, name: str) -> str:
    """A key in the stream's slot."""
    return f"{prefix}jwt:{name}:{{{feed_key(prefix)}}}"


def attend(
    prefix: str, now_ms: int, keep_ms: int, decode: Callable[[Reply], None] = lambda _: None, *, look: bool = False
) -> Op[None]:
    """Ask for the feed's life, which begins now where there is none. keep_ms: the longest that an access token lives.
    look: at the server, too, whether it was started anew."""
    return _ATTEND.op((_beside(prefix, "epoch"),), (now_ms, keep_ms, int(look)), decode)


def announce(prefix: str, notices: Sequence[RevocationEntry], now_ms: int, keep_ms: int) -> Op[None]:
    """Tell every process. A notice's until_ms of 0 means keep_ms from now."""
    args = [
        field
        for notice in notices
        for field in (notice.kind, notice.name, notice.user, notice.kept, notice.line_ms, notice.until_ms)
    ]
    keys = (feed_key(prefix), _beside(prefix, "epoch"), _beside(prefix, "told"))
    return _ANNOUNCE.op(keys, (now_ms, keep_ms, *args), _nothing)


def _nothing(_: Reply) -> None:
    return None


def _learned(_: None) -> tuple[()]:
    """The decoders of both questions have told the view."""
    return ()


class LogReader:
    """Where this process stands in the feed, which ``core.follower`` follows in a task or a thread: ``attend``, then
    ``next`` and ``attend`` in turns; after a broken link ``lost``, and from the start.

    on_key: called when signing keys were changed. keep_ms: the longest that an access token lives.
    """

    def __init__(self, prefix: str, view: RevocationCache, on_key: Callable[[], None], keep_ms: int) -> None:
        self._prefix = prefix
        self._feed = feed_key(prefix)
        self._view = view
        self._on_key = on_key
        self._keep_ms = keep_ms
        self._life = b""
        self._announced = self._announced_at = self._seen = 0
        self._last = _START
        self._sent_at = 0.0
        self._proof: float | None = None
        self._looked = False
        self._attended = False
        self.over = False

    @property
    def caught_up(self) -> bool:
        """Whether the reader has since the link was last made, and the feed was seen to live after that."""
        return self._view.warm and self._attended

    def step(self) -> Ask[None]:
        """Ask for the feed's life, for what it says, and so on in turns."""
        self._attended = not self._attended
        if self._attended:
            return Ask(self.attend(), _learned)
        return Ask(self.next(), _learned, BLOCK_S)

    def attend(self) -> Op[None]:
        """Ask whether the feed still lives, and the server's time, so that bounded checks go by it. What was read since
        the last time counts as proven only now: it lay in the same life."""
        asked_at = time.monotonic()

        def decode(reply: Reply) -> None:
            seconds, micros, life, since_ms, announced, at_ms = reply[1:]
            self._view.set_clock(seconds * 1000 + micros // 1000, asked_at)
            self._looked = True
            if life != self._life:
                self._begin(life, since_ms)
            elif announced < self._announced:  # the same life, but less of it: an older state was put back
                self._begin(life, self._view.now_ms() + 1)
            elif self._proof is not None:
                self._view.prove(self._proof)
            self._proof = None
            self._announced, self._announced_at = announced, at_ms

        return attend(self._prefix, self._view.injected_ms(), self._keep_ms, decode, look=not self._looked)

    def _begin(self, life: bytes, since_ms: int) -> None:
        """Of what was told before, nothing is sure to be there."""
        self._life = life
        self._restart()
        self._view.complete_from(since_ms)

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
        """Learn. An empty reply was true when the server gave up waiting; any other when it was asked: moments of our
        own clock that lie before the server's answer, however long that lay unread."""
        entries = next(iter(reply.values())) if reply else []
        for entry_id, fields in entries:
            self._learn(dict(zip(fields[::2], fields[1::2], strict=True)))
            self._last = entry_id.decode()
        if len(entries) < _BATCH:
            if self._seen < self._announced:  # told before this question, and not there
                self._view.complete_from(self._announced_at + 1)
                self._seen = self._announced
            waited = BLOCK_S if self._view.warm and not entries else 0
            self._view.become(warm=True)
            self._proof = self._sent_at + waited

    def _learn(self, said: dict[bytes, bytes]) -> None:
        kind, name, kept = (said[field].decode() for field in (b"kind", b"name", b"kept"))
        if said.get(b"life") == self._life:
            number = int(said[b"n"])
            if number > self._seen + 1:  # those between are gone; that matters when it was too early
                self._view.complete_from(int(said[b"prev"]) + 1)
            self._seen = max(self._seen, number)
        if kind == "key":
            self._on_key()
        user = said.get(b"user", b"").decode()
        self._view.learn(RevocationEntry(kind, name, int(said[b"until"]), int(said[b"line"]), kept, user))

    def lost(self) -> None:
        """The link broke. What is known stays known; what is new is looked for from the start."""
        self._looked = self._attended = False
        self._restart()

    def _restart(self) -> None:
        self._view.become(warm=False)
        self._last = _START
        self._seen = 0
        self._proof = None
