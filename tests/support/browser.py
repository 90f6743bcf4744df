"""A real Chromium for tests; its driver is the example's, whose tour uses it too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from examples.gigs.browser import Chromium, Tab, connected, installed, running
from tests.support.needs import needs

__all__ = ["Chromium", "Tab", "connected", "running", "started"]


@contextmanager
def started() -> Iterator[str]:
    """A browser with an empty profile; yields its address. Ends the test where none is installed."""
    with running(needs(installed(), "Chromium")) as address:
        yield address
