"""Python's collector of cycles in a process that serves: what the start has made is left alone."""

from __future__ import annotations

import gc

_THRESHOLDS = (10_000, 20, 50)


def freeze_start() -> None:
    """After the start: no collection looks at what is there now, and collections are rarer.

    A full one looks at every object: 100,000 to 400,000 of modules, routes and models, 20 to 90 ms in which nothing is
    answered, every few thousand requests. What is made from now on is collected as before.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
