"""How long a failed task waits before its next attempt."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta

from hustlex.core import check


def default_delay(
    retried: int, _: Exception | None = None, *, draw: Callable[[int], int] = secrets.randbelow
) -> timedelta:
    """Asynq's delay in whole seconds: n^4 + 15 + r * (n + 1), r uniform in 0..29.

    retried: retries used up so far, 0 at the first failure (15 to 44 s; then 16 to 74, 31 to 118, 96 to 212 ...).
    draw(30) must give 0 to 29.
    """
    check.whole("retried", retried, 0, 10_000)
    return timedelta(seconds=retried**4 + 15 + draw(30) * (retried + 1))
