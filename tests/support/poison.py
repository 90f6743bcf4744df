"""Every script against wrong-typed keys: calls are recorded with the keyspace before them, and made again on each
keyspace in which one key holds another type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import redis

from hustlex.core.op import Op
from hustlex.drivers.blocking import Driver
from hustlex.errors import Error

Facts = dict[tuple[bytes, Any], Any]
"""What the keyspace says: by key and member, field or nothing."""
_MOST_PER_SCRIPT = 3
_SEVERAL_SHAPES = ("jobs.cycle", "jobs.enqueue", "jobs.enqueue_plain", "jobs.forward")
_MOST_ALIKE = 4
"""Of the tasks' own keys, so many are tried; first those that the call changes."""


class Recorded(msgspec.Struct):
    """before: what each key held, as RESTORE wants it. changed: how many facts the call changed."""

    op: Op[Any]
    before: dict[bytes, bytes]
    changed: int


class Recorder:
    """calls: by script, those that changed most."""

    def __init__(self, raw: redis.Redis) -> None:
        self.calls: dict[str, list[Recorded]] = {}
        self._raw = raw

    @contextmanager
    def listening(self, monkeypatch: Any) -> Iterator[None]:
        """Record what blocking drivers run."""
        run = Driver.run

        def recorded(driver: Driver, op: Op[Any]) -> Any:
            if op.script is None:
                return run(driver, op)
            before, facts = self._dump(), read(self._raw)
            try:
                return run(driver, op)
            finally:
                self._keep(Recorded(op, before, len(facts.items() ^ read(self._raw).items())))

        def many(driver: Driver, ops: Any) -> list[Any]:
            return [settled(driver, op) for op in ops]

        with monkeypatch.context() as patch:
            patch.setattr(Driver, "run", recorded)
            patch.setattr(Driver, "run_many", many)
            yield

    def _dump(self) -> dict[bytes, bytes]:
        keys = list(self._raw.scan_iter(count=10_000))
        with self._raw.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.dump(key)
            return {key: held for key, held in zip(keys, pipe.execute(), strict=True) if held is not None}

    def _keep(self, call: Recorded) -> None:
        calls = self.calls.setdefault(call.op.name, [])
        calls.append(call)
        calls.sort(key=lambda known: -known.changed)
        del calls[_MOST_PER_SCRIPT if call.op.name in _SEVERAL_SHAPES else 1 :]


def settled(driver: Driver, op: Op[Any]) -> Any:
    """Its answer, or its error."""
    try:
        return driver.run(op)
    except Error as error:
        return error


_READS: dict[bytes, tuple[Any, ...]] = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"hash": ("HGETALL",),
}


def read(raw: redis.Redis) -> Facts:
    """All facts but those of streams, whose ids are times."""
    kinds = types(raw)
    kinds = {key: kind for key, kind in kinds.items() if kind in _READS}
    with raw.pipeline(transaction=False) as pipe:
        for key, kind in kinds.items():
            command, *rest = _READS[kind]
            pipe.execute_command(command, key, *rest)
        answers = pipe.execute()
    facts: Facts = {}
    for (key, kind), answer in zip(kinds.items(), answers, strict=True):
        match kind:
            case b"string":
                facts[key, ""] = answer
            case b"list" | b"set":
                facts |= {(key, member): 1 for member in answer}
            case b"zset":
                facts |= {(key, member): score for member, score in _pairs(answer)}
            case b"hash":
                facts |= {(key, field): value for field, value in answer.items()}
    return facts


def _pairs(answer: list[Any]) -> list[tuple[Any, Any]]:
    return (
        [(member, score) for member, score in answer]
        if answer and isinstance(answer[0], list | tuple)
        else list(zip(answer[::2], answer[1::2], strict=True))
    )


def types(raw: redis.Redis) -> dict[bytes, bytes]:
    """What type each key is of."""
    keys = list(raw.scan_iter(count=10_000))
    with raw.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        return dict(zip(keys, pipe.execute(), strict=True))


def restore(raw: redis.Redis, before: dict[bytes, bytes]) -> None:
    """That keyspace again."""
    raw.flushall()
    with raw.pipeline(transaction=False) as pipe:
        for key, value in before.items():
            pipe.restore(key, 0, value)
        pipe.execute()


def poison(raw: redis.Redis, key: bytes, kind: bytes) -> None:
    """Another type than it has or would have."""
    raw.delete(key)
    if kind == b"string":
        raw.rpush(key, "poison")
    else:
        raw.set(key, "poison")


def outcomes(raw: redis.Redis, driver: Driver, call: Recorded) -> Iterator[tuple[bytes, Any, Facts, Facts, Facts]]:
    """For each key that the call touches: the key, the answer, and the facts before (but for the key's), after, and
    after an undisturbed call."""
    restore(raw, call.before)
    kinds, unharmed = types(raw), read(raw)
    settled(driver, call.op)
    usual = read(raw)
    kinds = types(raw) | kinds
    changed = {key for (key, _), _ in unharmed.items() ^ usual.items()}
    named = {key.encode() for key in call.op.keys}
    alike = sorted((key for key in kinds if b":t:" in key), key=lambda key: key not in changed)
    for victim in sorted((kinds.keys() | named) - set(alike[_MOST_ALIKE:])):
        restore(raw, call.before)
        poison(raw, victim, kinds.get(victim, b"none"))
        before = {place: value for place, value in unharmed.items() if place[0] != victim}
        answer = settled(driver, call.op)
        yield victim, answer, before, read(raw), usual
