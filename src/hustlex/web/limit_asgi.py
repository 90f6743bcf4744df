"""Rate limits for any ASGI application: rules by method and path, and sockets by connect, number and messages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from contextlib import AsyncExitStack
from datetime import timedelta
from inspect import isawaitable
from typing import Any

import msgspec
from starlette._utils import get_route_path

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.errors import ConfigurationError, Error, Misuse
from hustlex.problems import Legacy, Shown, raw_fields, refusal
from hustlex.ratelimit import Decision, Policy, RateLimit, Rule, Rulebook, Source, caller_of, parse_rule
from hustlex.ratelimit.engine.compiler import CompiledPolicies
from hustlex.ratelimit.policy.sensitive import refuse_open
from hustlex.web.addresses import address_of
from hustlex.web.charges import KEY as CHARGES
from hustlex.web.charges import Charges, charges_of
from hustlex.web.cors import answer, cors_within
from hustlex.web.depends import front_of
from hustlex.web.problem import MEDIA_TYPE, Problem, problem_of
from hustlex.web.routing import Place, mounted_at, place_of, preflight, router_of, shape

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Scope, str], check.Id | Awaitable[check.Id | None] | None]
"""Who is behind a request, asked for "user" and "key": a reference that may stand in key names; None: nobody, so the
rule does not apply (limit those by ip)."""

_log = logger("hustlex.web")
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013


class _Spot(msgspec.Struct, frozen=True):
    """Policies of the same callers at the same place, judged together. rule: the first of them. placeless: whether the
    rule's path is a label only."""

    rule: Rule
    policies: tuple[Policy, ...]
    placeless: bool = False

    @property
    def held(self) -> bool:
        """Whether a place is taken for as long as the request or the socket lasts. Of all policies, or of none."""
        return self.rule.policy.algorithm == "leases"

    def covers(self, seen: _Seen) -> bool:
        """Whether a request is covered: by its path, or because the router serves it at the rule's template."""
        rule = self.rule
        if self.placeless or any(rule.fits(seen.method, path) for path in seen.paths):
            return True
        anywhere = msgspec.structs.replace(rule, path="")
        return shape(rule.path) in seen.shapes and anywhere.fits(seen.method, "")


class _Seen(msgspec.Struct, frozen=True):
    """A request as rules look at it. paths: as it came, and as the router read it; each with and without what the
    application is mounted at, as a limit holds for both. shapes: of the templates that it is served at."""

    method: str
    paths: frozenset[str]
    shapes: frozenset[str]


class SocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of WebSockets, as rules' lines; "" for none.

    connect: how often; refused with 429 before the upgrade, where the server can. held: how many at once. messages:
    how often a socket's owner may send; one over it is dropped and answered with one error frame, and after
    ``strikes`` of them the socket is closed with 1008 (1013 when the limit's server is away and the rule is closed).
    """

    connect: str = "30/minute per ip"
    held: str = "20 at once per ip"
    messages: str = "600/minute per ip"
    strikes: int = 5


class RateLimitMiddleware:
    """``app.add_middleware(RateLimitMiddleware, rules=["100/minute per ip", "5/minute per user on POST /pay"])``.

    limits: the room; None: that of the application's front, see ``lifespan``.
    rules: lines, Rules, or a Rulebook, which may be reloaded meanwhile. All rules that cover a request are charged, or
        none; a WebSocket's handshake is a GET.
    identify: see Identify; needed for rules per user or key.
    sockets: more limits of WebSockets.
    legacy: older header fields too.

    A rule's path holds for what the application's router serves at that template, however the path is written, and for
    each path that it fits. A browser's preflights are neither charged nor refused. Raises ConfigurationError, Misuse.
    """

    def __init__(
        self,
        app: App,
        limits: RateLimit | None = None,
        rules: Iterable[str | Rule] | Rulebook = (),
        *,
        identify: Identify | None = None,
        sockets: SocketLimits | None = None,
        legacy: Legacy | None = None,
    ) -> None:
        if limits is not None:
            check.instance("limits", limits, RateLimit, hint="pass hx.ratelimit, or leave it out")
        if sockets is not None:
            check.instance("sockets", sockets, SocketLimits)
        if identify is not None:
            check.function("identify", identify)
        self._app = app
        self._limits = limits
        self._rules = rules if isinstance(rules, Rulebook) else tuple(map(_parsed, _listed(rules)))
        self._identify = identify
        self._sockets = _Sockets(sockets or SocketLimits(connect="", held="", messages=""))
        self._legacy = legacy
        self._grouped = self._current()
        self._spots = self._judged_together(self._grouped)

    def _current(self) -> tuple[Rule, ...]:
        return self._rules.rules if isinstance(self._rules, Rulebook) else self._rules

    def _spots_now(self) -> list[_Spot]:
        """The rules in force, by what is judged together; worked out again when a Rulebook has others. Others that
        cannot be followed here change nothing."""
        rules = self._current()
        if rules is not self._grouped:
            self._grouped = rules
            try:
                self._spots = self._judged_together(rules)
            except Error as error:
                _log.error("the rules stay as they were: %s", error)
        return self._spots

    def _judged_together(self, rules: tuple[Rule, ...]) -> list[_Spot]:
        """Raises ConfigurationError for rules that cannot be followed."""
        every = (*rules, *self._sockets.rules)
        if self._identify is None and any(rule.who in ("user", "key") for rule in every):
            raise ConfigurationError("a rule per user or key needs identify=...", hint="or limit per ip")
        return _spots(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                await self._http(scope, receive, send)
            elif scope["type"] == "websocket":
                await self._socket(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except _Unfit as unfit:
            await _turn_away(self._app, scope, receive, send, problem_of(unfit.error))

    # -- which rules

    def _covering(self, scope: Scope, spots: Iterable[_Spot]) -> list[_Spot]:
        if all(spot.placeless or not spot.rule.path for spot in spots):
            method = scope.get("method", "GET").upper()
            return [spot for spot in spots if spot.placeless or spot.rule.fits(method, "")]
        opaque = router_of(self._app) is None
        seen = _seen(scope, place_of(scope.get("app") if opaque else self._app, scope))
        return [spot for spot in spots if spot.covers(seen)]

    def _is_preflight(self, scope: Scope) -> bool:
        """Whether a preflight goes no further than to who answers it, so that nothing is served by it."""
        if not preflight(scope):
            return False
        place = place_of(self._app, scope)
        serves = place is not None and place.full and place.route is not None and place.methods != {"OPTIONS"}
        return not serves or cors_within(self._app) is not None

    def _room(self, scope: Scope) -> RateLimit:
        return self._limits or front_of(scope, router_of(self._app)).ratelimit

    # -- requests

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        spots = [] if self._is_preflight(scope) else self._covering(scope, self._spots_now())
        if not spots:
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as places:
            # Places first: they are given back when a rate refuses.
            decisions = await self._take(scope, [spot for spot in spots if spot.held], places)
            if all(decisions):
                judged = await self._judge(scope, [spot for spot in spots if not spot.held])
                decisions += [judged] if judged is not None else []
            await self._answer(scope, receive, send, decisions)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, decisions: list[Decision]) -> None:
        """The application's answer, or a refusal by the last decision; with what is to be told of the limits."""
        shown = raw_fields([Shown(decision) for decision in decisions], self._legacy)

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] // 100 != 3:
                message["headers"] = [*message.get("headers", []), *shown]
            await send(message)

        if all(decisions):
            await self._app(scope, receive, send_with_fields if shown else send)
        else:
            await answer(self._app, Problem.of(refusal(decisions[-1])).response(), scope, receive, send_with_fields)

    async def _take(self, scope: Scope, spots: Iterable[_Spot], places: AsyncExitStack) -> list[Decision]:
        """A place of each of these, until one refuses; kept until ``places`` is left."""
        taken: list[Decision] = []
        charges = charges_of(scope)
        for spot, who, endpoint in await self._asked(scope, charges, spots):
            holding = self._room(scope).hold(spot.policies, who, endpoint=endpoint)
            taken.append((await places.enter_async_context(holding)).decision)
            if not taken[-1]:
                await charges.give_back()
                break
        return taken

    async def _judge(self, scope: Scope, spots: Iterable[_Spot]) -> Decision | None:
        """All or none of these; None: none applies."""
        charges, room = charges_of(scope), self._room(scope)
        due = await self._asked(scope, charges, spots)
        if not due:
            return None
        if len(due) == 1:
            spot, who, endpoint = due[0]
            decision = await room.check(spot.policies, who, endpoint=endpoint)
        else:
            decision = await room.check_all([(spot.policies, who, endpoint) for spot, who, endpoint in due])
        if not decision:
            await charges.give_back()
            return decision
        charges.paid.append((room, decision))
        for (spot, who, endpoint), part in zip(due, decision.parts or (decision,), strict=True):
            charges.note(who, endpoint, spot.policies, part)
        return decision

    async def _asked(self, scope: Scope, charges: Charges, spots: Iterable[_Spot]) -> list[tuple[_Spot, str, str]]:
        """Whom each of these limits where, if anybody."""
        mount, due = mounted_at(scope), []
        for spot in spots:
            who = await self._who(scope, spot.rule)
            if who is not None:
                label = f"{spot.rule.endpoint} at {mount}" if mount else spot.rule.endpoint
                label = charges.place(who, label, spot.policies)
                if charges.known(who, label, spot.policies) is None:
                    due.append((spot, who, label))
        return due

    async def _who(self, scope: Scope, rule: Rule) -> str | None:
        if rule.who == "global":
            return "global"
        if rule.who == "ip":
            return address_of(scope["client"][0] if scope.get("client") else None)
        if self._identify is None:
            raise ConfigurationError("a rule per user or key needs identify=...", hint="or limit per ip")
        found = self._identify(scope, rule.who)
        found = await found if isawaitable(found) else found
        try:
            return None if found is None else caller_of(rule.who, found)
        except Misuse as error:
            raise _Unfit(error) from None

    # -- sockets

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self._sockets
        spots = self._covering(scope, [*limits.connect, *limits.held, *self._spots_now()])
        refused = await self._judge(scope, [spot for spot in spots if not spot.held])
        if refused is not None and not refused:
            await _turn_away(self._app, scope, receive, send, Problem.of(refusal(refused)))
            return
        async with AsyncExitStack() as places:
            taken = await self._take(scope, [spot for spot in spots if spot.held], places)
            if not all(taken):
                await _turn_away(self._app, scope, receive, send, Problem.of(refusal(taken[-1])))
                return
            messages = self._covering(scope, limits.messages)
            await self._app(scope, self._guarded(scope, receive, send, messages) if messages else receive, send)

    def _guarded(self, scope: Scope, receive: Receive, send: Send, messages: list[_Spot]) -> Receive:
        """A ``receive`` that lets through what the messages' limit allows, counted where the socket came in."""
        strikes = 0
        came = {name: value for name, value in scope.items() if name != CHARGES}

        async def receive_allowed() -> Message:
            nonlocal strikes
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                decision = await self._judge(dict(came), messages)  # each is charged, unlike a request
                if decision is None or decision.allowed:
                    return message
                strikes += 1
                closed = decision.source is Source.FAIL_CLOSED
                if closed or strikes > self._sockets.strikes:
                    code = _TRY_AGAIN_LATER if closed else _POLICY_VIOLATION
                    await send({"type": "websocket.close", "code": code, "reason": "too many messages"})
                    return {"type": "websocket.disconnect", "code": code}
                await send({"type": "websocket.send", "text": json.dumps(refusal(decision).body())})

        return receive_allowed


class _Unfit(Exception):
    """What ``identify`` answered cannot name anybody."""

    def __init__(self, error: Misuse) -> None:
        super().__init__(str(error))
        self.error = error


class _Sockets:
    """SocketLimits, parsed. Messages are counted in advance where the policy can: a socket is a hot key."""

    def __init__(self, limits: SocketLimits) -> None:
        self.rules: tuple[Rule, ...] = ()
        self.connect = self._read(limits.connect, "sockets-connect")
        self.held = self._read(limits.held, "sockets-held")
        self.messages = self._read(limits.messages, "sockets-messages", prefetch=timedelta(milliseconds=250))
        self.strikes = check.whole("strikes", limits.strikes)
        if not all(spot.held for spot in self.held):
            raise ConfigurationError("held is a rule like '5 at once per user'")

    def _read(self, line: str, name: str, **more: Any) -> list[_Spot]:
        check.text(f"{name.removeprefix('sockets-')} of SocketLimits", line, blank=True)
        if not line:
            return []
        rule = parse_rule(line, name=name, **more)
        placeless = not rule.path
        rule = msgspec.structs.replace(rule, path=rule.path or f"/{name}")
        self.rules = (*self.rules, rule)
        return [_Spot(rule, (rule.policy,), placeless)]


def _seen(scope: Scope, place: Place | None) -> _Seen:
    whole, root = scope["path"], scope.get("root_path", "").rstrip("/")
    loose = whole.removeprefix(root) if whole.startswith(f"{root}/") else whole
    read = {get_route_path(scope), *([place.path] if place else [])}
    paths = {whole, loose} | read | {root + path for path in read}
    # No router may be seen here; many take a line end at the end for none.
    paths |= {path.removesuffix("\n") for path in paths}
    shapes = {shape(place.template), shape(root + place.template)} if place and place.template else set()
    return _Seen(scope.get("method", "GET").upper(), frozenset(paths), frozenset(shapes))


def _spots(rules: Iterable[Rule]) -> list[_Spot]:
    """Raises ConfigurationError for rules that can never be judged: at start-up rather than by each request."""
    found: dict[tuple[str, str, bool], _Spot] = {}
    for rule in rules:
        place = (rule.who, rule.endpoint, rule.policy.algorithm == "leases")
        before = found.get(place)
        found[place] = _Spot(before.rule, (*before.policies, rule.policy)) if before else _Spot(rule, (rule.policy,))
    for spot in found.values():
        refuse_open(spot.policies, spot.rule.endpoint)
        try:
            CompiledPolicies(spot.policies)
        except Misuse as error:
            raise ConfigurationError(f"rules {spot.rule.who} on {spot.rule.endpoint}: {error.message}") from None
    return list(found.values())


def _listed(rules: Any) -> Iterable[Any]:
    check.instance("rules", rules, list, tuple, set, frozenset, Generator, hint="pass a list of lines, or a Rulebook")
    found: Iterable[Any] = rules
    return found


def _parsed(rule: str | Rule) -> Rule:
    check.instance("a rule", rule, str, Rule)
    return parse_rule(rule) if isinstance(rule, str) else rule


async def _turn_away(app: App, scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """A request: the problem. A socket: the same before the upgrade, where the server can send it, else a close (which
    it answers with 403)."""
    if scope["type"] == "http":
        await answer(app, problem.response(), scope, receive, send)
        return
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    body = json.dumps(problem.body()).encode()
    extra = [(name.lower().encode(), value.encode()) for name, value in (problem.headers or {}).items()]
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "websocket.http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
