"""The questions to a server, one operation each, and how their answers are read. All of them read only.

at: a key whose slot the node serves, for a cluster: these commands have no key of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Arg, Batch, Effect, Flow, Op, Reply, command, do
from hustlex.errors import Error, Refused

T = TypeVar("T")

SETTINGS = (
    "appendfsync", "bind", "cluster-require-full-coverage", "dir", "latency-monitor-threshold", "maxmemory-clients",
    "min-replicas-to-write", "protected-mode", "repl-backlog-size", "save", "slowlog-log-slower-than", "timeout",
)  # fmt: skip
"""Of the configuration, where it may be asked."""
_CAPABILITIES = {
    "waitaof": "durability fsync and replica_fsync are refused",
    "client|tracking": "near caches stay off",
    "hello": "the server cannot be used",
}
"""What a server may lack, by command, and what is off then."""


class SlowCall(msgspec.Struct, frozen=True):
    """An entry of the server's slow log. words: of the command, not to be shown as they are."""

    id: int
    at_s: int
    took_us: int
    words: tuple[bytes, ...]
    client: str


class LatencyEvent(msgspec.Struct, frozen=True):
    """What the server's latency monitor saw: the last time, and the worst, in milliseconds."""

    name: str
    at_s: int
    last_ms: int
    worst_ms: int


class UserRules(msgspec.Struct, frozen=True):
    """An ACL user. commands: as ``-@all +get``. keys: patterns."""

    name: str
    open: bool
    """Whether it is on and needs no password."""
    commands: str
    keys: str

    @property
    def unlimited(self) -> bool:
        """Whether it may do everything."""
        return "+@all" in self.commands and "-" not in self.commands


def allowed(op: Op[T]) -> Flow[T | None]:
    """The answer; None when the server refuses it."""
    try:
        return (yield from do(op))
    except Refused:
        return None


def ask(at: str, decode: Any, *words: Arg) -> Op[Any]:
    """One question."""
    keys = (at,) if at else ()
    return command(f"doctor.{str(words[0]).lower()}", Effect.READ, *words, decode=decode, keys=keys)


def info(at: str) -> Flow[dict[str, str] | None]:
    """Every field of INFO, also of commands and their times."""
    return (yield from allowed(ask(at, lambda reply: fields_of(bytes(reply)), "INFO", "everything")))


def settings(at: str) -> Flow[dict[str, str] | None]:
    """Those of ``SETTINGS`` that this server knows."""
    return (yield from allowed(ask(at, _texts, "CONFIG", "GET", *SETTINGS)))


def slow_calls(at: str, count: int) -> Flow[list[SlowCall] | None]:
    """The newest entries of the slow log."""
    return (yield from allowed(ask(at, lambda reply: [_slow(each) for each in reply], "SLOWLOG", "GET", count)))


def latency(at: str) -> Flow[list[LatencyEvent] | None]:
    """What the latency monitor holds."""
    return (yield from allowed(ask(at, lambda reply: [_event(each) for each in reply], "LATENCY", "LATEST")))


def clients(at: str) -> Flow[list[dict[str, str]] | None]:
    """Every connection, by the server's own names."""
    return (yield from allowed(ask(at, _clients, "CLIENT", "LIST")))


def user(at: str, name: str) -> Flow[UserRules | None]:
    """The rules of an ACL user."""
    return (yield from allowed(ask(at, lambda reply: _rules(name, reply), "ACL", "GETUSER", name)))


def absent(at: str) -> Flow[dict[str, str] | None]:
    """Commands that the server lacks, and what is off because of that."""
    found = yield from allowed(ask(at, list, "COMMAND", "INFO", *_CAPABILITIES))
    return (
        None if found is None else {n: _CAPABILITIES[n] for n, row in zip(_CAPABILITIES, found, strict=True) if not row}
    )


def missing(at: str, name: str, commands: tuple[str, ...]) -> Flow[list[str] | None]:
    """Which of these commands the user may not run; None when that may not be asked."""
    rows = yield from allowed(ask(at, list, "COMMAND", "INFO", *commands))
    if rows is None:
        return None
    known = [(each, abs(row[1])) for each, row in zip(commands, rows, strict=True) if row]
    tries = tuple(ask(at, bytes, "ACL", "DRYRUN", name, *_filled(each, arity)) for each, arity in known)
    answers: list[bytes | Error] = yield Batch(tries)
    if any(isinstance(answer, Refused) and answer.code == "NOPERM" for answer in answers):
        return None
    pairs = zip(known, answers, strict=True)
    return [each for (each, _), answer in pairs if isinstance(answer, bytes) and b"to run the" in answer]


def _filled(name: str, arity: int) -> list[str]:
    words = name.upper().split("|")
    return words + ["1"] * (arity - len(words))


def _slow(entry: Reply) -> SlowCall:
    id_, at_s, took_us, words, *rest = entry
    client = rest[1].decode("utf-8", "replace") if len(rest) > 1 else ""
    return SlowCall(int(id_), int(at_s), int(took_us), tuple(words), client)


def _event(entry: Reply) -> LatencyEvent:
    name, at_s, last_ms, worst_ms = entry[:4]
    return LatencyEvent(name.decode(), int(at_s), int(last_ms), int(worst_ms))


def _clients(reply: Reply) -> list[dict[str, str]]:
    lines = bytes(reply).decode("utf-8", "replace").splitlines()
    return [dict(pair.partition("=")[::2] for pair in line.split(" ")) for line in lines]


def _rules(name: str, reply: Reply) -> UserRules | None:
    if reply is None:
        return None
    fields = {key.decode(): value for key, value in reply.items()}
    flags = {flag.decode() for flag in fields["flags"]}
    return UserRules(name, {"on", "nopass"} <= flags, fields["commands"].decode(), _joined(fields["keys"]))


def _joined(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else " ".join(each.decode() for each in value)


def _texts(reply: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode("utf-8", "replace") for name, value in reply.items()}
