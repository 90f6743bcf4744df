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


def together(*ops: Op[Any]) -> Flow[list[Any]]:
    """The answers, in one round trip; None for what the server refuses. Raises what else is wrong."""
    answers: list[Any] = yield Batch(ops)
    for answer in answers:
        if isinstance(answer, Error) and getattr(answer, "server_code", "") in ("", "NOAUTH", "WRONGPASS"):
            raise answer
    return [None if isinstance(answer, Refused) else answer for answer in answers]


def info(at: str) -> Op[dict[str, str]]:
    """Every field of INFO, also of commands and their times."""
    return ask(at, lambda reply: fields_of(bytes(reply)), "INFO", "everything")


def settings(at: str) -> Op[dict[str, str]]:
    """Those of ``SETTINGS`` that this server knows."""
    return ask(at, _texts, "CONFIG", "GET", *SETTINGS)


def server_ms(at: str) -> Op[int]:
    """The server's clock."""
    return ask(at, lambda reply: int(reply[0]) * 1000 + int(reply[1]) // 1000, "TIME")


def whoami(at: str) -> Op[str]:
    """Our user."""
    return ask(at, lambda reply: bytes(reply).decode(), "ACL", "WHOAMI")


def slow(at: str, count: int) -> Op[list[SlowCall]]:
    """The newest entries of the slow log."""
    return ask(at, lambda reply: [_slow(each) for each in reply], "SLOWLOG", "GET", count)


def fields(text: str) -> dict[str, str]:
    """Of a line of INFO, as ``calls=1,usec=2``."""
    return dict(part.partition("=")[::2] for part in text.split(","))


def latency(at: str) -> Op[list[LatencyEvent]]:
    """What the latency monitor holds."""
    return ask(at, lambda reply: [_event(each) for each in reply], "LATENCY", "LATEST")


def clients(at: str) -> Op[list[dict[str, str]]]:
    """Every connection, by the server's own names."""
    return ask(at, _clients, "CLIENT", "LIST")


def user(at: str, name: str) -> Op[UserRules | None]:
    """The rules of an ACL user."""
    return ask(at, lambda reply: _rules(name, reply), "ACL", "GETUSER", name)


def absent(at: str) -> Op[dict[str, str]]:
    """Commands that the server lacks, and what is off because of that."""
    return ask(at, _lacking, "COMMAND", "INFO", *_CAPABILITIES)


def _lacking(rows: Reply) -> dict[str, str]:
    return {name: _CAPABILITIES[name] for name, row in zip(_CAPABILITIES, rows, strict=True) if not row}


def arities(at: str, commands: tuple[str, ...]) -> Op[dict[str, int]]:
    """How many words each of these commands has, at least; without those that the server lacks."""

    def decode(rows: Reply) -> dict[str, int]:
        return {name: abs(row[1]) for name, row in zip(commands, rows, strict=True) if row}

    return ask(at, decode, "COMMAND", "INFO", *commands)


def missing(at: str, name: str, known: dict[str, int]) -> Flow[list[str] | None]:
    """Which of these commands the user may not run; None when that may not be asked."""
    answers: list[bytes | Error] = yield Batch(
        tuple(ask(at, bytes, "ACL", "DRYRUN", name, *_filled(each, arity)) for each, arity in known.items())
    )
    if any(isinstance(answer, Refused) and answer.server_code == "NOPERM" for answer in answers):
        return None
    pairs = zip(known, answers, strict=True)
    return [each for each, answer in pairs if isinstance(answer, bytes) and b"to run the" in answer]


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
