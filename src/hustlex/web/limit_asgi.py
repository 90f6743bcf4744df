"""Rate limits for any ASGI application: rules by method and path, and sockets by connect, number and messages."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import AsyncExitStack
from datetime import timedelta
from inspect import isawaitable
from typing import Any

import msgspec

from hustlex.errors import ConfigurationError, Error, Misuse
from hustlex.problems import Legacy, Shown, fields, refusal
from hustlex.ratelimit import Decision, Policy, RateLimit, Rule, Rulebook, Source, parse_rule
from hustlex.ratelimit.desk import guard
from hustlex.ratelimit.plan import Plan
from hustlex.web.limits import address_of
from hustlex.web.problem import MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Scope, str], str | Awaitable[str | None] | None]
"""Who is behind a request, asked for "user" and "key": a reference that may stand in key names; None: nobody, so the
rule does not apply (limit those by ip)."""

_log = logging.getLogger("hustlex.web")
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013


class _Spot(msgspec.Struct, frozen=True):
    """Policies of the same callers at the same place, judged together. rule: the first of them."""

    rule: Rule
    policies: tuple[Policy, ...]

    @property
    def held(self) -> bool:
        """Whether a place is taken for as long as the request or the socket lasts. Of all policies, or of none."""
        return self.rule.policy.algorithm == "leases"


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
    """``app = RateLimitMiddleware(app, hx.ratelimit, ["100/minute per ip", "5/minute per user on POST /pay"])``.

    limits: the room. rules: lines, Rules, or a Rulebook, which may be reloaded meanwhile. All rules that cover a
    request are charged, or none. identify: see Identify; needed for rules per user or key. sockets: of WebSockets,
    None: unlimited. legacy: older header fields too. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: App,
        limits: RateLimit,
        rules: Iterable[str | Rule] | Rulebook,
        *,
        identify: Identify | None = None,
        sockets: SocketLimits | None = None,
        legacy: Legacy | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._rules = rules if isinstance(rules, Rulebook) else tuple(map(_parsed, rules))
        self._identify = identify
        self._sockets = _Sockets(sockets) if sockets else None
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
        every = (*rules, *(self._sockets.rules if self._sockets else ()))
        if self._identify is None and any(rule.who in ("user", "key") for rule in every):
            raise ConfigurationError("a rule per user or key needs identify=...", hint="or limit per ip")
        return _spots(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and self._sockets is not None:
            await self._socket(scope, receive, send, self._sockets)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        paths = _paths(scope)
        spots = [spot for spot in self._spots_now() if any(spot.rule.fits(scope["method"], path) for path in paths)]
        async with AsyncExitStack() as places:
            # Places first: they are given back when a rate refuses, whereas what a rate charged is gone.
            decisions = await self._take(scope, [spot for spot in spots if spot.held], places)
            if all(decisions):
                judged = await self._judge(scope, [spot for spot in spots if not spot.held])
                decisions += [judged] if judged is not None else []
            await self._answer(scope, receive, send, decisions)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, decisions: list[Decision]) -> None:
        """The application's answer, or a refusal by the last decision; with what is to be told of the limits."""
        shown = fields([Shown(decision) for decision in decisions], self._legacy)

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] // 100 != 3:
                extra = [(name.lower().encode(), value.encode()) for name, value in shown]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        if all(decisions):
            await self._app(scope, receive, send_with_fields if shown else send)
        else:
            await Problem.of(refusal(decisions[-1])).response()(scope, receive, send_with_fields)

    async def _take(self, scope: Scope, spots: Iterable[_Spot], places: AsyncExitStack) -> list[Decision]:
        """A place of each of these, until one refuses; kept until ``places`` is left."""
        taken: list[Decision] = []
        for spot in spots:
            who = await self._who(scope, spot.rule)
            if who is not None:
                holding = self._limits.hold(spot.policies, who, endpoint=spot.rule.endpoint)
                taken.append((await places.enter_async_context(holding)).decision)
                if not taken[-1]:
                    break
        return taken

    async def _judge(self, scope: Scope, spots: Iterable[_Spot]) -> Decision | None:
        """All or none of these; None: none applies."""
        due: list[tuple[tuple[Policy, ...], str, str]] = []
        for spot in spots:
            who = await self._who(scope, spot.rule)
            if who is not None:
                due.append((spot.policies, who, spot.rule.endpoint))
        if len(due) == 1:
            policies, who, endpoint = due[0]
            return await self._limits.check(policies, who, endpoint=endpoint)
        return await self._limits.check_all(due) if due else None

    async def _who(self, scope: Scope, rule: Rule) -> str | None:
        if rule.who == "global":
            return "global"
        if rule.who == "ip":
            return address_of(scope["client"][0] if scope.get("client") else "local")
        if self._identify is None:
            raise ConfigurationError("a rule per user or key needs identify=...", hint="or limit per ip")
        found = self._identify(scope, rule.who)
        return await found if isawaitable(found) else found

    # -- sockets

    async def _socket(self, scope: Scope, receive: Receive, send: Send, limits: _Sockets) -> None:
        refused = await self._judge(scope, limits.connect)
        if refused is not None and not refused:
            await _turn_away(scope, receive, send, refused)
            return
        async with AsyncExitStack() as places:
            taken = await self._take(scope, limits.held, places)
            if not all(taken):
                await _turn_away(scope, receive, send, taken[-1])
                return
            await self._app(scope, self._guarded(scope, receive, send, limits), send)

    def _guarded(self, scope: Scope, receive: Receive, send: Send, limits: _Sockets) -> Receive:
        """A ``receive`` that lets through what the messages' limit allows."""
        strikes = 0

        async def receive_allowed() -> Message:
            nonlocal strikes
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                decision = await self._judge(scope, limits.messages)
                if decision is None or decision.allowed:
                    return message
                strikes += 1
                closed = decision.source is Source.FAIL_CLOSED
                if closed or strikes > limits.strikes:
                    code = _TRY_AGAIN_LATER if closed else _POLICY_VIOLATION
                    await send({"type": "websocket.close", "code": code, "reason": "too many messages"})
                    return {"type": "websocket.disconnect", "code": code}
                await send({"type": "websocket.send", "text": json.dumps(refusal(decision).body())})

        return receive_allowed


class _Sockets:
    """SocketLimits, parsed. Messages are counted in advance where the policy can: a socket is a hot key."""

    def __init__(self, limits: SocketLimits) -> None:
        self.rules: tuple[Rule, ...] = ()
        self.connect = self._read(limits.connect, "sockets-connect")
        self.held = self._read(limits.held, "sockets-held")
        self.messages = self._read(limits.messages, "sockets-messages", prefetch=timedelta(milliseconds=250))
        self.strikes = limits.strikes
        if not all(spot.held for spot in self.held):
            raise ConfigurationError("held is a rule like '5 at once per user'")

    def _read(self, line: str, name: str, **more: Any) -> list[_Spot]:
        if not line:
            return []
        rule = parse_rule(line, name=name, **more)
        rule = msgspec.structs.replace(rule, path=rule.path or f"/{name}")
        self.rules = (*self.rules, rule)
        return [_Spot(rule, (rule.policy,))]


def _paths(scope: Scope) -> set[str]:
    """The path as it came, and as the application's routes see it where it is mounted: a limit holds for both."""
    whole, root = scope["path"], scope.get("root_path", "").rstrip("/")
    inside = whole.removeprefix(root) if whole.startswith(f"{root}/") else whole
    return {whole, inside}


def _spots(rules: Iterable[Rule]) -> list[_Spot]:
    """Raises ConfigurationError for rules that can never be judged: at start-up rather than by each request."""
    found: dict[tuple[str, str, bool], _Spot] = {}
    for rule in rules:
        place = (rule.who, rule.endpoint, rule.policy.algorithm == "leases")
        before = found.get(place)
        found[place] = _Spot(before.rule, (*before.policies, rule.policy)) if before else _Spot(rule, (rule.policy,))
    for spot in found.values():
        guard(spot.policies, spot.rule.endpoint)
        try:
            Plan(spot.policies)
        except Misuse as error:
            raise ConfigurationError(f"rules {spot.rule.who} on {spot.rule.endpoint}: {error.message}") from None
    return list(found.values())


def _parsed(rule: str | Rule) -> Rule:
    return parse_rule(rule) if isinstance(rule, str) else rule


async def _turn_away(scope: Scope, receive: Receive, send: Send, decision: Decision) -> None:
    """Before the upgrade: an HTTP answer where the server can send one, else a close (which it answers with 403)."""
    problem = Problem.of(refusal(decision))
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    body = json.dumps(problem.body()).encode()
    extra = [(name.lower().encode(), value.encode()) for name, value in (problem.headers or {}).items()]
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "websocket.http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
