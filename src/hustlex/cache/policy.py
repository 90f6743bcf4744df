"""A cache's limits and their defaults, checked when it is declared."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

import msgspec

from hustlex.cache.types import Format
from hustlex.core import check
from hustlex.core.time import positive_ms
from hustlex.errors import Misuse

_LONGEST_MS = 0xFFFF_FFFF


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
    lease: timedelta
    """How long a computation may go without a sign of life before another process may start one [10 s]."""
    wait: timedelta
    """How long a caller waits for a computation in another process before it computes without storing; six times as
    long for one in its own [5 s]."""
    timeout: timedelta
    """How long a read waits for the server before it counts as a miss, or computes [50 ms]."""
    bulkhead: int
    """Computations at once while the server cannot be asked [64]."""
    max_value: int
    """Bytes as stored; a larger value is not [1 MiB]."""
    compress_over: int
    """Bytes of JSON from which on zlib is tried; kept if it saves a tenth [4 KiB]."""


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """All limits, in milliseconds and bytes; see Options."""

    ttl_ms: int
    negative_ttl_ms: int
    jitter: float
    form: Format
    schema_version: int
    lease_ms: int
    wait_ms: int
    timeout_ms: int
    bulkhead: int
    max_value: int
    compress_over: int


def policy(
    *,
    ttl: timedelta,
    negative_ttl: timedelta = timedelta(seconds=30),
    jitter: float = 0.10,
    format: Format = "frame",  # noqa: A002 - the option's public name
    schema_version: int = 0,
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
    check.one_of("format", format, ("frame", "plain"))
    check.whole("schema_version", schema_version)
    check.whole("bulkhead", bulkhead, 1)
    check.whole("max_value", max_value, 1)
    check.whole("compress_over", compress_over)
    return CachePolicy(
        ttl_ms=checked_ms("ttl", ttl),
        negative_ttl_ms=checked_ms("negative_ttl", negative_ttl),
        jitter=jitter,
        form=format,
        schema_version=schema_version,
        lease_ms=checked_ms("lease", lease),
        wait_ms=checked_ms("wait", wait),
        timeout_ms=checked_ms("timeout", timeout),
        bulkhead=bulkhead,
        max_value=max_value,
        compress_over=compress_over,
    )


def checked_ms(name: str, duration: timedelta) -> int:
    """1 ms to 49 days, the range of a frame's fields. Raises Misuse."""
    ms = positive_ms(name, duration)
    if ms > _LONGEST_MS:
        raise Misuse(f"{name} is longer than 49 days", hint="a cache entry is short-lived")
    return ms
