"""Named, typed caches: read, write, invalidate, and compute at most once."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakValueDictionary

from hustlex.cache import flows, keys
from hustlex.cache.aio import Flights, checked
from hustlex.cache.codec import ValueCodec
from hustlex.cache.inspector import CacheInspector
from hustlex.cache.plan import CachePlan
from hustlex.cache.policy import Options, policy
from hustlex.cache.template import KeyTemplate
from hustlex.cache.types import EntryKey, Hit, Key, Miss, Stats
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock

V = TypeVar("V")
D = TypeVar("D")
K = TypeVar("K", bound=Key)
R = TypeVar("R")
S = TypeVar("S")
P = ParamSpec("P")
Q = ParamSpec("Q")


class Caches:
    """Declares caches. One per driver, so that all caches of a process share one table of computations.

    prefix: put before every key; ASCII without braces, at most 64 characters.
    """

    def __init__(self, driver: AsyncDriver, *, prefix: str = "", clock: Clock = server_clock) -> None:
        self._driver = driver
        self._prefix = keys.check_prefix(prefix)
        self._clock = clock
        self._flights = Flights(driver)
        self._declared: WeakValueDictionary[str, CachePlan[Any]] = WeakValueDictionary()
        self.inspector = CacheInspector(driver, self._prefix, clock)

    @overload
    def __call__(self, name: str, value_type: type[V], *, ttl: timedelta, **options: Unpack[Options]) -> Cache[V]: ...
    @overload
    def __call__(self, name: str, value_type: Any, *, ttl: timedelta, **options: Unpack[Options]) -> Cache[Any]: ...
    def __call__(self, name: str, value_type: Any, *, ttl: timedelta, **options: Unpack[Options]) -> Cache[Any]:
        """Declare a cache, once, where the application starts.

        name: the start of its keys, as ``user`` for ``cache:user:42``; no cache's name may begin with another's and a
        ``:``, since they could share entries. value_type: what msgspec can decode from JSON,
        and pydantic models; None needs no mention. ttl: an entry's longest life, up to 49 days. options: see
        ``policy.Options``.
        Raises Misuse.
        """
        limits = policy(ttl=ttl, **options)
        plan: CachePlan[Any] = CachePlan(
            name, ValueCodec(value_type, limits), limits, self._flights, prefix=self._prefix, clock=self._clock
        )
        keys.check_apart(plan.name, list(self._declared))
        self._declared[plan.name] = plan
        return Cache(self._driver, plan)


@answering
class Cache(Generic[V]):
    """One named cache of one type. Made by ``Caches``.

    A key is what follows the name: ``users.get(42)`` reads ``cache:user:42``. Reads never fail because of the server:
    they count the failure and miss. Writes and invalidations raise: a lost one is stale data.
    """

    def __init__(self, driver: AsyncDriver, plan: CachePlan[V]) -> None:
        self._driver = driver
        self._plan = plan

    def key(self, key: Key) -> EntryKey:
        """The Redis key of an entry."""
        return self._plan.entry(key)

    @overload
    async def get(self, key: Key) -> V | None: ...
    @overload
    async def get(self, key: Key, default: D) -> V | D | None: ...
    async def get(self, key: Key, default: Any = None) -> Any:
        """The value, or ``default`` (pass MISSING to tell an absent entry from a cached None). One round trip."""
        flow = flows.get(self._plan, self._plan.entry(key), default)
        return await self._driver.follow(flow)

    async def lookup(self, key: Key) -> Hit[V] | Miss:
        """The value with its age and remaining life. One round trip."""
        return await self._driver.follow(flows.lookup(self._plan, self._plan.entry(key)))

    async def get_many(self, keys: Iterable[K]) -> dict[K, V | None]:
        """What is cached of these, in their order; absent ones are left out. One write for up to 1,000 keys."""
        entries = {key: self._plan.entry(key) for key in check.several("keys", keys)}
        return await self._driver.follow(flows.get_many(self._plan, entries))

    async def set(self, key: Key, value: V | None, *, ttl: timedelta | None = None) -> None:
        """Store. Two writers race: the last one wins, so after a change ``delete`` is the safer word.

        Raises Misuse for a value of another type or over ``max_value``, Unavailable when Redis cannot be reached.
        Source: lua/put.lua.
        """
        await self._driver.follow(flows.put(self._plan, {self._plan.entry(key): value}, self._plan.ttl_ms(ttl)))

    async def set_many(self, values: Mapping[K, V | None], *, ttl: timedelta | None = None) -> None:
        """Store each, not together: a failure is raised after all were tried. Raises as ``set``."""
        check.instance("values", values, Mapping, hint="pass a dict of keys and values")
        entries = {self._plan.entry(key): value for key, value in values.items()}
        await self._driver.follow(flows.put(self._plan, entries, self._plan.ttl_ms(ttl)))

    async def delete(self, *keys: Key) -> None:
        """Invalidate. Once this returns, no read that starts later, in any process, gets a value computed before it.

        Call it after the database commit. Raises Unavailable when Redis cannot be reached; repeat it then.
        """
        await self._driver.follow(flows.invalidate(self._plan, [self._plan.entry(key) for key in keys]))

    @overload
    async def get_or_compute(
        self, key: Key, compute: Callable[[], Awaitable[V]], *, ttl: timedelta | None = None
    ) -> V: ...
    @overload
    async def get_or_compute(
        self, key: Key, compute: Callable[[], Awaitable[V | None]], *, ttl: timedelta | None = None
    ) -> V | None: ...
    async def get_or_compute(self, key: Key, compute: Any, *, ttl: timedelta | None = None) -> Any:
        """The cached value, else what ``compute`` returns, stored. One computation at a time per key, in all processes.

        compute: takes no arguments. Its exceptions reach every waiting caller and are not cached; None is cached for
        ``negative_ttl``. Every caller gets an object of its own. Cancelling one caller leaves the others their result.
        Without the server it computes, at most ``bulkhead`` at once. Raises Misuse when the result is not of the
        cache's type, Overloaded when none of those computations ends in time, and what ``compute`` raises.
        """
        if not callable(compute):
            check.function("compute", compute)
        flow = flows.obtain(self._plan, self._plan.entry(key), compute, self._plan.ttl_ms(ttl))
        return await self._driver.follow(flow)

    def cached(self, template: str, *, ttl: timedelta | None = None) -> Decorator[V]:
        """Decorate a function: ``@users.cached("user:{user_id}")``.

        template: the cache's name, then parts with at most one ``{parameter}`` each; ``self`` is in the key only if
        named. Raises Misuse, while decorating, for a name that is not a parameter.
        """
        return Decorator(self, check.text("template", template), self._plan.ttl_ms(ttl))

    def stats(self) -> Stats:
        """What this process counted since the cache was declared."""
        return self._plan.counts.snapshot()


class Decorator(Generic[V]):
    """What ``Cache.cached`` returns: give it the function."""

    def __init__(self, cache: Cache[V], template: str, ttl_ms: int) -> None:
        self._cache = cache
        self._template = template
        self._ttl_ms = ttl_ms

    @overload
    def __call__(self, function: Callable[P, Awaitable[V]]) -> CachedFunction[P, V]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[V | None]]) -> CachedFunction[P, V | None]: ...
    def __call__(self, function: Callable[P, Awaitable[Any]]) -> CachedFunction[P, Any]:
        """The function with a cache in front of it."""
        template = KeyTemplate(self._template, self._cache._plan.name, checked(function))
        return CachedFunction(self._cache, template, function, self._ttl_ms)


class CachedFunction(Generic[P, R]):
    """A function with a cache in front of it; also works as a method."""

    def __init__(
        self,
        cache: Cache[Any],
        template: KeyTemplate,
        function: Callable[P, Awaitable[R]],
        ttl_ms: int,
        instance: tuple[Any, ...] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        self._cache = cache
        self._template = template
        self._function: Any = function
        self._ttl_ms = ttl_ms
        self._instance = instance

    async def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        """The cached result, else the function's; see ``Cache.get_or_compute``."""
        compute = functools.partial(self._function, *self._instance, *args, **options)
        flow = flows.obtain(self._cache._plan, self.key(*args, **options), compute, self._ttl_ms)
        result: R = await self._cache._driver.follow(flow)
        return result

    def key(self, *args: P.args, **options: P.kwargs) -> EntryKey:
        """The Redis key for these arguments."""
        return self._cache._plan.templated(self._template.logical(self._instance + args, options))

    async def invalidate(self, *args: P.args, **options: P.kwargs) -> None:
        """Drop the result for these arguments; see ``Cache.delete``."""
        await self._cache.delete(self.key(*args, **options))

    async def refresh(self, *args: P.args, **options: P.kwargs) -> R:
        """Invalidate, then compute and store anew: the result is never older than this call."""
        await self.invalidate(*args, **options)
        return await self(*args, **options)

    async def uncached(self, *args: P.args, **options: P.kwargs) -> R:
        """The function itself: nothing read, nothing stored."""
        result: R = await self._function(*self._instance, *args, **options)
        return result

    @overload
    def __get__(self, instance: None, owner: type) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedFunction[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> CachedFunction[Any, R]:
        bound = () if instance is None else (instance,)
        return CachedFunction(self._cache, self._template, self._function, self._ttl_ms, bound)
