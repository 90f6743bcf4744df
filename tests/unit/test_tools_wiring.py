"""The check of the wiring: what it refuses, and what it lets be."""

from __future__ import annotations

import pytest

from tools.check_wiring import offenders


@pytest.mark.parametrize(
    "body",
    [
        "self.fetcher.on_empty = print",
        "fetcher.on_empty = print",
        "fetcher.feed, self.x = print, 1",
        "fetcher.asked += 1",
        "setattr(fetcher, 'feed', print)",
        "del fetcher.feed",
        "with fetcher as self.fetcher.x: pass",
        "for fetcher.x in []: pass",
        "fetcher: Any = found(); fetcher.feed = 1",
    ],
)
def test_what_is_set_from_outside_is_refused(body: str) -> None:
    assert list(offenders(f"class A:\n    def run(self, fetcher):\n        {body}\n", "a.py"))


@pytest.mark.parametrize(
    "body",
    [
        "self.feed = print",
        "found = Part()\n        found.feed = 1",
        "error.__cause__ = None",
        "self.held[1] = 2",
        "self.fetcher.done[:0] = []",
        "return lambda: self.feed(1)",
    ],
)
def test_what_an_object_does_to_itself_or_makes_is_let_be(body: str) -> None:
    assert list(offenders(f"class A:\n    def run(self):\n        {body}\n", "a.py")) == []
