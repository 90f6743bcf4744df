"""The feed followed by a thread."""

from __future__ import annotations

import logging
import random
import threading

from hustlex.core.op import BlockingDriver
from hustlex.errors import Error
from hustlex.tokens.revocation_log import BLOCK_S, LogReader

_LONGEST_PAUSE_S = 2.0
_log = logging.getLogger("hustlex.tokens")


class LogFollower:
    """Starts at the first bounded check and follows until closed, whatever breaks."""

    def __init__(self, driver: BlockingDriver, reader: LogReader) -> None:
        self._driver = driver
        self._reader = reader
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._first = threading.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin, once, unless closed; again after a fork, which leaves threads behind."""
        with self._lock:
            if not self._ended.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._follow, daemon=True, name="hustlex revocations")
                self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Until caught up for the first time; False when that took longer."""
        return self._first.wait(seconds)

    def _follow(self) -> None:
        failures = 0
        while not self._ended.is_set():
            try:
                self._driver.run(self._reader.attend())
                while not self._ended.is_set():
                    self._driver.run(self._reader.next())
                    self._driver.run(self._reader.attend())
                    failures = 0
                    if self._reader.warm:
                        self._first.set()
            except Error as error:
                _log.warning("the feed of revocations is interrupted: %s", error)
                self._reader.lost()
                self._ended.wait(random.random() * min(_LONGEST_PAUSE_S, 0.05 * 2 ** min(failures, 10)))
                failures += 1

    def close(self) -> None:
        """Stop following; waits for the question that is under way. Idempotent."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(4 * BLOCK_S)
