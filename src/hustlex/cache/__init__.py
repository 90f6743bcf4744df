"""Caching: named, typed caches whose reads are never older than an invalidation that returned."""

from hustlex.cache.api import Cache, CachedFunction, Caches
from hustlex.cache.policy import Options
from hustlex.cache.types import MISSING, EntryKey, Format, Hit, Key, Miss, Missing, Stats

__all__ = [
    "MISSING",
    "Cache",
    "CachedFunction",
    "Caches",
    "EntryKey",
    "Format",
    "Hit",
    "Key",
    "Miss",
    "Missing",
    "Options",
    "Stats",
]
