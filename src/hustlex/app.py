"""The front: one object that opens a driver and hands out the rooms."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from hustlex.core.keyring import Keyring
from hustlex.core.op import AsyncDriver
from hustlex.core.telemetry import Hook
from hustlex.core.time import Clock, server_clock
from hustlex.drivers.aio import Driver
from hustlex.errors import ConfigurationError

if TYPE_CHECKING:
    from hustlex.cache.api import Caches
    from hustlex.events.subscription import Events
    from hustlex.jobs.subscription import Jobs
    from hustlex.otp.api import Otp
    from hustlex.ratelimit.api import RateLimit
    from hustlex.ratelimit.options import RateLimitOptions
    from hustlex.tokens.api import Tokens


class HustleX:
    """The Redis layer of one application.

    url: the state server, as ``redis://localhost:6379/0``. cache_url: a second server for the cache (recommended in
    production, because eviction is per server); default the same one. secret: at least 32 bytes, the root of every
    derived key; needed by ``otp`` and ``tokens`` only. prefix: put before every key, except those of the jobs, whose
    names are Asynq's. clock: 0 means the server's time; tests hand in a ``FixedClock``. hook: told of every call.
    ratelimit: that room's options.

    Opens lazily. Raises ConfigurationError for a bad URL or secret. One per process (and event loop).
    """

    def __init__(
        self,
        url: str,
        *,
        cache_url: str | None = None,
        secret: bytes | str | None = None,
        prefix: str = "",
        clock: Clock = server_clock,
        hook: Hook | None = None,
        ratelimit: RateLimitOptions | None = None,
    ) -> None:
        self.driver: AsyncDriver = Driver(url, hook=hook)
        self.cache_driver: AsyncDriver = Driver(cache_url, hook=hook) if cache_url else self.driver
        self._keyring = Keyring(secret) if secret else None
        self._prefix = prefix
        self._clock = clock
        self._ratelimit = ratelimit

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is in flight (bounded) and close every connection. Idempotent."""
        await self.driver.close()
        if self.cache_driver is not self.driver:
            await self.cache_driver.close()

    @cached_property
    def otp(self) -> Otp:
        """One-time passwords. Raises ConfigurationError when no secret was given."""
        from hustlex.otp.api import Otp

        return Otp(self.driver, self._secrets("otp"), prefix=self._prefix, clock=self._clock)

    @cached_property
    def tokens(self) -> Tokens:
        """Access and refresh tokens, sessions, logout. Raises ConfigurationError when no secret was given."""
        from hustlex.tokens.api import Tokens

        return Tokens(self.driver, self._secrets("tokens"), prefix=self._prefix, clock=self._clock)

    @cached_property
    def ratelimit(self) -> RateLimit:
        """Rate limits per identity and endpoint."""
        from hustlex.ratelimit.api import RateLimit

        return RateLimit(self.driver, prefix=self._prefix, clock=self._clock, options=self._ratelimit)

    @cached_property
    def cache(self) -> Caches:
        """Named, typed caches: ``users = hx.cache("user", User, ttl=timedelta(minutes=15))``."""
        from hustlex.cache.api import Caches

        return Caches(self.cache_driver, prefix=self._prefix, clock=self._clock)

    @cached_property
    def jobs(self) -> Jobs:
        """Background jobs on Asynq's wire."""
        from hustlex.jobs.subscription import Jobs

        return Jobs(self.driver, clock=self._clock)

    @cached_property
    def events(self) -> Events:
        """Live events over pub/sub."""
        from hustlex.events.subscription import Events

        return Events(self.driver, prefix=self._prefix, clock=self._clock)

    def reference(self, text: str) -> str:
        """An opaque stand-in for an id, the same wherever the secret is; "" without a secret."""
        return self._keyring.reference(text) if self._keyring else ""

    def _secrets(self, room: str) -> Keyring:
        if self._keyring is None:
            raise ConfigurationError(
                f"hx.{room} needs a secret", hint="pass secret=..., at least 32 random bytes, or set HUSTLEX_SECRET"
            )
        return self._keyring
