"""Invalidations that wait for a database commit. An invalidation before it would let the old row be cached again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from hustlex.cache import flows
from hustlex.cache import keys as names
from hustlex.cache.plan import CachePlan, TagSpace
from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.core.op import Flow, Sleep
from hustlex.errors import Error, Misuse

_MARK = "hustlex.cache.after"
_TRIES = 30
_PAUSE_S = 1.0
_MOST_TAGS = 1000
_log = logger("hustlex.cache")


class Pending:
    """What one transaction will invalidate, each thing once, in the order in which it was named."""

    def __init__(self) -> None:
        self.entries: dict[tuple[CachePlan[Any], str], None] = {}
        self.tags: dict[str, None] = {}

    def flow(self, space: TagSpace) -> Flow[None]:
        """Send all. Raises the first failure after all were tried."""
        failure: Error | None = None
        for part in self._parts(space):
            try:
                yield from part
            except Error as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _parts(self, space: TagSpace) -> Iterator[Flow[None]]:
        by_plan: dict[CachePlan[Any], list[str]] = {}
        for plan, entry in self.entries:
            by_plan.setdefault(plan, []).append(entry)
        for plan, entries in by_plan.items():
            yield flows.invalidate(plan, entries)
        if self.tags:
            yield flows.invalidate_tags(space, [*self.tags], soft=False)

    def again(self, space: TagSpace) -> Flow[None]:
        """Try for half a minute what failed after the commit."""
        for _ in range(_TRIES):
            yield Sleep(_PAUSE_S)
            try:
                yield from self.flow(space)
            except Error:
                continue
            return
        _log.error(
            "%d entries and %d tags could not be invalidated after a commit: they may be stale until their ttl ends",
            len(self.entries),
            len(self.tags),
        )


def pending(session: Any, space: TagSpace, send: Callable[[Pending], None]) -> Pending:
    """What this session's transaction will invalidate; ``send`` is called once, after its commit. Raises Misuse."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    inner = getattr(session, "sync_session", session)
    if callable(inner) and not isinstance(inner, Session):  # a scoped_session: the one of this scope
        inner = getattr(inner(), "sync_session", inner())
    if not isinstance(inner, Session):
        raise Misuse("after takes a session of SQLAlchemy", hint="pass the Session or AsyncSession that will commit")
    waiting: dict[TagSpace, Pending | None] = inner.info.setdefault(_MARK, {})
    if space not in waiting:  # its listener stays with the session

        def committed(ended: Session) -> None:
            """A savepoint's end is no commit; what it took back is invalidated all the same, which costs a miss."""
            found = None if ended.in_nested_transaction() else waiting[space]
            if found is not None:
                waiting[space] = None
                send(found)

        event.listen(inner, "after_commit", committed)
    found = waiting[space] = waiting.get(space) or Pending()
    return found


def waited(answer: Awaitable[None]) -> None:
    """Wait for it inside of a commit that somebody awaits."""
    from sqlalchemy.util import await_only

    await_only(answer)


class AfterCommit:
    """What a transaction will invalidate. Made by ``Caches.after``. No I/O."""

    def __init__(self, waiting: Pending) -> None:
        self._waiting = waiting

    def delete(self, cache: Any, *keys: Any) -> AfterCommit:
        """Entries of a cache; of a cached function that for these arguments. Raises Misuse."""
        owner = getattr(cache, "_cache", cache)
        plan = getattr(owner, "_plan", None)
        if not isinstance(plan, CachePlan):
            raise Misuse(f"cache cannot be {check.shown(cache)}", hint="pass a cache, or a cached function")
        entries = [owner.key(key) for key in keys] if owner is cache else [cache.key(*keys)]
        self._waiting.entries |= {(plan, entry): None for entry in entries}
        return self

    def invalidate_tags(self, *tags: str) -> AfterCommit:
        """See ``Caches.invalidate_tags``. Raises Misuse."""
        self._waiting.tags |= dict.fromkeys(names.tags(tags, _MOST_TAGS))
        return self
