"""A cache's limits and their defaults, checked when it is declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypedDict

import msgspec

from hustlex.cache import keys
from hustlex.cache.frame import MOST_TAGS
from hustlex.cache.types import Format
from hustlex.core import bounds, check
from hustlex.core.time import positive_ms
from hustlex.errors import Misuse

_LONGEST_MS = 0xFFFF_FFFF
_NONE = timedelta(0)
_MOST_EARLY = 100


class Options(TypedDict, total=False):
    """What ``hx.cache(...)`` takes beside name, type and ttl; defaults in brackets."""

    negative_ttl: timedelta
    """Life of a cached None [30 s]."""
    jitter: float
    """Up to this part is taken off each life at random, so that entries stored together do not end together [0.10]."""
    format: Format
    """[frame]; plain stores bare JSON for readers that are not this package."""
    schema_version: int
    """Another number makes all entries misses [0]."""
    tags: Sequence[str]
    """Of every entry, as ("users",); a call or a cached function adds its own [none]."""
    value_tags: Callable[[Any], Iterable[str]]
    """Makes an entry's tags from its value, as lambda gig: [f"owner:{gig.owner}"] [none]."""
    clearable: bool
    """Whether ``clear`` works: each read then asks for one more stamp, in the same round trip [True]."""
    stale_ttl: timedelta
    """How long after its ttl a value may still be served at once, while it is computed anew in the background; the
    computation must not need what its caller closes, as a request's database session [0: never]."""
    stale_if_error: timedelta
    """How long after its ttl a value may stand in for a computation that fails [as stale_ttl]."""
    cooldown: timedelta
    """After such a failure nobody tries again for this long [10 s]."""
    early: float
    """Refresh in the background before the ttl ends, at a moment drawn by how long the computation takes (XFetch):
    1.0 begins about that long before, 2.0 twice as long [0: not]."""
    soft_timeout: timedelta
    """How long a caller who may be served a stale value waits for the computation [without end]."""
    hard_timeout: timedelta
    """How long any caller does; then LoadTimeout. In both cases the computation goes on and is stored [without end]."""
    near: timedelta
    """Keep copies in this process, each for so long at most, dropped when the server tells that they changed; only in
    the async front [not]."""
    near_entries: int
    """Copies at once [10,000]."""
    near_bytes: int
    """Of their JSON, at once [64 MiB]."""
    near_proof: float
    """This part of the hits on copies also asks the server; ``stats().near`` counts what differed [0]."""
    lease: timedelta
    """How long a computation may go without a sign of life before another process may start one [10 s]."""
    wait: timedelta
    """How long a caller waits for a computation in another process before it computes without storing; six times as
    long for one in its own [5 s]."""
    timeout: timedelta
    """How long a read waits for the server before it counts as a miss, or computes [``CacheOptions.timeout``]."""
    bulkhead: int
    """Computations at once while the server cannot be asked [64]."""
    max_value: int
    """Bytes as stored; a larger value is not [1 MiB]."""
    compress_over: int
    """Bytes of JSON from which on zlib is tried; kept if it saves a tenth [4 KiB]."""


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What all caches of a front share. Raises ConfigurationError."""

    timeout: timedelta = timedelta(milliseconds=50)
    """How long a read waits for the server before it counts as a miss, or computes, in caches that set none of their
    own; 1 ms to 10 s."""

    def __post_init__(self) -> None:
        bounds.within("timeout", self.timeout, timedelta(milliseconds=1), timedelta(seconds=10))


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """All limits, in milliseconds and bytes; see Options. soft_ms, hard_ms: 0 for none. tags: as they stand in keys."""

    ttl_ms: int
    negative_ttl_ms: int
    jitter: float
    form: Format
    schema_version: int
    tags: tuple[str, ...]
    value_tags: Callable[[Any], Iterable[str]] | None
    clearable: bool
    stale_ms: int
    error_ms: int
    cooldown_ms: int
    early: float
    soft_ms: int
    hard_ms: int
    near_ms: int
    near_entries: int
    near_bytes: int
    near_proof: float
    lease_ms: int
    wait_ms: int
    timeout_ms: int
    bulkhead: int
    max_value: int
    compress_over: int

    @property
    def extra_ms(self) -> int:
        """How long an entry stays after its ttl."""
        return max(self.stale_ms, self.error_ms)

    @property
    def ahead(self) -> bool:
        """Whether values are served while they are computed anew."""
        return self.stale_ms > 0 or self.early > 0


def shared_options(given: CacheOptions | None) -> CacheOptions:
    """The same, or the defaults. Raises Misuse."""
    if given is None:
        return CacheOptions()
    check.instance("options", given, CacheOptions)
    return given


def policy(
    *,
    ttl: timedelta,
    negative_ttl: timedelta = timedelta(seconds=30),
    jitter: float = 0.10,
    format: Format = "frame",  # noqa: A002 - the option's public name
    schema_version: int = 0,
    tags: Sequence[str] = (),
    value_tags: Callable[[Any], Iterable[str]] | None = None,
    clearable: bool = True,
    stale_ttl: timedelta = _NONE,
    stale_if_error: timedelta | None = None,
    cooldown: timedelta = timedelta(seconds=10),
    early: float = 0.0,
    soft_timeout: timedelta | None = None,
    hard_timeout: timedelta | None = None,
    near: timedelta | None = None,
    near_entries: int = 10_000,
    near_bytes: int = 64 << 20,
    near_proof: float = 0.0,
    lease: timedelta = timedelta(seconds=10),
    wait: timedelta = timedelta(seconds=5),
    timeout: timedelta = timedelta(milliseconds=50),
    bulkhead: int = 64,
    max_value: int = 1 << 20,
    compress_over: int = 4096,
) -> CachePolicy:
    """Check the options of a cache. Raises Misuse."""
    if check.number("jitter", jitter, 0, 1) == 1:
        raise Misuse(f"jitter is {jitter}, not from 0 to below 1", hint="0.10 takes up to a tenth off each life")
    plain = check.one_of("format", format, ("frame", "plain")) == "plain"
    named = keys.tags(tags, MOST_TAGS - 1)
    made = None if value_tags is None else check.function("value_tags", value_tags)
    if plain and (named or made):
        raise Misuse('entries of format "plain" cannot hold tags', hint='leave out format="plain", or the tags')
    stale_ms = _window_ms("stale_ttl", stale_ttl)
    return CachePolicy(
        ttl_ms=checked_ms("ttl", ttl),
        negative_ttl_ms=checked_ms("negative_ttl", negative_ttl),
        jitter=jitter,
        form=format,
        schema_version=check.whole("schema_version", schema_version),
        tags=named,
        value_tags=made,
        clearable=check.flag("clearable", clearable) and not plain,
        stale_ms=stale_ms,
        error_ms=stale_ms if stale_if_error is None else _window_ms("stale_if_error", stale_if_error),
        cooldown_ms=checked_ms("cooldown", cooldown),
        early=check.number("early", early, 0, _MOST_EARLY),
        soft_ms=0 if soft_timeout is None else checked_ms("soft_timeout", soft_timeout),
        hard_ms=0 if hard_timeout is None else checked_ms("hard_timeout", hard_timeout),
        near_ms=0 if near is None else checked_ms("near", near),
        near_entries=check.whole("near_entries", near_entries, 1),
        near_bytes=check.whole("near_bytes", near_bytes, 1),
        near_proof=check.number("near_proof", near_proof, 0, 1),
        lease_ms=checked_ms("lease", lease),
        wait_ms=checked_ms("wait", wait),
        timeout_ms=checked_ms("timeout", timeout),
        bulkhead=check.whole("bulkhead", bulkhead, 1),
        max_value=check.whole("max_value", max_value, 1),
        compress_over=check.whole("compress_over", compress_over),
    )


def checked_ms(name: str, duration: timedelta) -> int:
    """1 ms to 49 days, the range of a frame's fields. Raises Misuse."""
    ms = positive_ms(name, duration)
    if ms > _LONGEST_MS:
        raise Misuse(f"{name} is longer than 49 days", hint="a cache entry is short-lived")
    return ms


def _window_ms(name: str, duration: timedelta) -> int:
    """Of a time that may be none."""
    return checked_ms(name, duration) if duration != _NONE else 0
