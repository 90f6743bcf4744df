"""One hook sees every call: a driver reports each operation's name, outcome and duration."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class CallEvent(msgspec.Struct, frozen=True):
    """One finished operation. outcome: "ok", or the class name of the error. seconds: from the call to the answer."""

    op: str
    outcome: str
    seconds: float


Hook = Callable[[CallEvent], None]
"""Called in the caller's task or thread; must not block and must not raise."""
