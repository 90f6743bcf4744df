"""Following a stream: glances become items, each once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hustlex.errors import NotFound
from hustlex.jobs.stream import ops
from hustlex.jobs.stream.items import ENDS, check_position, error_in, read
from hustlex.jobs.stream.ops import Glance
from hustlex.jobs.stream.types import Item, Result, StateChange
from hustlex.jobs.types import State


class Trail:
    """Turns glances into items, each once. position: of the last item. over: the last glance showed the end.

    more: it did not show all there is.
    """

    def __init__(self, since: str) -> None:
        self.position = check_position(since)
        self.over = False
        self.more = False
        self._fresh = True
        self._last: StateChange | None = None
        self._had_result = False

    def read(self, seen: Glance) -> Iterator[Item]:
        """What is new. Raises NotFound when there is no trace of such a job at the first glance."""
        if self._fresh and seen.state is None and not seen.phase and not seen.items and self.position == ops.FIRST:
            raise NotFound("there is no such job, or nothing is left of it")
        self._fresh = False
        for entry in seen.items:
            self.position = entry.position
            item = read(entry)
            if isinstance(item, StateChange) and item.state is seen.state:
                item = msgspec.structs.replace(item, error=error_in(seen.message))
            if item is not None and self._is_news(item):
                yield item
        self.more = len(seen.items) == ops.MOST
        if not self.more:
            yield from self._state(seen)

    def _is_news(self, item: Item) -> bool:
        self._had_result = self._had_result or isinstance(item, Result)
        if not isinstance(item, StateChange):
            return True
        known = self._last is not None and self._last.at is None and self._last.state is item.state
        self._last = item
        return not known

    def _state(self, seen: Glance) -> Iterator[Item]:
        """Where the task is, when nobody has announced it: Go's workers and operators do not."""
        if seen.state is None and seen.phase == "waits":
            return
        ended = self._last is not None and self._last.state in ENDS
        if seen.state is None and ended:
            self.over = True
            return
        if self._last is None or self._last.state is not seen.state:
            if seen.state is State.COMPLETED and seen.result and not self._had_result:
                yield Result(self._here(), None, seen.result)
            self._last = StateChange(self._here(), None, seen.state, seen.why or error_in(seen.message))
            yield self._last
        self.over = seen.state is None or seen.state in ENDS

    def _here(self) -> str:
        return "" if self.position == ops.FIRST else self.position
