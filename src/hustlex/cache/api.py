"""Named, typed caches: read, write, invalidate, and compute at most once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakValueDictionary

from hustlex.cache import commit, flows, keys, many
from hustlex.cache.aio import Computations, checked, fitting, found, sender, watching
from hustlex.cache.claims import Wanted
from hustlex.cache.codec import ValueCodec
from hustlex.cache.commit import AfterCommit
from hustlex.cache.inspector import CacheInspector
from hustlex.cache.many import WantedMany
from hustlex.cache.obtain import obtain
from hustlex.cache.plan import CachePlan, TagSpace
from hustlex.cache.policy import CacheOptions, Options, checked_ms, policy, shared_options
from hustlex.cache.reading import Looked
from hustlex.cache.stats import Stats
from hustlex.cache.template import CallKey, KeyTemplate, TagTemplate
from hustlex.cache.types import EntryKey, Hit, Key, Miss, Warmed
from hustlex.core import check
from hustlex.core.answer.aio import Answer, answering, later, now
from hustlex.core.op import AsyncDriver, Flow
from hustlex.core.time import Clock, server_clock

V = TypeVar("V")
D = TypeVar("D")
K = TypeVar("K", bound=Key)
R = TypeVar("R")
S = TypeVar("S")
P = ParamSpec("P")
Q = ParamSpec("Q")

_MOST_AT_ONCE, _MOST_NAMES, _MOST_JITTER = 1_000, 10_000, 0.9
_PLAIN = frozenset((int, str))
"""Of these, equal arguments make equal keys; True and 1 do not."""


@answering
class Caches:
    """Declares caches. One per driver, so that all caches of a process share one table of computations.

    prefix: put before every key; ASCII without braces, at most 64 characters. shared: state is on the same server, to
    which the cache yields when memory is short. options: see CacheOptions.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        shared: bool = False,
        options: CacheOptions | None = None,
    ) -> None:
        self._options = shared_options(options)
        self._driver = check.driver(driver)
        self._prefix = keys.check_prefix(prefix)
        self._clock = clock
        self._computations = Computations(driver)
        self._space = TagSpace(self._prefix, self._computations, clock=clock)
        self._space.pressure.active = shared
        self.declared: WeakValueDictionary[str, CachePlan[Any]] = WeakValueDictionary()
        self.inspector = CacheInspector(driver, self._prefix, clock)

    @property
    def trouble(self) -> str:
        """One sentence while near caches are off, else ""."""
        return self._space.watch.trouble if self._space.watch is not None else ""

    @overload
    def __call__(self, name: str, value_type: type[V], *, ttl: timedelta, **options: Unpack[Options]) -> Cache[V]: ...
    @overload
    def __call__(self, name: str, value_type: Any, *, ttl: timedelta, **options: Unpack[Options]) -> Cache[Any]: ...
    def __call__(self, name: str, value_type: Any, *, ttl: timedelta, **options: Unpack[Options]) -> Cache[Any]:
        """Declare a cache, once, where the application starts.

        name: the start of its keys, as ``user`` for ``cache:user:42``; no cache's name may begin with another's and a
        ``:``, since they could share entries. value_type: what msgspec can decode from JSON, and pydantic models; None
        needs no mention. ttl: an entry's longest life, up to 49 days. options: see ``policy.Options``. Raises Misuse.
        """
        limits = policy(ttl=ttl, **(Options(timeout=self._options.timeout) | options))
        codec: ValueCodec[Any] = ValueCodec(value_type, limits)
        plan = CachePlan(
            name, codec, limits, self._computations, prefix=self._prefix, clock=self._clock, space=self._space
        )
        keys.check_apart(plan.name, list(self.declared))
        if limits.near_ms:
            plan.keep_near(self._space.watch or watching(self._driver, self._prefix))
        self.declared[plan.name] = plan
        return Cache(self._driver, plan)

    async def delete(self, name: str, key: Key) -> None:
        """As ``Cache.delete``, of the cache of this name, declared in this process or not: for operators."""
        known = self.declared.get(keys.check_name(name))
        await (Cache(self._driver, known) if known else self(name, Any, ttl=timedelta(minutes=1))).delete(key)

    async def invalidate_tags(self, *tags: str, soft: bool = False) -> None:
        """All entries with any of these tags, in all caches; the cost does not depend on how many there are.

        Once this returns, no read that starts later, in any process, gets a value computed before it. soft: they become
        stale instead of unusable, see ``stale_ttl``. Call it after the database commit. Raises as ``Cache.delete``.
        """
        named = keys.tags(tags, _MOST_AT_ONCE)
        await self._driver.follow(flows.invalidate_tags(self._space, named, soft=check.flag("soft", soft)))

    def after(self, session: Any) -> AfterCommit:
        """Invalidate when this SQLAlchemy session commits: ``hx.cache.after(session).delete(users, 42)``.

        It is done before ``commit`` returns; should it fail, the commit stands, and it is tried again for half a minute
        and then logged as an error. A rollback leaves it for the session's next commit. Raises Misuse.
        """
        return AfterCommit(commit.pending(fitting(session), self._space, sender(self._driver, self._space)))


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
    def get(self, key: Key) -> Answer[V | None]: ...
    @overload
    def get(self, key: Key, default: D) -> Answer[V | D | None]: ...
    def get(self, key: Key, default: Any = None) -> Answer[Any]:
        """The value, or ``default`` (pass MISSING to tell an absent entry from a cached None). One round trip."""
        plan = self._plan
        entry = plan.entry(key)
        copy = plan.nearby(entry)
        if copy is not None:
            return now(plan.copied(copy))
        return later(found(self._driver, plan, entry, plan.fixed_tags, partial(flows.get, plan, entry, default)))

    async def lookup(self, key: Key) -> Hit[V] | Miss:
        """The value with its age and remaining life. One round trip."""
        return await self._driver.follow(flows.lookup(self._plan, self._plan.entry(key)))

    async def get_many(self, keys: Iterable[K]) -> dict[K, V | None]:
        """What is cached of these, in their order; absent ones are left out. One write for up to 1,000 keys."""
        entries = {key: self._plan.entry(key) for key in check.several("keys", keys)}
        return await self._driver.follow(flows.get_many(self._plan, entries))

    async def set(
        self, key: Key, value: V | None, *, ttl: timedelta | None = None, tags: Iterable[str] = (), version: int = 0
    ) -> bool:
        """Store. Two writers race: the last one wins, so after a change ``delete`` is the safer word.

        version: a number that grows with the value, as a row's; then what is there with a higher one stays, and False
        is returned; as it is while the cache shares a server that is over 80 % full. Raises Misuse for a value of
        another type or over ``max_value``, Unavailable when Redis cannot be reached. Source: lua/put.lua.
        """
        plan, values, number = self._plan, {self.key(key): value}, check.whole("version", version)
        return await self._driver.follow(flows.put(plan, values, plan.ttl_ms(ttl), plan.tags(tags), number))

    async def set_many(
        self, values: Mapping[K, V | None], *, ttl: timedelta | None = None, tags: Iterable[str] = ()
    ) -> None:
        """Store each, not together: a failure is raised after all were tried. Raises as ``set``."""
        check.instance("values", values, Mapping, hint="pass a dict of keys and values")
        entries = {self._plan.entry(key): value for key, value in values.items()}
        await self._driver.follow(flows.put(self._plan, entries, self._plan.ttl_ms(ttl), self._plan.tags(tags)))

    async def delete(self, *keys: Key, hold: timedelta | None = None) -> None:
        """Invalidate. Once this returns, no read that starts later, in any process, gets a value computed before it.

        Call it after the database commit; or with ``hold`` before it: for so long nothing is stored. Raises
        Unavailable when Redis cannot be reached; repeat it then.
        """
        hold_ms = 0 if hold is None else checked_ms("hold", hold)
        await self._driver.follow(flows.invalidate(self._plan, [self.key(key) for key in keys], hold_ms=hold_ms))

    async def expire(self, *keys: Key) -> None:
        """Make them stale, as if their ttl had passed: still good while they are computed anew, see ``stale_ttl``."""
        await self._driver.follow(flows.invalidate(self._plan, [self._plan.entry(key) for key in keys], soft=True))

    async def invalidate_tags(self, *tags: str, soft: bool = False) -> None:
        """All entries with any of these tags, in all caches; see ``Caches.invalidate_tags``."""
        named = keys.tags(tags, _MOST_AT_ONCE)
        await self._driver.follow(flows.invalidate_tags(self._plan.space, named, soft=check.flag("soft", soft)))
        self._plan.counts.add("calls", "invalidated_tags", len(named))

    async def clear(self, *, soft: bool = False) -> None:
        """Invalidate all entries of this cache, by one stamp; soft: see ``invalidate_tags``. Raises Misuse for a cache
        that is not ``clearable``.
        """
        check.flag("soft", soft)
        await self._driver.follow(flows.invalidate_tags(self._plan.space, [self._plan.namespace()], soft=soft))

    @overload
    def get_or_compute(
        self, key: Key, compute: Callable[[], Awaitable[V]], *, ttl: timedelta | None = None, tags: Iterable[str] = ()
    ) -> Answer[V]: ...
    @overload
    def get_or_compute(
        self,
        key: Key,
        compute: Callable[[], Awaitable[V | None]],
        *,
        ttl: timedelta | None = None,
        tags: Iterable[str] = (),
    ) -> Answer[V | None]: ...
    def get_or_compute(
        self, key: Key, compute: Any, *, ttl: timedelta | None = None, tags: Iterable[str] = ()
    ) -> Answer[Any]:
        """The cached value, else what ``compute`` returns, stored. One computation at a time per key, in all processes.

        compute: takes no arguments. Its exceptions reach every waiting caller and are not cached, but see
        ``stale_if_error``; None is cached for ``negative_ttl``. tags: as ["org:7"], for ``invalidate_tags``.
        Every caller gets an object of its own. Cancelling one caller leaves the others their result. Without the server
        it computes, at most ``bulkhead`` at once. Raises Misuse when the result is not of the cache's type, Overloaded
        when none of those computations ends in time, LoadTimeout after ``hard_timeout``, and what ``compute`` raises.
        """
        if not callable(compute):
            check.function("compute", compute)
        plan = self._plan
        entry = plan.entry(key)
        ask = Wanted(entry=entry, compute=compute, ttl_ms=plan.ttl_ms(ttl), tags=plan.tags(tags))
        copy = plan.nearby(entry)
        if copy is not None:
            return now(plan.copied(copy))
        return later(found(self._driver, plan, entry, ask.tags, partial(obtain, plan, ask)))

    async def get_or_compute_many(
        self,
        keys: Iterable[K],
        compute: Callable[[list[K]], Awaitable[Mapping[K, V | None]]],
        *,
        ttl: timedelta | None = None,
        tags: Iterable[str] = (),
    ) -> dict[K, V | None]:
        """All values, in the order asked; ``compute`` is called once, with the keys that nobody has or computes.

        What it leaves out is cached as None. Raises as ``get_or_compute``.
        """
        entries = {key: self._plan.entry(key) for key in check.several("keys", keys)}
        return await self._driver.follow(many.obtain_many(self._plan, entries, self._many(compute, ttl, tags)))

    async def warm(
        self,
        keys: Iterable[K],
        compute: Callable[[list[K]], Awaitable[Mapping[K, V | None]]],
        *,
        ttl: timedelta | None = None,
        tags: Iterable[str] = (),
        jitter: float = 0.5,
        batch: int = 100,
        pause: timedelta = timedelta(0),
    ) -> Warmed:
        """Compute what is not cached, before anybody asks; never overwrites, and ends when the server fails.

        compute: as for ``get_or_compute_many``, called for ``batch`` keys at a time with a ``pause`` between. jitter:
        more than usual, so that entries warmed together do not end together.
        """
        entries = {key: self._plan.entry(key) for key in check.several("keys", keys)}
        ask = self._many(compute, ttl, tags, check.number("jitter", jitter, 0, _MOST_JITTER))
        pause_s = check.duration("pause", pause).total_seconds()
        size = check.whole("batch", batch, 1, _MOST_AT_ONCE)
        return await self._driver.follow(many.warm(self._plan, entries, ask, size, pause_s))

    def _many(
        self, compute: Callable[..., Any], ttl: timedelta | None, tags: Iterable[str], jitter: float | None = None
    ) -> WantedMany:
        plan, wanted = self._plan, check.function("compute", compute)
        return WantedMany(compute=wanted, ttl_ms=plan.ttl_ms(ttl), tags=plan.tags(tags), jitter=jitter)

    def cached(
        self, template: str | None = None, *, ttl: timedelta | None = None, tags: Iterable[str] = ()
    ) -> Decorator[V]:
        """Decorate a function: ``@users.cached("user:{user_id}", tags=["org:{org_id}"])``.

        template: the cache's name, then parts with at most one ``{parameter}`` each; ``self`` is in the key only if
        named. None: all arguments, by a digest of their values; such keys cannot be told by looking at them, and what
        else the function uses, as ``self`` or variables of a function around it, wants a template. tags: the same kind
        of templates, without the cache's name. Raises Misuse, while decorating, for a name that is not a parameter, and
        for the template of another function.
        """
        named = None if template is None else check.text("template", template)
        wanted = [check.text("a tag", tag) for tag in check.several("tags", tags)]
        return Decorator(self, named, wanted, self._plan.ttl_ms(ttl))

    def stats(self) -> Stats:
        """What this process counted since the cache was declared, as a whole and of each function's key template."""
        return self._plan.counts.snapshot()


class Decorator(Generic[V]):
    """What ``Cache.cached`` returns: give it the function."""

    def __init__(self, cache: Cache[V], template: str | None, tags: Sequence[str], ttl_ms: int) -> None:
        self._cache = cache
        self._template = template
        self._tags = tags
        self._ttl_ms = ttl_ms

    @overload
    def __call__(self, function: Callable[P, Awaitable[V]]) -> CachedFunction[P, V]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[V | None]]) -> CachedFunction[P, V | None]: ...
    def __call__(self, function: Callable[P, Awaitable[Any]]) -> CachedFunction[P, Any]:
        """The function with a cache in front of it."""
        plan, inner = self._cache._plan, checked(function)
        key, tags = plan.keyed(self._template, inner), TagTemplate(self._tags, inner) if self._tags else None
        return CachedFunction(self._cache, key, function, self._ttl_ms, tags)


@answering
class CachedFunction(Generic[P, R]):
    """A function with a cache in front of it; also works as a method."""

    def __init__(
        self,
        cache: Cache[Any],
        template: KeyTemplate | CallKey,
        function: Callable[P, Awaitable[R]],
        ttl_ms: int,
        tags: TagTemplate | None,
        instance: tuple[Any, ...] = (),
    ) -> None:
        update_wrapper(self, function, updated=())
        self._cache = cache
        self._plan = cache._plan.of_template(template.text)
        self._template = template
        self._function: Any = function
        self._ttl_ms = ttl_ms
        self._tags = tags
        self._instance = instance
        self._names: dict[tuple[Any, ...], EntryKey] = {}

    def __call__(self, *args: P.args, **options: P.kwargs) -> Answer[R]:
        """The cached result, else the function's; see ``Cache.get_or_compute``."""
        plan, named, entry = self._plan, self._tags, self.key(*args, **options)
        copy = plan.nearby(entry)
        if copy is not None:
            kept: R = plan.copied(copy)
            return now(kept)
        tags = plan.fixed_tags if named is None else plan.tags(named.names(self._instance + args, options))

        def flow(looked: Looked | None) -> Flow[Any]:
            compute = partial(self._function, *self._instance, *args, **options)
            return obtain(plan, Wanted(entry=entry, compute=compute, ttl_ms=self._ttl_ms, tags=tags), looked)

        answer: Answer[R] = later(found(self._cache._driver, plan, entry, tags, flow))
        return answer

    def key(self, *args: P.args, **options: P.kwargs) -> EntryKey:
        """The Redis key for these arguments."""
        if options or self._instance or not _PLAIN.issuperset(map(type, args)):
            return self._plan.templated(self._template.logical(self._instance + args, options))
        found = self._names.get(args)
        if found is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            found = self._names[args] = self._plan.templated(self._template.logical(args, options))
        return found

    async def invalidate(self, *args: P.args, **options: P.kwargs) -> None:
        """Drop the result for these arguments; see ``Cache.delete``."""
        await self._cache.delete(self.key(*args, **options))

    async def refresh(self, *args: P.args, **options: P.kwargs) -> R:
        """Invalidate, then compute and store anew: the result is never older than this call."""
        await self.invalidate(*args, **options)
        return await self(*args, **options)

    async def peek(self, *args: P.args, **options: P.kwargs) -> Hit[R] | Miss:
        """What is cached for these arguments, computing nothing."""
        return await self._cache.lookup(self.key(*args, **options))

    async def uncached(self, *args: P.args, **options: P.kwargs) -> R:
        """The function itself: nothing read, nothing stored."""
        return await self._function(*self._instance, *args, **options)  # type: ignore[no-any-return]

    def stats(self) -> Stats:
        """What this process counted of this function."""
        return self._plan.counts.snapshot()

    @overload
    def __get__(self, instance: None, owner: type) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedFunction[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> CachedFunction[Any, R]:
        bound = () if instance is None else (instance,)
        return CachedFunction(self._cache, self._template, self._function, self._ttl_ms, self._tags, bound)
