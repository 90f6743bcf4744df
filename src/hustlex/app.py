"""The front: one object that opens a driver and hands out the rooms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hustlex.core import check, health
from hustlex.core.answer.aio import OneStyle, answering, told
from hustlex.core.durability.aio import waiting
from hustlex.core.durability.level import LEVELS, MEMORY, Durability
from hustlex.core.health import FrontHealth
from hustlex.core.keyring import Keyring
from hustlex.core.lazy import lazy
from hustlex.core.memory.aio import guarded
from hustlex.core.op import AsyncDriver
from hustlex.core.telemetry import Hook, join
from hustlex.core.time import Clock, server_clock
from hustlex.drivers.address import for_rooms
from hustlex.drivers.aio import Driver
from hustlex.drivers.login import Credentials
from hustlex.environment import in_production
from hustlex.errors import ConfigurationError, Error

if TYPE_CHECKING:
    from hustlex.cache.api import Caches
    from hustlex.cache.policy import CacheOptions
    from hustlex.diagnostics.api import Diagnostics
    from hustlex.events.api import Events
    from hustlex.idempotency.api import Idempotency
    from hustlex.idempotency.options import IdempotencyOptions
    from hustlex.jobs.api import Jobs
    from hustlex.otp.api import Otp
    from hustlex.otp.rules import OtpOptions
    from hustlex.pins.api import Pins
    from hustlex.pins.options import PinOptions
    from hustlex.ratelimit.api import RateLimit
    from hustlex.ratelimit.options import RateLimitOptions
    from hustlex.tokens.api import Tokens
    from hustlex.tokens.options import TokenOptions

T = TypeVar("T")
_DURABLE = ("jobs", "tokens", "otp", "idempotency", "pins", "events")
_SHORTEST, _LONGEST = timedelta(milliseconds=10), timedelta(seconds=5)
"""An enqueue is repeated under its token until then, which the server remembers for 10 seconds."""
_LONGEST_FAILOVER = timedelta(seconds=60)
_REFERENCES = 4096


@answering
class HustleX(OneStyle):
    """The Redis layer of one application.

    url: the state server, as ``redis://localhost:6379/0``.
    cache_url: a second server for the cache (recommended in production, because eviction is per server); default the
        same one.
    secret: at least 32 bytes, the root of every derived key; needed by ``otp``, ``tokens``, ``idempotency`` and
        ``pins``.
    old_secrets, reference_secret: while the secret is being changed and after, see ``Keyring`` and
        docs/guides/secrets.md.
    prefix: put before every key, except those of the jobs, whose names are Asynq's.
    clock: 0 means the server's time; tests hand in a ``FixedClock``.
    hook: told of every call, its start and its end; a ``Telemetry`` of more, see docs/guides/metrics.md.
    timeout: how long a call may wait for the server, connecting included, 10 ms to 5 s; default 1 s (the cache's reads
        and checks of limits have shorter ones of their own).
    failover: how long after the primary of a cluster or behind Sentinels went away calls wait for the next one, also
        beyond their timeout, up to 60 s; default 10 s.
    durability: what each write of a room waits for before its caller is answered, as ``{"jobs": "fsync"}``: "memory",
        "fsync" (the server's disk), "replica" or "replica_fsync"; of jobs, tokens, otp, idempotency, pins and events.
        What does not get that far raises NotDurable. Single calls: ``durable``. A worker on ``driver`` waits as jobs.
    credentials: a function that gives user and password, asked before each connection is opened, instead of those of
        the URLs: for passwords that change.
    strict_memory: ``otp``, ``tokens``, ``idempotency`` and ``pins`` raise ConfigurationError while the state server may
        evict keys, asked once before their first call; default where HUSTLEX_ENV is production.
    region: of phone numbers that are typed without a country code, as "GB"; default that of ``otp``, which is "NG".
    queues: all queues there are; to enqueue into another one is Misuse. Default: any name will do.
    otp, tokens, ratelimit, idempotency, pins, cache: tunables of those rooms.

    Opens lazily. Raises ConfigurationError for a bad URL or secret. One per process (and event loop); one whose event
    loop has ended serves the next, and a child process opens connections of its own.
    """

    def __init__(
        self,
        url: str,
        *,
        cache_url: str | None = None,
        secret: bytes | str | None = None,
        old_secrets: Sequence[bytes | str] = (),
        reference_secret: bytes | str | None = None,
        prefix: str = "",
        clock: Clock = server_clock,
        hook: Hook | None = None,
        timeout: timedelta | None = None,
        durability: Mapping[str, str] | None = None,
        failover: timedelta | None = None,
        credentials: Credentials | None = None,
        strict_memory: bool | None = None,
        region: str | None = None,
        queues: Collection[str] | None = None,
        otp: OtpOptions | None = None,
        tokens: TokenOptions | None = None,
        ratelimit: RateLimitOptions | None = None,
        idempotency: IdempotencyOptions | None = None,
        pins: PinOptions | None = None,
        cache: CacheOptions | None = None,
    ) -> None:
        if timeout is not None:
            check.duration("timeout", timeout, _SHORTEST, _LONGEST)
        if failover is not None:
            check.duration("failover", failover, timedelta(0), _LONGEST_FAILOVER)
        check.text("prefix", prefix, blank=True)
        check.instance("clock", clock, Callable, hint="leave it out; tests pass a FixedClock")  # type: ignore[arg-type]
        if hook is not None:
            check.instance("hook", hook, Callable, hint="pass a function")  # type: ignore[arg-type]
        if strict_memory is not None:
            check.flag("strict_memory", strict_memory)
        if credentials is not None:
            check.function("credentials", credentials)
        how: dict[str, Any] = {"hook": hook, "timeout": timeout, "failover": failover, "credentials": credentials}
        self._durability = _levels(durability)
        # async only
        how["outcomes"] = self._durability.get("jobs", MEMORY)  # of a worker on this driver
        # end of async only
        self.driver: AsyncDriver = Driver(for_rooms(url), **how)
        self.cache_driver: AsyncDriver = Driver(for_rooms(cache_url), **how) if cache_url else self.driver
        self._keyring = Keyring(secret, old=old_secrets, reference=reference_secret) if secret else None
        self._prefix = prefix
        self._clock = clock
        self._queues = queues
        self._token_options = tokens
        self._strict_memory = strict_memory
        self._idempotency_options = idempotency
        self._pin_options = pins
        self._cache_options = cache
        self._region = region
        self._otp_options = otp
        self._ratelimit_options = ratelimit
        self._journal = health.Journal()
        self._views: dict[str, DurableRooms] = {}
        self._closed = False
        health.join(self)
        join(hook, self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is in flight (bounded) and close every connection. Idempotent."""
        self._closed = True
        health.leave(self)
        if "tokens" in self.__dict__:
            await self.tokens.close()
        await self.driver.close()
        if self.cache_driver is not self.driver:
            await self.cache_driver.close()

    @property
    def prefix(self) -> str:
        """What stands before every key but those of the jobs."""
        return self._prefix

    @property
    def degraded(self) -> dict[str, str]:
        """What works by second best in this process for now, a sentence for each room that was used; asks nobody."""
        used = vars(self)
        said = {room: used[room].trouble for room in ("ratelimit", "tokens", "cache", "events") if room in used}
        return {room: why for room, why in said.items() if why}

    async def health(self) -> FrontHealth:
        """Whether the servers answer, and what the rooms know of themselves; for load balancers and people.

        Never raises; takes no longer than a second for each server. What begins and what ends is logged once, by
        ``hustlex.health``.
        """
        if self._closed:
            return FrontHealth({"front": "this HustleX was closed"}, {})
        trouble = {}
        drivers = {"server": self._state}
        if self.cache_driver is not self.driver:
            drivers["cache server"] = self.cache_driver
        for name, driver in drivers.items():
            try:
                await driver.run(health.sign_of_life())
            except Error as error:
                trouble[name] = health.why(name, error)
        return self._journal.note(FrontHealth(trouble, self.degraded))

    @lazy
    def otp(self) -> Otp:
        """One-time passwords. Raises ConfigurationError when no secret was given.

        Doors: issue, resend, verify, cancel, open, delivery_report, consume_grant, unlock, verify_phone, totp_enrol,
        totp_verify, totp_reseal, close_breaker.
        """
        from hustlex.otp.api import Otp
        from hustlex.otp.rules import in_region

        driver, options = self._waiting("otp", self._state), in_region(self._otp_options, self._region)
        return Otp(driver, self._secrets("otp"), prefix=self._prefix, clock=self._clock, options=options)

    @lazy
    def tokens(self) -> Tokens:
        """Access and refresh tokens, sessions, logout. Raises ConfigurationError when no secret was given.

        Doors: login, check, refresh, logout, introspect, prove, sessions, data, set_data, revoke_token, revoke_session,
        revoke_all, issue_subscription, check_subscription, rotate_keys, retire_key, jwks, stats, now, start, close.
        """
        from hustlex.tokens.api import Tokens

        return Tokens(
            self._waiting("tokens", self._state),
            self._secrets("tokens"),
            prefix=self._prefix,
            clock=self._clock,
            options=self._token_options,
        )

    @lazy
    def ratelimit(self) -> RateLimit:
        """Rate limits per identity and endpoint.

        Doors: check, check_all, peek, hold, heartbeat, release, refund, reset, set_limit.
        """
        from hustlex.ratelimit.api import RateLimit

        return RateLimit(self.driver, prefix=self._prefix, clock=self._clock, options=self._ratelimit_options)

    @lazy
    def idempotency(self) -> Idempotency:
        """Idempotency keys and webhooks. Raises ConfigurationError when no secret was given.

        Doors: run, begin, renew, hold, complete, abandon, settle, reconcile, begin_event, settle_event.
        """
        from hustlex.idempotency.api import Idempotency

        return Idempotency(
            self._waiting("idempotency", self._state),
            self._secrets("idempotency"),
            prefix=self._prefix,
            clock=self._clock,
            options=self._idempotency_options,
        )

    @lazy
    def pins(self) -> Pins:
        """Transaction PINs with lockout. Raises ConfigurationError when no secret was given.

        Doors: hash, verify, reset.
        """
        from hustlex.pins.api import Pins

        return Pins(
            self._waiting("pins", self._state),
            self._secrets("pins"),
            prefix=self._prefix,
            clock=self._clock,
            options=self._pin_options,
        )

    @lazy
    def cache(self) -> Caches:
        """Named, typed caches: ``users = hx.cache("user", User, ttl=timedelta(minutes=15))``."""
        from hustlex.cache.api import Caches

        shared, options = self.cache_driver is self.driver, self._cache_options
        return Caches(self.cache_driver, prefix=self._prefix, clock=self._clock, shared=shared, options=options)

    @lazy
    def jobs(self) -> Jobs:
        """Background jobs on Asynq's wire.

        Doors: enqueue, enqueue_many, start, result, follow, explain, cancel, limit_queue, inspector, schedules.
        """
        from hustlex.jobs.api import Jobs

        return Jobs(self._waiting("jobs", self.driver), clock=self._clock, queues=self._queues)

    @lazy
    def events(self) -> Events:
        """Live events, with history where it is wanted.

        Doors: channel(...).publish, publish_many, subscribe, position, history, remove_history; presence; inspector.
        """
        from hustlex.events.api import Events

        return Events(self._waiting("events", self.driver), prefix=self._prefix, clock=self._clock)

    @lazy
    def diagnostics(self) -> Diagnostics:
        """Whether the servers are fit for what they hold, what they do, and which jobs do not run.

        Doors: check, self_check, servers, slowlog, monitor.
        """
        from hustlex.diagnostics.api import Diagnostics

        cache = self.cache_driver if self.cache_driver is not self.driver else None
        return Diagnostics(self.driver, cache, prefix=self._prefix, clock=self._clock)

    def durable(self, level: str) -> DurableRooms:
        """The rooms, for calls whose writes wait: ``await hx.durable("fsync").jobs.enqueue(job)``.

        level: "memory", "fsync" (until the server's disk has it), "replica" (until one replica has), "replica_fsync"
        (both, and on that one's disk), for 1.5, 0.5 and 2.5 seconds at most. Calls that come together wait together.
        Raises NotDurable, which has the ``answer``, when it did not get so far in time: the call is done;
        ConfigurationError, before anything is written, when the server cannot do it, or says what is not true.
        """
        word = check.one_of("level", level, LEVELS)
        if word not in self._views:
            self._views[word] = DurableRooms(self, Durability(word))
        return self._views[word]

    def _waiting(self, room: str, driver: AsyncDriver) -> AsyncDriver:
        """For the writes of a room."""
        return waiting(driver, Durability(self._durability.get(room, MEMORY)))

    @lazy
    def _state(self) -> AsyncDriver:
        """The driver of rooms whose keys stand for somebody's rights."""
        strict = self._strict_memory if self._strict_memory is not None else in_production()
        return guarded(self.driver) if strict else self.driver

    def reference(self, text: str) -> str:
        """An opaque stand-in for an id, the same wherever the secret is; "" without a secret."""
        return self._references(text if type(text) is str else check.typed("text", text))

    @lazy
    def _references(self) -> Callable[[str], str]:
        """A rate limit shows its caller's with each answer; to work one out costs 20 to 40 us."""
        options = self._ratelimit_options
        remembered = _REFERENCES if options is None else min(options.remembered, _REFERENCES)
        return lru_cache(remembered)(self._keyring.reference if self._keyring else lambda _: "")

    def _secrets(self, room: str) -> Keyring:
        if self._keyring is None:
            raise ConfigurationError(
                f"hx.{room} needs a secret", hint="pass secret=..., at least 32 random bytes, or set HUSTLEX_SECRET"
            )
        return self._keyring


def _levels(given: Mapping[str, str] | None) -> dict[str, str]:
    """Per room. Raises Misuse."""
    if given is None:
        return {}
    check.instance("durability", given, Mapping, hint='pass a level for each room, as {"jobs": "fsync"}')
    return {
        check.one_of("a room in durability", room, _DURABLE): check.one_of(f"durability of {room}", level, LEVELS)
        for room, level in given.items()
    }


class DurableRooms:
    """The rooms of a HustleX, whose writes wait; made by ``HustleX.durable``."""

    def __init__(self, front: HustleX, durability: Durability) -> None:
        self._front = front
        self._durability = durability

    def _of(self, room: T) -> T:
        """The same room, caches and all, with another way to the server."""
        copied: Any = copy.copy(room)
        copied._driver = waiting(copied._driver, self._durability)
        return told(copied, copied._driver.hook)  # type: ignore[no-any-return]

    @lazy
    def jobs(self) -> Jobs:
        """See ``HustleX.jobs``; its inspector and schedules do not wait."""
        return self._of(self._front.jobs)

    @lazy
    def tokens(self) -> Tokens:
        """See ``HustleX.tokens``."""
        return self._of(self._front.tokens)

    @lazy
    def otp(self) -> Otp:
        """See ``HustleX.otp``."""
        return self._of(self._front.otp)

    @lazy
    def idempotency(self) -> Idempotency:
        """See ``HustleX.idempotency``."""
        return self._of(self._front.idempotency)

    @lazy
    def pins(self) -> Pins:
        """See ``HustleX.pins``."""
        return self._of(self._front.pins)

    @lazy
    def events(self) -> Events:
        """See ``HustleX.events``; for channels with history."""
        return self._of(self._front.events)
