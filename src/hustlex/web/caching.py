"""A cache of responses: one computation in all processes, ETags, and invalidation by tag from any handler.

A route says what it is by a dependency or a decorator, a middleware does the work; plain ASGI applications name their
routes at the middleware. On a hit nothing of the route runs, not even its dependencies.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, Unpack
from weakref import WeakKeyDictionary

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.app import HustleX
from hustlex.cache.api import Cache
from hustlex.cache.computations import Unshared
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.errors import ConfigurationError, Misuse
from hustlex.web import pages
from hustlex.web.charges import calls_at
from hustlex.web.depends import current_user, front_of
from hustlex.web.pages import CachedPage
from hustlex.web.places import arrives, as_it_came, place_in
from hustlex.web.problem import Problem
from hustlex.web.routing import Place

F = TypeVar("F", bound=Callable[..., Any])
Who = Callable[[HTTPConnection], Awaitable[str | None]]

_MARK, _TAGS, _PLACE = "hustlex.cached", "hustlex.cache_tags", "hustlex.place"
_FIELD = re.compile(r"\{(\w+)\}")
_SECOND = timedelta(seconds=1)
_LARGEST_PAGE = 1 << 20


class PageOptions(TypedDict, total=False):
    """What a cache of responses takes of ``hustlex.cache.Options``."""

    stale_ttl: timedelta
    stale_if_error: timedelta
    cooldown: timedelta
    early: float
    jitter: float
    near: timedelta
    timeout: timedelta
    wait: timedelta
    max_value: int


@answering
class ResponseCache:
    """What is cached, and how. Give it to routes: ``dependencies=[Depends(pages)]``, or ``@pages.cached``.

    ttl: how long a response is served. name: of its cache, unlike any other's. tags: of every response, with parameters
    of the path, as ``"gig:{gig_id}"``; a handler adds its own by ``tag_response``. vary: request headers that make
    another response. query: the parameters that do; None: all. private: one for each user (``user`` tells who, by
    default the checked access token; nobody is never cached). public: the same for everybody, also for requests with
    a token or a cookie, which are otherwise not cached. client_ttl: how long browsers and proxies may keep it without
    asking; they cannot be told of an invalidation, so by default they ask each time, and get a 304. honor_client: do
    what the request's Cache-Control says. Raises Misuse.
    """

    __globals__ = globals()  # as in ``depends.Marked``

    def __init__(
        self,
        name: str = "page",
        *,
        ttl: timedelta,
        tags: Iterable[str] = (),
        vary: Iterable[str] = (),
        query: Iterable[str] | None = None,
        private: bool = False,
        public: bool = False,
        user: Who | None = None,
        client_ttl: timedelta | None = None,
        honor_client: bool = False,
        **options: Unpack[PageOptions],
    ) -> None:
        self.name = check.text("name", name)
        self._ttl = check.duration("ttl", ttl)
        wanted = [check.text("a tag", tag) for tag in check.several("tags", tags)]
        self._templates = [tag for tag in wanted if "{" in tag]
        self._fixed = [tag for tag in wanted if "{" not in tag]
        self.vary = tuple(check.text("a header", name).lower() for name in check.several("vary", vary))
        self._query = None if query is None else frozenset(check.several("query", query))
        self.private = check.flag("private", private)
        self._public = check.flag("public", public)
        if private and public:
            raise Misuse("a response is private or public, not both", hint="leave out one of them")
        self._user = None if user is None else check.function("user", user)
        self._client_ttl = None if client_ttl is None else check.duration("client_ttl", client_ttl)
        self.honor_client = check.flag("honor_client", honor_client)
        self._options = options
        self._caches: WeakKeyDictionary[HustleX, Cache[CachedPage]] = WeakKeyDictionary()
        self.hustlex_caches = self

    async def __call__(self, connection: HTTPConnection) -> None:
        """As a dependency. Raises ConfigurationError when the middleware was forgotten."""
        if _MARK not in connection.scope:
            raise ConfigurationError("this app has no CacheMiddleware", hint="app.add_middleware(CacheMiddleware)")

    def cached(self, endpoint: F) -> F:
        """As a decorator, below the route's: ``@app.get("/gigs")``, ``@gigs.cached``, ``async def gigs(): ...``."""
        check.function("endpoint", endpoint)
        endpoint.hustlex_caches = self  # type: ignore[attr-defined]
        return endpoint

    async def clear(self, front: HustleX) -> None:
        """Invalidate all its responses. One kind: ``front.cache.invalidate_tags("gig:7")``."""
        check.instance("front", front, HustleX)
        await self.of(front).clear()

    def of(self, front: HustleX) -> Cache[CachedPage]:
        """Its cache at this front."""
        found = self._caches.get(front)
        if found is None:
            options: Any = self._options
            found = self._caches[front] = front.cache(
                self.name, CachedPage, ttl=self._ttl, tags=self._fixed, value_tags=lambda made: made.tags, **options
            )
        return found

    async def key(self, connection: HTTPConnection) -> tuple[str, str] | None:
        """What tells one response from another; None for a request that is not cached."""
        headers, scope = connection.headers, connection.scope
        if "range" in headers:
            return None
        who = ""
        if self.private:
            who = await self._who(connection)
            if not who:
                return None
        elif not self._public and ("authorization" in headers or "cookie" in headers):
            return None
        varying = [",".join(headers.getlist(name)) for name in self.vary]
        query = pages.query_of(scope.get("query_string", b""), self._query)
        path = scope["path"] or "/"
        parts = (scope.get("scheme", ""), headers.get("host", ""), path, query, "u" * bool(who) + who, *varying)
        return path, pages.digest(parts)

    async def _who(self, connection: HTTPConnection) -> str:
        if self._user is not None:
            return check.identity("a user", found) if (found := await self._user(connection)) is not None else ""
        try:
            access = await current_user(connection)
        except Problem:
            return ""  # the route says so itself
        user: str = access.user_id
        return user

    def tags(self, scope: Scope) -> list[str]:
        """Of a response, when it is there: the path's parameters are known then."""
        known = scope.get("path_params", {})
        try:
            named = [_FIELD.sub(lambda found: str(known[found[1]]), tag) for tag in self._templates]
        except KeyError as missing:
            raise Misuse(f"a tag names {missing}, which is no parameter of the path", hint="see the route") from None
        return [*named, *scope.get(_TAGS, ())]

    def directives(self, age_s: int) -> str:
        """Cache-Control of a response of this age."""
        if self._client_ttl is None:
            return pages.directives(private=self.private, fresh_s=-1, stale_s=0, error_s=0)
        left = max(0, min(self._ttl // _SECOND - age_s, self._client_ttl // _SECOND))
        stale = self._options.get("stale_ttl", timedelta(0))
        error = self._options.get("stale_if_error", stale)
        return pages.directives(private=self.private, fresh_s=left, stale_s=stale // _SECOND, error_s=error // _SECOND)

    def left_s(self, age_s: int) -> int:
        """Of its ttl."""
        return self._ttl // _SECOND - age_s


def tag_response(connection: HTTPConnection, *tags: str) -> None:
    """In a handler: more tags of this response, as ``tag_response(request, f"owner:{gig.owner}")``. Raises Misuse."""
    check.instance("connection", connection, HTTPConnection)
    connection.scope.setdefault(_TAGS, []).extend(check.text("a tag", tag) for tag in tags)


class CacheMiddleware:
    """``app.add_middleware(CacheMiddleware)``, after ``install``: what is added later stands before it and sees hits.

    rules: for applications without dependencies, by the route's path: ``{"/gigs/{gig_id}": pages}``.
    """

    def __init__(self, app: ASGIApp, rules: Mapping[str, ResponseCache] | None = None) -> None:
        self._app = app
        check.instance("rules", {} if rules is None else rules, Mapping, hint="pass a dict of paths and ResponseCaches")
        self._rules = dict(rules or {})
        for path, rule in self._rules.items():
            check.text("a path", path)
            check.instance("a rule", rule, ResponseCache)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _MARK in scope:
            await self._app(scope, receive, send)
            return
        arrives(scope)
        scope[_MARK] = True
        scope.setdefault(_TAGS, [])
        rule = self._rule(place_in(scope, self._app)) if scope["method"] in ("GET", "HEAD") else None
        if rule is None:
            await self._app(scope, receive, send)
        else:
            await self._serve(rule, scope, receive, send)

    def _rule(self, place: Place | None) -> ResponseCache | None:
        if place is None or not place.full or place.route is None:
            return self._rules.get(place.template) if place is not None else None
        endpoint = getattr(place.route, "endpoint", None)
        marks = [getattr(each, "hustlex_caches", None) for each in (endpoint, *calls_at(place.route))]
        found = next((mark for mark in marks if isinstance(mark, ResponseCache)), None)
        return found or self._rules.get(place.template)

    async def _serve(self, rule: ResponseCache, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        asked = _control(connection) if rule.honor_client else frozenset()
        key = None if "no-store" in asked else await rule.key(connection)
        if key is None:
            await self._app(scope, receive, _with_status(send, f"{rule.name}; fwd=bypass"))
            return
        cache = rule.of(front_of(scope, self._app))
        if asked & {"no-cache", "max-age=0"}:
            await cache.delete(key)
        run = _Run(self._app, rule, scope, receive, send)
        try:
            page = await cache.get_or_compute(key, run)
        except (Unshared, _Failed):
            run.left = True
            if not run.ran:  # somebody else's response, which is not for this caller
                await self._app(scope, receive, send)
            elif not run.sent:
                await run.replay(send)
            return
        run.left = True
        await _answer(rule, page, connection, send, hit=run.made != page.made)


class _Failed(Exception):
    """The application answered with a server's error: a stale page serves better."""


class _Run:
    """The application, run for a response that may be kept. left: its caller has been answered; it goes on behind."""

    def __init__(self, app: ASGIApp, rule: ResponseCache, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._rule, self._scope, self._receive, self._send = app, rule, scope, receive, send
        self.ran = self.left = self._asked_for = False
        self.made = 0.0
        self._sent = asyncio.Event()
        self._start: Message = {}
        self._body = bytearray()
        self._keeps = True

    async def __call__(self) -> CachedPage:
        self.ran = not self.left
        scope = self._asked()
        await self._app(scope, self._receiving, self._sending)
        if not self._keeps or not self._start:
            raise Unshared
        status, headers = self._start["status"], self._start.get("headers", ())
        if status >= 500:
            raise _Failed
        tags = self._rule.tags(scope)
        self.made = time.time()
        return pages.page(status, headers, bytes(self._body), self.made, tags, self._rule.vary)

    @property
    def sent(self) -> bool:
        """Whether the caller has its answer already."""
        return bool(self._sent.is_set())

    async def _receiving(self) -> Message:
        """A request without a body, whose client never goes: others may wait for the response. Once it turns out to be
        for this caller alone, the caller's own."""
        if not self._asked_for:
            self._asked_for = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._sent.wait()
        return await self._receive()

    def _asked(self) -> Scope:
        """As it came, without what asks for less than the whole."""
        dropped = (b"if-none-match", b"if-modified-since")
        headers = [pair for pair in self._scope["headers"] if pair[0].lower() not in dropped]
        scope = {**as_it_came(self._scope), "method": "GET", "headers": headers, _TAGS: []}
        scope.pop(_PLACE, None)
        return scope

    async def _sending(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            status, headers = message["status"], message.get("headers", ())
            self._keeps = status >= 500 or pages.storable(status, headers, self._rule.vary, private=self._rule.private)
        elif message["type"] == "http.response.body" and self._keeps:
            self._body += message.get("body", b"")
            self._keeps = len(self._body) <= _LARGEST_PAGE
            if self._keeps:
                return
            message = {**message, "body": bytes(self._body)}
        if not self._keeps and not self.left:
            await self._forward(message)

    async def _forward(self, message: Message) -> None:
        """What is not kept goes to the caller as it comes."""
        if not self.sent:
            self._sent.set()
            await self._send(self._start)
            if message is self._start:
                return
        await self._send(message)

    async def replay(self, send: Send) -> None:
        """Answer the caller with what was not kept."""
        await send(self._start)
        await send({"type": "http.response.body", "body": bytes(self._body)})


async def _answer(rule: ResponseCache, page: CachedPage, connection: HTTPConnection, send: Send, *, hit: bool) -> None:
    """304 is decided against this very page."""
    age_s = max(0, int(time.time() - page.made)) if hit else 0
    left_s = rule.left_s(age_s)
    cache_status = f"hit; ttl={left_s}" + ("" if left_s > 0 else "; detail=stale") if hit else "fwd=uri-miss; stored"
    fields = page.fields(rule.directives(age_s), age_s, f"{rule.name}; {cache_status}")
    status, body = page.status, page.body
    asked = connection.headers.get("if-none-match")
    if asked and page.status == 200 and pages.matches(asked, page.etag):
        status, body, fields = 304, b"", pages.not_modified(fields)
    else:
        fields.append(("content-length", str(len(body))))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if connection.scope["method"] == "HEAD" else body})


def _with_status(send: Send, status: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"cache-status", status.encode("latin-1"))]
            message = {**message, "headers": headers}
        await send(message)

    return sending


def _control(connection: HTTPConnection) -> frozenset[str]:
    words = connection.headers.get("cache-control", "").split(",")
    return frozenset(word.strip().lower() for word in words)
