"""Fronts that a busy machine does not hurry, whoever opens them: a page's program keeps the short defaults.

As a plugin of pytest (``-p tests.support.patience``) for a whole run, as ``unhurried_fronts`` for one test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

import hustlex
import hustlex.sync
from hustlex.testing import patient

FRONTS: tuple[Any, ...] = (hustlex.HustleX, hustlex.sync.HustleX)


def unhurried_fronts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test ends."""
    for front in FRONTS:
        monkeypatch.setattr(front, "__init__", _patiently(front.__init__))


def pytest_configure() -> None:
    for front in FRONTS:
        front.__init__ = _patiently(front.__init__)


def _patiently(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def opened(front: Any, *given: Any, **options: Any) -> None:
        init(front, *given, **(patient() | options))

    return opened
