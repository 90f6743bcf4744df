"""The package's logs: what an application's handler or filter raises ends its line, not what was being done.

A line stands between a failure and its being written down, and inside calls of money: a log's server that is away, or a
filter with a mistake in it, must not decide about either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial


@cache
def logger(name: str) -> logging.Logger:
    """The log of this name. What its handlers raise is told on standard error, as ``logging`` itself does."""
    found = logging.getLogger(name)
    vars(found)["handle"] = partial(_handle, found.handle)
    return found


def _handle(handle: Callable[[logging.LogRecord], None], record: logging.LogRecord) -> None:
    try:
        handle(record)
    except Exception:  # noqa: BLE001 - an application's handler or filter
        logging.Handler().handleError(record)
