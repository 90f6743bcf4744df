"""What the API and the worker share: Redis, the SQL database, and the names both know things by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, TypeVar

from sqlalchemy import select

from examples.gigs.database import Database
from examples.gigs.models import Gig, User, outbox
from examples.gigs.senders import make_sender
from examples.gigs.settings import GigsSettings
from examples.gigs.views import BoardChanged, GigView, Notice, Profile, gig_view
from hustlex import HustleX
from hustlex.cache import Cache, Hit, Key
from hustlex.outbox import OutboxRelay
from hustlex.settings import load_settings
from hustlex.telemetry import process_hook

V = TypeVar("V")
Source = Literal["hit", "miss"]


class Backend:
    """One per process.

    profiles: ``cache:user:{id}``, 15 minutes. gig_lists: ``cache:gigs:category:{category}``, and all categories'
    ``cache:gigs:newest``, 5 minutes. notices: each user's channel, with history. board: tells of other lists.
    """

    def __init__(self, hx: HustleX, settings: GigsSettings) -> None:
        self.hx = hx
        self.settings = settings
        self.database = Database(settings.database)
        self.sender = make_sender(settings)
        self.profiles = hx.cache("user", Profile, ttl=timedelta(minutes=15))
        self.gig_lists = hx.cache("gigs", list[GigView], ttl=timedelta(minutes=5))
        self.notices = hx.events.channel("notices:{user_id}", Notice, kind="replay", size=50, ttl=timedelta(days=7))
        self.board = hx.events.channel("board:gigs", BoardChanged, kind="replay")

    async def profile(self, user_id: int) -> tuple[Profile | None, Source]:
        """A user, from the cache or the database."""
        return await read_through(self.profiles, user_id, lambda: self._find_profile(user_id))

    async def gigs(self, category: str = "") -> tuple[list[GigView] | None, Source]:
        """The 50 newest open gigs of a category, or of all, from the cache or the database."""
        return await read_through(self.gig_lists, list_key(category), lambda: self._find_gigs(category))

    async def listed(self, gig: Gig) -> None:
        """A gig came into the lists or left them: forget these, then tell whoever looks at them."""
        await self.gig_lists.delete(list_key(gig.category), list_key(""))
        await self.board.publish(BoardChanged(gig.category))

    async def _find_profile(self, user_id: int) -> Profile | None:
        async with self.database.transaction() as session:
            user = await session.get(User, user_id)
        return Profile(user.id, user.phone[-4:], user.balance_kobo) if user else None

    async def _find_gigs(self, category: str) -> list[GigView]:
        query = select(Gig).where(Gig.status == "open").order_by(Gig.id.desc()).limit(50)
        if category:
            query = query.where(Gig.category == category)
        async with self.database.transaction() as session:
            return [gig_view(gig) for gig in (await session.scalars(query)).all()]

    async def close(self) -> None:
        """Close the SQL connections."""
        await self.database.close()


def list_key(category: str) -> Key:
    """Of the cached list of a category, "" for all of them."""
    return ("category", category) if category else "newest"


async def read_through(cache: Cache[V], key: Key, load: Callable[[], Awaitable[V | None]]) -> tuple[V | None, Source]:
    """A value and where it came from; on a miss one caller loads, the others wait for it."""
    found = await cache.lookup(key)
    if isinstance(found, Hit):
        return found.value, "hit"
    return await cache.get_or_compute(key, load), "miss"


@asynccontextmanager
async def open_backend() -> AsyncIterator[Backend]:
    """From the environment, tables made; closed at the end."""
    settings, own = load_settings(), GigsSettings()
    own.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with HustleX(
        settings.url,
        cache_url=settings.cache_url,
        prefix=settings.prefix,
        hook=process_hook(),
        **settings.secrets(),
    ) as hx:
        backend = Backend(hx, own)
        try:
            await backend.database.create_tables()
            async with OutboxRelay(hx.driver, backend.database.engine, outbox):
                yield backend
        finally:
            await backend.close()
