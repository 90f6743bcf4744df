"""What one request is charged: limits of several places add up, and a refusal gives back what the others took."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import msgspec

from hustlex.errors import Error
from hustlex.ratelimit import Decision, Policy, RateLimit
from hustlex.web.routing import OUTERMOST, every_route

Policies = tuple[Policy, ...]
Scope = MutableMapping[str, Any]
KEY = "hustlex.charges"
_MOST_KNOWN = 10_000


class RouteLimit(msgspec.Struct, frozen=True, eq=False):
    """One ``RateLimit`` of routes. endpoint: "" means the route's template."""

    policies: Policies
    key: Callable[..., Any]
    endpoint: str
    cost: int
    tier: str
    show: bool

    def label(self, template: str) -> str:
        """What its calls are counted under, while no other limit is there."""
        return self.endpoint or template

    def joins(self, other: RouteLimit) -> bool:
        """Whether both can be asked about in one step."""
        return (self.key, self.cost, self.tier, self.show) == (other.key, other.cost, other.tier, other.show)


class Charges(msgspec.Struct, eq=False):
    """Of one request. seen: who was asked about where, by which policies, and the answer. paid: to be given back.
    judged: the answers by the id of the route's limit."""

    seen: dict[tuple[str, str], tuple[Policies, Decision]] = {}
    paid: list[tuple[RateLimit, Decision]] = []
    judged: dict[int, Decision] = {}

    def place(self, identity: str, endpoint: str, policies: Policies) -> str:
        """The endpoint, named apart when other policies have counted there for this request."""
        before = self.seen.get((identity, endpoint))
        return endpoint if before is None or before[0] == policies else apart(endpoint, policies)

    def known(self, identity: str, endpoint: str, policies: Policies) -> Decision | None:
        """The answer to the same question of before: nobody is charged twice for one request by one limit."""
        before = self.seen.get((identity, endpoint))
        return before[1] if before is not None and before[0] == policies else None

    def note(self, identity: str, endpoint: str, policies: Policies, decision: Decision) -> None:
        """Keep an answer."""
        self.seen[identity, endpoint] = (policies, decision)

    async def give_back(self) -> None:
        """A limit has refused: what the others took is given back, best effort; the rest ends with its window."""
        while self.paid:
            room, decision = self.paid.pop()
            with contextlib.suppress(Error):
                await room.refund(decision)


class OnlyCharge(msgspec.Struct, gc=False):
    """Of a request that one limit has charged. Nearly all end as such: what Charges holds is made for the others."""

    room: RateLimit
    limit: RouteLimit
    identity: str
    endpoint: str
    decision: Decision

    def opened(self) -> Charges:
        """For what is behind that limit."""
        seen = {(self.identity, self.endpoint): (self.limit.policies, self.decision)}
        return Charges(seen, [(self.room, self.decision)], {id(self.limit): self.decision})


def charges_of(scope: Scope) -> Charges:
    """The request's, one for all middlewares and dependencies."""
    found: Charges | OnlyCharge | None = scope.get(KEY)
    if not isinstance(found, Charges):
        found = scope[KEY] = Charges() if found is None else found.opened()
    return found


def apart(endpoint: str, policies: Policies) -> str:
    """An endpoint of these policies' own."""
    return f"{endpoint}#{'+'.join(policy.name for policy in policies)}"


class Labels:
    """Under which endpoint each limit of an application counts. Worked out from all its routes, so that it is the same
    whatever request comes first, in each process."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._known: dict[tuple[str, Any], list[Policies]] = {}
        self._strays: set[tuple[str, Any, Policies]] = set()
        self._alone: dict[tuple[int, int], tuple[Any, str]] = {}

    def alone(self, limit: RouteLimit, route: Any) -> str:
        """The limit's endpoint at this route, if no other limit there is asked about in the same step, and no browser
        asks there what it may ask; "" else."""
        known = self._alone.get((id(limit), id(route)))
        if known is not None and known[0] is route:
            return known[1]
        joined = any(other is not limit and limit.joins(other) for _, other in limits_at(route))
        asked = "OPTIONS" in (getattr(route, "methods", None) or ())
        label = "" if joined or asked else self.of(limit, route.path)
        if len(self._alone) >= _MOST_KNOWN:
            self._alone.clear()
        self._alone[id(limit), id(route)] = route, label
        return label

    def of(self, limit: RouteLimit, template: str) -> str:
        """The limit's endpoint at the route of this template."""
        label = limit.label(template)
        there = self._there(label, limit)
        if there == [limit.policies]:
            return label
        alike = sum(apart(label, each) == apart(label, limit.policies) for each in there)
        # Two policies of one name: told apart by what they say.
        more = f"~{zlib.crc32(repr(limit.policies).encode()):08x}" if alike > 1 else ""
        return apart(label, limit.policies) + more

    def _there(self, label: str, limit: RouteLimit) -> list[Policies]:
        """What counts the same callers under this label. Empty for a limit behind a wall: it counts apart."""
        there, stray = self._known.get((label, limit.key), []), (label, limit.key, limit.policies)
        if limit.policies in there or stray in self._strays:
            return there
        self._read()
        there = self._known.get((label, limit.key), [])
        if limit.policies not in there:
            self._strays.add(stray)
        return there

    def _read(self) -> None:
        known: dict[tuple[str, Any], list[Policies]] = {}
        for template, route in every_route(self._app):
            for _, limit in limits_at(route):
                there = known.setdefault((limit.label(template), limit.key), [])
                if limit.policies not in there:
                    there.append(limit.policies)
        self._known = known
        self._alone.clear()


def labels_of(scope: Scope) -> Labels:
    """Those of the application that a request came to."""
    app = scope.get(OUTERMOST) or scope["app"]
    found = getattr(app.state, "hustlex_limits", None)
    if not isinstance(found, Labels):
        found = app.state.hustlex_limits = Labels(app)
    return found


def calls_at(route: Any) -> Iterator[Any]:
    """The dependencies of a route, those of dependencies too."""
    dependant = getattr(route, "dependant", None)
    if dependant is not None:
        yield from _calls(dependant)


def limits_at(route: Any) -> Iterator[tuple[Any, RouteLimit]]:
    """The limits of a route and their dependencies, in the order in which they are asked."""
    for call in calls_at(route):
        limit = getattr(call, "hustlex_limit", None)
        if isinstance(limit, RouteLimit):
            yield call, limit


def _calls(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
