"""Copies of entries in this process, dropped when the server tells that their key, or the stamp of a tag, changed.

A copy is kept only if nothing was told about its keys since its read was sent, and no notice can have been missed;
every doubt drops all. What stays is bounded: a small queue of newcomers, a large one of those that were asked for
again, and the names of those that left the small one (S3-FIFO), so that a scan drives out nobody.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import msgspec

from hustlex.core.op import AsyncDriver, Tracking

V = TypeVar("V")

_SMALL = 0.1
_MOST_HITS = 3
_MOST_CELLS = 100_000


class StampCell:
    """A tag's stamp: while it is alive, the stamp that the server has is the one that was read."""

    __slots__ = ("alive",)

    def __init__(self) -> None:
        self.alive = True


class NearCopy(Generic[V]):
    """An entry kept here. until: by the local monotonic clock. hits: how often it was asked for, up to 3."""

    __slots__ = ("body", "cells", "entry", "hits", "kept", "main", "shared", "until", "value")

    def __init__(
        self, entry: str, value: V, body: bytes, shared: bool, until: float, cells: tuple[StampCell, ...]
    ) -> None:
        self.entry = entry
        self.value = value
        self.body = body
        self.shared = shared
        self.until = until
        self.cells = cells
        self.hits = 0
        self.main = False
        self.kept = True


class NearGuard:
    """A read under way. clean: nothing was told about any of its keys since it began."""

    __slots__ = ("_pending", "clean", "epoch", "keys")

    def __init__(self, pending: dict[str, list[NearGuard]], epoch: int) -> None:
        self._pending = pending
        self.clean = True
        self.epoch = epoch
        self.keys: list[str] = []

    def watch(self, keys: Iterable[str]) -> None:
        """These keys are about to be read."""
        for key in keys:
            self.keys.append(key)
            self._pending.setdefault(key, []).append(self)


class NearWatch:
    """What the server tells this process; one for all near caches of a front."""

    def __init__(self, driver: AsyncDriver, prefix: str) -> None:
        self._driver = driver
        self._prefixes = (f"{prefix}cache:", f"{prefix}ct:")
        self._tracking: Tracking | None = None
        self._pending: dict[str, list[NearGuard]] = {}
        self._cells: dict[str, StampCell] = {}
        self._shelves: WeakSet[NearShelf[Any]] = WeakSet()

    def shelf(self, *, entries: int, size: int, age_s: float) -> NearShelf[Any]:
        """The copies of one cache."""
        made: NearShelf[Any] = NearShelf(self, entries=entries, size=size, age_s=age_s)
        self._shelves.add(made)
        return made

    @property
    def live(self) -> bool:
        """Whether every change is told. Begins to listen when it is first asked, and again in a new event loop."""
        tracking = self._tracking
        if tracking is None or tracking.closed:
            self.forget()
            self._tracking = self._driver.track(*self._prefixes, on_keys=self.changed, on_loss=self.forget)
            return False
        return tracking.live

    @property
    def trouble(self) -> str:
        """One sentence while no copies are kept although somebody asked for some; else ""."""
        tracking = self._tracking
        off = tracking is not None and not tracking.closed and not tracking.live
        return "near caches keep nothing, since the server tells no changes" if off else ""

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """These keys changed; None: all."""
        if keys is None:
            self.forget()
            return
        for raw in keys:
            self.drop(raw.decode("utf-8", "replace"))

    def drop(self, key: str) -> None:
        """An entry or a stamp is not what it was."""
        for guard in self._pending.get(key, ()):
            guard.clean = False
        cell = self._cells.pop(key, None)
        if cell is not None:
            cell.alive = False
            return
        for shelf in self._shelves:
            shelf.drop(key)

    def forget(self) -> None:
        """Everything: changes may have been missed."""
        for guards in self._pending.values():
            for guard in guards:
                guard.clean = False
        self._cells.clear()
        for shelf in self._shelves:
            shelf.clear()

    def begin(self, keys: Iterable[str]) -> NearGuard | None:
        """A read of these keys is about to be sent; None while changes are not told."""
        if not self.live or self._tracking is None:
            return None
        guard = NearGuard(self._pending, self._tracking.epoch)
        guard.watch(keys)
        return guard

    def end(self, guard: NearGuard) -> bool:
        """The read is done. True: what was read may be kept."""
        for key in guard.keys:
            guards = self._pending[key]
            guards.remove(guard)
            if not guards:
                del self._pending[key]
        tracking = self._tracking
        return guard.clean and tracking is not None and tracking.live and tracking.epoch == guard.epoch

    def cell(self, key: str) -> StampCell:
        """Of a stamp that was read just now."""
        if len(self._cells) > _MOST_CELLS:
            self.forget()
        return self._cells.setdefault(key, StampCell())


class NearShelf(Generic[V]):
    """The copies of one cache. entries, size: how many, and bytes of their bodies. age_s: the longest a copy lives."""

    def __init__(
        self, watch: NearWatch, *, entries: int, size: int, age_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.watch = watch
        self._most = entries
        self._most_bytes = size
        self._age_s = age_s
        self._now = now
        self._copies: dict[str, NearCopy[V]] = {}
        self._small: deque[NearCopy[V]] = deque()
        self._main: deque[NearCopy[V]] = deque()
        self._ghosts: OrderedDict[str, None] = OrderedDict()
        self.bytes = self.evicted = 0

    def __len__(self) -> int:
        return len(self._copies)

    def held(self, entry: str) -> NearCopy[V] | None:
        """A copy, whether it counts or not."""
        return self._copies.get(entry)

    def find(self, entry: str) -> NearCopy[V] | None:
        """A copy that counts."""
        copy = self._copies.get(entry)
        if copy is None or not self.watch.live:
            return None
        for cell in copy.cells:
            if not cell.alive:
                self.drop(entry)
                return None
        if copy.until <= self._now():
            self.drop(entry)
            return None
        if copy.hits < _MOST_HITS:
            copy.hits += 1
        return copy

    def keep(self, entry: str, value: V, body: bytes, shared: bool, left_s: float, stamps: Iterable[str]) -> None:
        """Keep a copy. shared: the value cannot be changed, so that all callers may have the same object."""
        self.drop(entry)
        if len(body) > self._most_bytes or left_s <= 0:
            return
        cells = tuple(self.watch.cell(stamp) for stamp in stamps)
        copy = NearCopy(entry, value, body, shared, self._now() + min(left_s, self._age_s), cells)
        self._copies[entry] = copy
        self.bytes += len(body)
        copy.main = self._ghosts.pop(entry, self) is None
        (self._main if copy.main else self._small).append(copy)
        while len(self._copies) > self._most or self.bytes > self._most_bytes:
            self._evict()

    def drop(self, entry: str) -> None:
        """It does not count any more."""
        copy = self._copies.pop(entry, None)
        if copy is not None:
            copy.kept = False
            self.bytes -= len(copy.body)
            if len(self._small) + len(self._main) > 2 * self._most:  # what was dropped still stands in the queues
                self._small = deque(each for each in self._small if each.kept)
                self._main = deque(each for each in self._main if each.kept)

    def clear(self) -> None:
        """None counts any more."""
        for copy in self._copies.values():
            copy.kept = False
        self._copies.clear()
        self._small.clear()
        self._main.clear()
        self.bytes = 0

    def _evict(self) -> None:
        small = len(self._small) > _SMALL * self._most or not self._main
        copy = (self._small if small else self._main).popleft()
        if not copy.kept:
            return
        if copy.hits and (not small or copy.hits > 1):
            copy.hits = 0 if small else copy.hits - 1
            copy.main = True
            self._main.append(copy)
            return
        self.evicted += 1
        self.drop(copy.entry)
        if small:
            self._ghosts[copy.entry] = None
            if len(self._ghosts) > self._most:
                self._ghosts.popitem(last=False)


def immutable(kind: Any) -> bool:
    """Whether no caller can change a value of this type for another."""
    try:
        return _fixed(msgspec.inspect.type_info(kind))
    except Exception:  # noqa: BLE001 - what msgspec does not know, as pydantic's models
        return False


def _fixed(info: Any) -> bool:
    known = msgspec.inspect
    if isinstance(info, known.UnionType):
        return all(_fixed(each) for each in info.types)
    if isinstance(info, known.StructType):
        frozen = bool(info.cls.__struct_config__.frozen)
        return frozen and all(_fixed(field.type) for field in info.fields)
    if isinstance(info, known.TupleType):
        return all(_fixed(each) for each in info.item_types)
    if isinstance(info, known.VarTupleType | known.FrozenSetType):
        return _fixed(info.item_type)
    plain = (
        known.NoneType, known.BoolType, known.IntType, known.FloatType, known.StrType, known.BytesType,
        known.DateTimeType, known.DateType, known.TimeType, known.TimeDeltaType, known.UUIDType, known.DecimalType,
        known.EnumType, known.LiteralType,
    )  # fmt: skip
    return isinstance(info, plain)
