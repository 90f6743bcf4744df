"""Python's collector of cycles in a process that serves: what the start has made is left alone."""

from __future__ import annotations

import gc

from hustlex.environment import freezes_gc

_THRESHOLDS = (10_000, 20, 50)


def freeze_start() -> None:
    """After the start: no collection looks at what is there now, and collections are rarer. HUSTLEX_FREEZE_GC=false:
    everything stays as Python has it.

    A full one looks at every object: 100,000 to 400,000 of modules, routes and models, 20 to 90 ms in which nothing is
    answered, every few thousand requests. What is made from now on is collected as before.
    """
    if not freezes_gc():
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
