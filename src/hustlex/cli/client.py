"""The one way in which commands come by a client: settings first, options above them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.run import named
from hustlex.drivers.address import for_rooms
from hustlex.errors import ConfigurationError
from hustlex.settings import Settings, load_settings

if TYPE_CHECKING:
    from hustlex.app import HustleX as AsyncHustleX
    from hustlex.sync import HustleX

Url = Annotated[str | None, typer.Option(help="State server; default HUSTLEX_URL")]
CacheUrl = Annotated[str | None, typer.Option(help="Cache server; default HUSTLEX_CACHE_URL")]
Prefix = Annotated[str | None, typer.Option(help="Put before every key; default HUSTLEX_PREFIX")]


_PATIENCE = timedelta(seconds=5)
"""An operator waits for a busy server; a request would not."""


@contextmanager
def opened(url: str | None = None, cache_url: str | None = None, prefix: str | None = None) -> Iterator[HustleX]:
    """The blocking front, closed in the end. Raises ConfigurationError, which names the option or the variable."""
    from hustlex.sync import HustleX

    settings = judged_settings(url, cache_url, prefix)
    with HustleX(settings.url, **_given(settings)) as front:
        yield front


@asynccontextmanager
async def listening(url: str | None = None, prefix: str | None = None) -> AsyncIterator[AsyncHustleX]:
    """The same for commands that wait for what others do."""
    from hustlex.app import HustleX as AsyncHustleX

    settings = judged_settings(url, None, prefix)
    async with AsyncHustleX(settings.url, **_given(settings)) as front:
        yield front


def judged_settings(url: str | None, cache_url: str | None, prefix: str | None) -> Settings:
    settings = load_settings(url=url, cache_url=cache_url, prefix=prefix)
    _judge("--url" if url else "HUSTLEX_URL", settings.url)
    if settings.cache_url:
        _judge("--cache-url" if cache_url else "HUSTLEX_CACHE_URL", settings.cache_url)
    return settings


def _given(settings: Settings) -> dict[str, Any]:
    from hustlex.ratelimit import RateLimitOptions

    return {
        "cache_url": settings.cache_url,
        "prefix": settings.prefix,
        "timeout": _PATIENCE,
        "strict_memory": False,
        "ratelimit": RateLimitOptions(timeout=_PATIENCE),
        **settings.secrets(),
    }


def _judge(source: str, url: str) -> None:
    try:
        for_rooms(url)
    except ConfigurationError as error:
        raise named(source, error) from None
