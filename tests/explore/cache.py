"""Cache: compute under a lease, invalidate, fill. Two readers and a writer who changes the row and then invalidates.

The operations in the order in which `obtain` and `invalidate` send them; what processes share among themselves in
memory (computations, copies) is not in it.

Invariants:

- Once an invalidation ran, no value from before it is in the cache, nor ever comes there.
- While a lease lasts, nobody else computes, unless an invalidation ended it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any
from unittest import mock

from hustlex.cache import keys, ops
from hustlex.core.op import Call, Effect, Op, command, do
from hustlex.errors import Timeout
from tests.explore.engine import Mutation, Protocol, argument
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

ENTRY = keys.entry("", "user:7")
LEASE = keys.lease("", ENTRY)
LEASE_MS, LIFE_MS = 30_000, 900_000


@dataclass
class Row:
    version: int = 1
    """In the database."""
    floor: int = 1
    """The version that the last invalidation was for."""
    holder: str = ""
    until: int = 0


class Cache(Protocol):
    name = "cache"
    ticks = (LEASE_MS + 1_000,)
    short = (Bounds(1, 0, cast=("reader A", "writer")), Bounds(0, 1))
    long = (Bounds(2, 2),)

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation("fills-without-lease", ops._FILL, (("redis.call('GET', lease) ~= lease_value", "false"),)),
            Mutation("leases-for-everybody", ops._GETL, (("'NX', ", ""),)),
            Mutation("leaves-the-lease", patch=_careless),
        )

    def ledger(self) -> Row:
        return Row()

    def setup(self, world: World) -> Story:
        """Nothing: the cache is cold."""
        yield from ()

    def actors(self, world: World) -> None:
        world.add("reader A", _read(world, "t:a"))
        world.add("reader B", _read(world, "t:b"))
        world.add("writer", _write(world))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        row: Row = world.ledger
        if op.name == "cache.delete":
            row.floor = row.version
            row.holder = ""
        elif op.name == "cache.getl" and reply[0] == 0:
            token = str(argument(op, "lease_value"))
            if row.holder not in ("", token) and row.until > world.now_ms:
                raise Broken("two compute, and the first one's lease lasts")
            if row.holder != token:
                row.holder, row.until = token, world.now_ms + LEASE_MS
        elif op.name == "cache.fill" and reply[0] == 1:
            row.holder = ""

    def check(self, world: World, look: Look) -> None:
        row: Row = world.ledger
        cached = look.string(ENTRY)
        if cached is not None and int(cached) < row.floor:
            raise Broken(f"version {cached} is cached, and {row.floor} was invalidated for")

    def closing(self, world: World) -> Story:
        """Another reader, when all leases are over."""
        yield LEASE_MS + 1_000  # type: ignore[misc]
        yield from _read(world, "t:c")

    def final(self, world: World, look: Look) -> None:
        self.check(world, look)
        if look.string(ENTRY) is None:
            raise Broken("nobody could fill the cache any more")


def _read(world: World, token: str) -> Story:
    """Read; after a miss take the lease, compute, store."""
    if (yield from do(ops.get(ENTRY, 0))) is not None:
        return
    claim = yield from do(ops.getl(ENTRY, LEASE, token, LEASE_MS, 0))
    if not isinstance(claim, ops.Ours):
        return
    version = yield Call(lambda: world.ledger.version)
    yield from do(ops.fill(ENTRY, LEASE, token, 0, b"%d" % version, LIFE_MS, 0))


def _write(world: World) -> Story:
    """Change the row, commit, then invalidate; once more when the reply is lost."""

    def commit() -> None:
        world.ledger.version = 2

    yield Call(commit)
    with suppress(Timeout):
        yield from do(ops.unlink(ENTRY, LEASE))
        return
    yield from do(ops.unlink(ENTRY, LEASE))


def _careless() -> AbstractContextManager[Any]:
    """An invalidation of the entry alone."""

    def unlink(entry: str, lease: str) -> Op[Any]:
        return command("cache.delete", Effect.IDEMPOTENT, "UNLINK", entry, keys=(entry,), decode=int)

    return mock.patch.object(ops, "unlink", unlink)
