"""Everything a flow needs to know about its cache: limits, codec, clock, entropy, and the table of computations."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable
from copy import copy
from datetime import timedelta
from typing import Any, Generic, TypeVar

import msgspec

from hustlex.cache import frame, keys, ops
from hustlex.cache.codec import ValueCodec
from hustlex.cache.computations import ComputationTable, Compute
from hustlex.cache.counts import Counts
from hustlex.cache.frame import MOST_TAGS
from hustlex.cache.near import NearCopy, NearShelf, NearWatch
from hustlex.cache.policy import CachePolicy, checked_ms
from hustlex.cache.pressure import MemoryPressure
from hustlex.cache.tally import FleetTally
from hustlex.cache.template import CallKey, KeyTemplate, name_of
from hustlex.cache.types import EntryKey, Key
from hustlex.core.op import LARGE, Op
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Misuse

V = TypeVar("V")

_PATIENCE = 6
"""Times ``wait``, for computations of this process: what waits here costs less than computing twice."""
_STAMP_SPARE_MS = 60_000
_MOST_RESTS = 10_000
_MOST_NAMES = 10_000
_LARGE_S = 60.0
"""How long entries are expected to be large once one was."""


class Entropy(msgspec.Struct, frozen=True):
    """Randomness and elapsed time, so that tests can hold them still. token: 16 hex. stamp: random bytes.
    draw: 0 to 1."""

    token: Callable[[], str] = lambda: secrets.token_hex(8)
    stamp: Callable[[int], bytes] = secrets.token_bytes
    draw: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic


class TagSpace:
    """What invalidating a tag takes: keys, entropy, computations that are detached. One for all caches of a front."""

    def __init__(
        self,
        prefix: str,
        computations: ComputationTable,
        entropy: Entropy | None = None,
        clock: Clock = server_clock,
    ) -> None:
        self.prefix = prefix
        self.computations = computations
        self.entropy = entropy or Entropy()
        self.epoch = f"{prefix}cv:groups"
        """The key that tells of invalidated tags."""
        self.pressure = MemoryPressure(prefix, self.entropy.monotonic)
        self.watch: NearWatch | None = None
        """Who hears of changes, once there is a near cache."""
        self.tally = FleetTally(prefix, clock, self.entropy.monotonic)
        self.reads = computations.reads
        if self.reads is not None:
            self.reads.riding = self.tally.riding

    def stamp(self, tag: str) -> str:
        """The key of a tag's stamp."""
        return keys.stamp(self.prefix, tag)


class CachePlan(Generic[V]):
    """One named cache, without its driver."""

    def __init__(
        self,
        name: str,
        codec: ValueCodec[V],
        policy: CachePolicy,
        computations: ComputationTable,
        *,
        prefix: str,
        clock: Clock,
        entropy: Entropy | None = None,
        space: TagSpace | None = None,
    ) -> None:
        self.name = keys.check_name(name)
        self.codec = codec
        self.policy = policy
        self.computations = computations
        self.clock = clock
        self.entropy = entropy or Entropy()
        self.counts = Counts(name)
        self.patience_s = _PATIENCE * policy.wait_ms / 1000
        self.timed = bool(policy.extra_ms or policy.early or policy.near_ms)
        """Whether a read must know how old an entry is."""
        self.bulkhead: Callable[[Compute], Compute] = computations.bulkhead(policy.bulkhead, self.patience_s)
        self._prefix = prefix
        self.space = space or TagSpace(prefix, computations, self.entropy, clock)
        self.space.tally.watch(self, self.counts)
        self.stamp, self.epoch, self.pressure = self.space.stamp, self.space.epoch, self.space.pressure
        self.fixed_tags = ((keys.namespace(name),) if policy.clearable else ()) + policy.tags
        self.short = bool(self.fixed_tags) and not self.timed
        """Whether a read may try the short way; see ``shortcut``. One without tags carries the report itself."""
        self._templates: dict[str, CachePlan[V]] = {}
        self._functions: dict[str, str] = {}
        self._rests: dict[str, float] = {}
        self._large_until = float("-inf")
        self._entries: dict[str | int, EntryKey] = {}
        self._gets: dict[str, Op[bytes | None]] = {}
        self.near: NearShelf[V | None] | None = None
        """The copies in this process."""

    def of_template(self, text: str) -> CachePlan[V]:
        """The same cache as the functions of one key template see it: what they do is counted apart as well."""
        found = self._templates.get(text)
        if found is None:
            found = self._templates[text] = copy(self)
            found.counts = self.counts.of_template(text)
        return found

    def keyed(self, template: str | None, function: Callable[..., Any]) -> KeyTemplate | CallKey:
        """What makes the keys of a function's calls. Raises Misuse when they are those of another function."""
        if template is None:
            return CallKey(self.name, function)
        key, name = KeyTemplate(template, self.name, function), name_of(function)
        owner = self._functions.setdefault(key.shape, name)
        if owner != name:
            raise Misuse(
                f"{name} would be served what {owner} computed: their key templates are one",
                hint=f"give each a template of its own, as {self.name}:by-name:{{name}}",
            )
        return key

    def entry(self, key: Key) -> EntryKey:
        """The Redis key. Raises Misuse for an unusable part, or for another cache's EntryKey."""
        if type(key) is int or type(key) is str:  # nothing that is only equal, as True
            found = self._entries.get(key)
            if found is None:
                if len(self._entries) >= _MOST_NAMES:
                    self._entries.clear()
                found = self._entries[key] = keys.entry(self._prefix, keys.logical(self.name, key))
            return found
        if not isinstance(key, EntryKey):
            return keys.entry(self._prefix, keys.logical(self.name, key))
        own = keys.entry(self._prefix, self.name)
        if key != own and not key.startswith(f"{own}:"):
            raise Misuse(f"this is not a key of the cache {self.name!r}", hint="pass what follows the cache's name")
        return key

    def keep_near(self, watch: NearWatch) -> None:
        """Keep copies from now on."""
        policy = self.policy
        self.space.watch = watch
        self.near = watch.shelf(entries=policy.near_entries, size=policy.near_bytes, age_s=policy.near_ms / 1000)

    def nearby(self, entry: str) -> NearCopy[V | None] | None:
        """A copy that counts; none where it is to be proved by asking the server."""
        near = self.near
        if near is None or (self.policy.near_proof and self.entropy.draw() < self.policy.near_proof):
            return None
        return near.find(entry)

    def copied(self, copy: NearCopy[V | None]) -> Any:
        """The value of a copy, for one caller."""
        self.counts.near += 1
        return copy.value if copy.shared else self.codec.decode(copy.body)

    def templated(self, logical: str) -> EntryKey:
        """The Redis key of a filled-in template."""
        return keys.entry(self._prefix, logical)

    def lease(self, entry: str) -> str:
        """The lease of an entry."""
        return keys.lease(self._prefix, entry)

    def namespace(self) -> str:
        """The tag of all entries. Raises Misuse for a cache that cannot be cleared."""
        if not self.policy.clearable:
            raise Misuse("this cache cannot be cleared", hint='declare it with clearable=True, and not as "plain"')
        return keys.namespace(self.name)

    def tags(self, given: Iterable[str] = ()) -> tuple[str, ...]:
        """All tags that an entry is known to have before it is read: its own, the cache's, the namespace."""
        return self.fixed_tags + keys.tags(given, MOST_TAGS - len(self.fixed_tags)) if given else self.fixed_tags

    def tags_of(self, value: V | None, known: tuple[str, ...]) -> tuple[str, ...]:
        """Those that only the value knows. Raises Misuse."""
        made = self.policy.value_tags
        if made is None or value is None:
            return ()
        found = keys.tags(made(value), MOST_TAGS)
        fresh = tuple(tag for tag in found if tag not in known)
        if len(known) + len(fresh) > MOST_TAGS:
            raise Misuse(f"an entry cannot have {len(known) + len(fresh)} tags", hint=f"it may have {MOST_TAGS}")
        return fresh

    def needed_ms(self, ttl_ms: int) -> int:
        """How long a stamp must live for an entry that is about to be computed."""
        return ttl_ms + self.policy.extra_ms + self.policy.lease_ms + _STAMP_SPARE_MS

    def ttl_ms(self, ttl: timedelta | None) -> int:
        """A call's own ttl, or the cache's. Raises Misuse for one out of range."""
        return self.policy.ttl_ms if ttl is None else checked_ms("ttl", ttl)

    def life_ms(self, body: bytes, ttl_ms: int, jitter: float | None = None) -> int:
        """How long this body is fresh: never longer than its ttl, and less by a random part, so that entries stored
        together do not end together. Half of it while memory is short.
        """
        if body == frame.NEGATIVE_BODY:
            ttl_ms = min(ttl_ms, self.policy.negative_ttl_ms)
        spread = self.policy.jitter if jitter is None else jitter
        return max(1, int(self.pressure.life_ms(ttl_ms) * (1 - spread * self.entropy.draw())))

    def stay_ms(self, body: bytes, life_ms: int) -> int:
        """How long it stays on the server. A cached None is never served stale."""
        return life_ms if body == frame.NEGATIVE_BODY else life_ms + self.policy.extra_ms

    def get(self, entry: str) -> Op[bytes | None]:
        """What reads an entry, packed once: that costs as much as judging it."""
        if self.large:
            return ops.get(entry, self.policy.timeout_ms, large=True)
        found = self._gets.get(entry)
        if found is None:
            if len(self._gets) >= _MOST_NAMES:
                self._gets.clear()
            found = self._gets[entry] = ops.get(entry, self.policy.timeout_ms)
        return found

    @property
    def large(self) -> bool:
        """Whether the next entry may be so large that reading it would hold up others."""
        return self._large_until > 0 and self._large_until > self.entropy.monotonic()

    def weigh(self, raw: bytes) -> None:
        """An entry was read."""
        if len(raw) > LARGE:
            self._large_until = self.entropy.monotonic() + _LARGE_S

    def resting(self, entry: str) -> bool:
        """Whether a computation of it failed a moment ago, here or elsewhere."""
        until = self._rests.get(entry)
        if until is None:
            return False
        if until > self.entropy.monotonic():
            return True
        self._rests.pop(entry, None)
        return False

    def rest(self, entry: str, ms: int) -> None:
        """Do not try again for this long."""
        if len(self._rests) >= _MOST_RESTS:
            self._rests.clear()
        self._rests[entry] = self.entropy.monotonic() + ms / 1000
