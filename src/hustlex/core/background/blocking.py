"""Work in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Starts once, and anew in a child process, since a fork leaves threads behind.

    work: looks at ``ended`` in its turns, waits by ``pause``. before_again: called before it starts another time.
    """

    def __init__(self, work: Callable[[], None], name: str, before_again: Callable[[], None] = lambda: None) -> None:
        self._work = work
        self._name = name
        self._before_again = before_again
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether it is to stop."""
        return self._ended.is_set()

    @property
    def begun(self) -> bool:
        """Whether it was started, and not ended."""
        return self._thread is not None and not self.ended

    def start(self) -> None:
        """Begin, unless it runs or was ended."""
        with self._lock:
            if self.ended or (self._thread is not None and self._thread.is_alive()):
                return
            if self._thread is not None:
                self._before_again()
                self._ready = threading.Event()
            self._thread = threading.Thread(target=self._work, daemon=True, name=self._name)
            self._thread.start()

    def pause(self, seconds: float) -> None:
        """Wait; shorter when it is ended."""
        self._ended.wait(seconds)

    def ready(self) -> None:
        """Let go who waits."""
        self._ready.set()

    def wait(self, seconds: float) -> bool:
        """Until ``ready`` for the first time; False when that took longer."""
        return self._ready.wait(seconds)

    def end(self) -> None:
        """Stop soon. Idempotent."""
        self._ended.set()
        self._work = _nothing  # what has ended for good leads back to itself no more

    def close(self, seconds: float) -> None:
        """Stop, and wait for that, no longer than this. Idempotent."""
        self.end()
        if self._thread is not None:
            self._thread.join(seconds)


def _nothing() -> None:
    return None
