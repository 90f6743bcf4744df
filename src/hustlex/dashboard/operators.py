"""Who may see what, and who may change it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from starlette.requests import Request

from hustlex.core import check
from hustlex.errors import Misuse

Level = Literal["none", "read", "act"]
LEVELS: tuple[Level, ...] = ("none", "read", "act")


class Operator(msgspec.Struct, frozen=True):
    """What one person may do in the console. Raises Misuse."""

    level: Level
    """none: nothing; read: look; act: change things as well."""
    name: str
    """Who it is, as the audit writes it down."""
    queues: tuple[str, ...] = ("*",)
    """Patterns of queues, as ``gig*``; all others are as if they did not exist."""
    rooms: tuple[str, ...] = ("*",)
    """Patterns of rooms: jobs, people, limits, idempotency, cache, events, redis, audit."""
    reveal: bool = False
    """Whether values that are hidden by default may be shown."""

    def __post_init__(self) -> None:
        check.one_of("level", self.level, LEVELS)
        check.text("name", self.name)

    def sees_queue(self, name: str) -> bool:
        """Whether a queue exists for this person."""
        return any(fnmatchcase(name, pattern) for pattern in self.queues)

    @property
    def sees_all_queues(self) -> bool:
        """Whether what names any queue may be shown."""
        return "*" in self.queues

    def sees_room(self, name: str) -> bool:
        """Whether a room exists for this person."""
        return any(fnmatchcase(name, pattern) for pattern in self.rooms)

    @property
    def reads(self) -> bool:
        """Whether anything may be looked at."""
        return self.level != "none"

    @property
    def acts(self) -> bool:
        """Whether anything may be changed."""
        return self.level == "act"


NOBODY = Operator("none", "nobody")

Access = Callable[[Request], Awaitable["Operator | Level"]]
"""``async def who_may(request) -> Operator``: asked at each request, and every minute while a page is open."""


def as_operator(answer: object) -> Operator:
    """What an application's function answered, as an Operator. Raises Misuse for what is none."""
    if isinstance(answer, Operator):
        return answer
    if answer in LEVELS:
        return Operator(answer, "someone")
    raise Misuse(
        "access answered neither an Operator nor a level", hint='return Operator("read", name="ada") or "none"'
    )
