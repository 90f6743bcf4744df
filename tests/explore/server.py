"""A real server that can be put back to any state it was in, with a clock that only the explorer moves."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis

from hustlex.core.op import Effect, Op
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.faults import refusal
from hustlex.drivers.pack import join

State = tuple[tuple[bytes, bytes, int, Any], ...]
"""All that the server holds, in the order of the keys: key, its serialised value, its life in ms (0: for ever), and the
value as it reads, without an order where it has none."""

EMPTY: State = ()
_GRAIN_MS = 1000
"""Lives are rounded up to it, so that the milliseconds a step takes make no other state."""
_FRESH_S = 0.3
"""For so long the lives of keys are taken for what they were when they were written."""
_SNAPSHOT = b"""
local reads = {
  string = function(key) return redis.call('GET', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  hash = function(key)
    local flat, fields, values = redis.call('HGETALL', key), {}, {}
    for n = 1, #flat, 2 do fields[#fields + 1], values[flat[n]] = flat[n], flat[n + 1] end
    table.sort(fields)
    for n, field in ipairs(fields) do flat[2 * n - 1], flat[2 * n] = field, values[field] end
    return flat
  end,
  set = function(key)
    local members = redis.call('SMEMBERS', key)
    table.sort(members)
    return members
  end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
}
local keys, all = redis.call('KEYS', '*'), {}
table.sort(keys)
for n, key in ipairs(keys) do
  local read = reads[redis.call('TYPE', key).ok]
  all[n] = {key, redis.call('DUMP', key), redis.call('PTTL', key), read and read(key) or false}
end
return all
"""


class ExploredServer:
    """One connection, no pipelining of several calls: an answer belongs to the call before it."""

    def __init__(self, path: str, password: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader(replyError=hiredis.ReplyError)
        self._texts: dict[str, tuple[str, str]] = {}
        self._at: State = EMPTY
        self._since = 0.0
        self.patched: dict[str, str] = {}
        """Script name -> the text to run instead of its own: a fault put in on purpose."""
        self.command("AUTH", password)
        self._look = self.command("SCRIPT", "LOAD", _SNAPSHOT)

    def command(self, *words: Any) -> Any:
        """One plain command; an answer that is an error is raised."""
        answer = self._exchange(join(words), 1)[0]
        if isinstance(answer, hiredis.ReplyError):
            raise refusal(str(answer))
        return answer

    def run(self, op: Op[Any], at: State, now_ms: int) -> tuple[Any, State]:
        """Run an operation in a state: the server's reply, or the Error it is, and the state afterwards."""
        words = self._words(op, now_ms)
        if op.effect is Effect.READ:
            answer = self._in(at, [words])[0]
            return self._told(answer), at
        answer, rows = self._in(at, [words, ("EVALSHA", self._look, 0)])
        self._at = _state(rows)
        return self._told(answer), self._at

    def held(self) -> State:
        """What there is."""
        return _state(self.command("EVALSHA", self._look, 0))

    def _in(self, state: State, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Put the server back to a state and run commands there, all in one write."""
        before: list[tuple[Any, ...]] = []
        if state is not self._at or time.monotonic() > self._since + _FRESH_S:
            held = {row[0]: row for row in self._at}
            wanted = [row for row in state if row[2] or held.get(row[0], (0, 0))[:3] != row[:3]]
            gone = held.keys() - {row[0] for row in state}
            before = [("UNLINK", *gone)] if gone else []
            before += [("RESTORE", key, life, value, "REPLACE") for key, value, life, _ in wanted]
        self._since = time.monotonic()
        self._at = state
        words = [*before, *commands]
        answers = self._exchange(b"".join(map(join, words)), len(words))
        assert not any(isinstance(each, hiredis.ReplyError) for each in answers[: len(before)]), answers
        return answers[len(before) :]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _words(self, op: Op[Any], now_ms: int) -> tuple[Any, ...]:
        """As the driver sends it, with the explored clock where production asks the server for its own."""
        if op.script is None:
            return op.args
        args = list(op.args)
        if "now_ms" in op.script.args:
            at = op.script.args.index("now_ms")
            assert args[at] == 0, f"{op.name} was given a clock of its own"
            args[at] = now_ms
        text = self.patched.get(op.script.name, op.script.text)
        if text not in self._texts:
            self._texts[text] = ("EVALSHA", self.command("SCRIPT", "LOAD", text).decode())
        return (*self._texts[text], len(op.keys), *op.keys, *args)

    def _told(self, answer: Any) -> Any:
        return refusal(str(answer)) if isinstance(answer, hiredis.ReplyError) else answer

    def _exchange(self, sent: bytes, count: int) -> list[Any]:
        self._socket.sendall(sent)
        answers: list[Any] = []
        while len(answers) < count:
            answer = self._reader.gets()
            if answer is False:
                self._reader.feed(self._socket.recv(1 << 20))
            else:
                answers.append(answer)
        return answers


def _state(rows: list[Any]) -> State:
    return tuple((key, value, _rounded(life), read) for key, value, life, read in rows)


def _rounded(life_ms: int) -> int:
    return 0 if life_ms < 0 else -(-life_ms // _GRAIN_MS) * _GRAIN_MS


class Look:
    """A state to read in."""

    def __init__(self, state: State) -> None:
        self._values = {key.decode(): value for key, _, _, value in state}

    def __iter__(self) -> Iterator[str]:
        """All keys there are."""
        return iter(self._values)

    def string(self, key: str) -> str | None:
        """None: no such key."""
        value = self._values.get(key)
        return None if value is None else value.decode()

    def items(self, key: str) -> list[str]:
        """Of a list, or the members of a set; from the left."""
        return [each.decode() for each in self._values.get(key) or ()]

    def pairs(self, key: str) -> dict[str, str]:
        """Of a hash, or members and scores of a sorted set."""
        flat = [each.decode("utf-8", "replace") for each in self._values.get(key) or ()]
        return dict(zip(flat[::2], flat[1::2], strict=True))


def older(state: State, by_ms: int) -> State:
    """The state after so long: what ran out is gone."""
    return tuple(
        (key, value, max(0, life - by_ms), read) for key, value, life, read in state if not life or life > by_ms
    )


def digest(state: State) -> bytes:
    """A short name of a state: of what it reads, since how a value is serialised depends on what came before."""
    told = [(key, life, value if read is None else read) for key, value, life, read in state]
    return hashlib.blake2b(repr(told).encode(), digest_size=16).digest()


@contextmanager
def explored_server() -> Iterator[ExploredServer]:
    """An embedded server of its own."""
    with EmbeddedServer(extra_args=("--save", "")) as embedded:
        password = re.search(r"//:([^@]*)@", embedded.socket_url)
        assert password is not None
        server = ExploredServer(str(embedded.socket), password[1])
        try:
            yield server
        finally:
            server.close()


def texts(script: Any, swaps: Sequence[tuple[str, str]]) -> str:
    """A script's text with faults put in. Each passage must be there exactly once, or the fault is out of date."""
    text: str = script.text
    for old, new in swaps:
        assert text.count(old) == 1, f"{script.name}: {old!r} stands there {text.count(old)} times"
        text = text.replace(old, new)
    return text
