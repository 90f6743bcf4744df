"""A front that a busy machine does not hurry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hustlex.cache import CacheOptions
from hustlex.ratelimit import RateLimitOptions


def patient() -> dict[str, Any]:
    """Arguments for the front of a test: ``HustleX(url, **patient())``, in both styles.

    On a busy machine its calls wait for 5 seconds; limits and reads of the cache for 10, where an application goes on
    without the server.
    """
    long = timedelta(seconds=10)
    return {
        "timeout": timedelta(seconds=5),
        "ratelimit": RateLimitOptions(timeout=long),
        "cache": CacheOptions(timeout=long),
    }
