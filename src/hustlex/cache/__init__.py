"""Caching: named, typed caches whose reads are never older than an invalidation that returned.

How a call flows: ``api.py`` is the door; ``plan.py`` is one named cache with its ``policy.py`` (what can be set),
``codec.py`` (values as JSON) and ``frame.py`` (what is stored around them); ``keys.py`` and ``template.py`` make key
names. ``ops.py`` reads, stores and invalidates by a script of ``lua/``; ``reading.py`` judges what was read, by age
and tags. ``flows.py`` has plain reads and writes. Get-or-compute (``obtain.py``, ``many.py``) joins a computation of
this process (``computations.py``, run by ``aio.py`` and ``blocking.py``), else it takes the lease in Redis
(``claims.py``), computes, and stores unless an invalidation came between. ``circles.py`` finds computations that wait
for each other.

``inspector.py`` answers what an operator asks, by ``look.py`` and ``sizes.py``.
"""

from hustlex.cache.api import Cache, CachedFunction, Caches
from hustlex.cache.commit import AfterCommit
from hustlex.cache.inspector import CacheInspector
from hustlex.cache.look import EntryState, TagState
from hustlex.cache.policy import CacheOptions, Options
from hustlex.cache.sizes import CacheSize
from hustlex.cache.stats import Stats
from hustlex.cache.types import MISSING, EntryKey, Format, Hit, Key, Miss, Missing, Warmed

__all__ = [
    "MISSING",
    "AfterCommit",
    "Cache",
    "CacheInspector",
    "CacheOptions",
    "CacheSize",
    "CachedFunction",
    "Caches",
    "EntryKey",
    "EntryState",
    "Format",
    "Hit",
    "Key",
    "Miss",
    "Missing",
    "Options",
    "Stats",
    "TagState",
    "Warmed",
]
