"""The end of a process that runs an engine: in order if it can be, and an end in any case.

A handler that swallows its cancellation, a thread of the application's, or an event loop that stands still would keep
the process for as long as they like. Signals are taken by Python itself, between two of its steps, because the loop may
not run; the last deadline is kept by a thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from hustlex.core.logs import logger

_log = logger("hustlex.worker")

MARGIN_S = 10.0
"""After the grace of running jobs: for giving back, acknowledging, and taking down what the application built up."""
_LINGER_S = 2.0
_HURRIED_S = 1.0
_LOG_S = 0.5


class Ending:
    """The first signal asks to stop, the second to hurry, a third ends the process. longest_s: from the first on."""

    def __init__(self, stop: Callable[[], object], hurry: Callable[[], object], longest_s: float) -> None:
        self._asks = (stop, hurry)
        self._longest_s = longest_s
        self._signals = 0
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def _heard(self, *_: object) -> None:
        self._signals += 1
        if self._signals > len(self._asks):
            os._exit(1)
        _end_within(self._longest_s if self._signals == 1 else _HURRIED_S, 1, "it was told to stop and did not")
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._asks[self._signals - 1])

    def over(self, code: int) -> None:
        """The engine has ended, its jobs are put away: nothing that is left is worth waiting for."""
        linger_s = _LINGER_S if self._signals < len(self._asks) else _HURRIED_S / 4
        _end_within(linger_s, code, "handlers or threads of the application do not end")


def _end_within(seconds: float, code: int, why: str) -> None:
    try:
        threading.Thread(target=_end, args=(seconds, code, why), daemon=True, name="hustlex last deadline").start()
    except RuntimeError:  # the system lets no thread start: then the kernel ends it, without a word
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _end(seconds: float, code: int, why: str) -> None:
    time.sleep(seconds)
    logger = threading.Thread(target=_log.error, args=("the process ends now: %s", why), daemon=True)
    logger.start()  # whoever hangs may hold the log's lock
    logger.join(_LOG_S)
    os._exit(code)
