"""What servers and jobs say of themselves: asked in a few round trips, and changed by none of them."""

from __future__ import annotations

import time

import msgspec

from hustlex.core.link import ServerLink
from hustlex.core.memory import MemoryLimit, ask
from hustlex.core.memory.facts import memory_of
from hustlex.core.op import Flow, Sleep, do
from hustlex.diagnostics import asks, places
from hustlex.diagnostics.aside import aside
from hustlex.diagnostics.asks import LatencyEvent, SlowCall, UserRules
from hustlex.diagnostics.keyscan import KeyFacts, scan
from hustlex.diagnostics.nodes import ClusterNode
from hustlex.diagnostics.places import LocalFacts
from hustlex.diagnostics.rights import ROOMS, rights
from hustlex.errors import Refused

_PINGS = 100
_FEW_PINGS = 3
_PINGS_S = 1.0
_SLOW_CALLS = 50


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself. None in a field: the user may not ask for that, or nobody asked."""

    info: dict[str, str]
    """The fields of INFO; none when the user may not ask for it."""
    memory: MemoryLimit
    """How much it may hold, and what it does then."""
    user: str
    """Whose rights we have; "" when that may not be asked."""
    skew_ms: int
    """Its clock minus ours."""
    round_trip_ms: float
    """How long a call takes: the median of up to 100."""
    slowest_ms: float = 0.0
    """How long one in a hundred takes at least."""
    node: str = ""
    """Its address, of a cluster's."""
    settings: dict[str, str] | None = None
    """Some of its configuration."""
    slow: list[SlowCall] | None = None
    """The newest entries of its slow log."""
    latency: list[LatencyEvent] | None = None
    """What its latency monitor saw."""
    clients: list[dict[str, str]] | None = None
    """Its connections."""
    rules: UserRules | None = None
    """Of our user."""
    open_default: bool | None = None
    """Whether anybody may come in without a password."""
    missing: list[str] | None = None
    """Commands of ours that the user may not run."""
    absent: dict[str, str] | None = None
    """Commands that the server lacks, and what is off because of that."""
    link: ServerLink | None = None
    """How we reach it."""
    private: bool | None = None
    """Whether its address is in a network of ours; None for a socket."""
    certificate_days: float | None = None
    """How long its certificate is good."""
    local: LocalFacts | None = None
    """What this machine tells, when the server runs here."""
    later: dict[str, str] | None = None
    """INFO once more, after ``watched_s``; of a deep check alone."""
    watched_s: float = 0.0
    """Seconds between the two."""
    keys: KeyFacts | None = None
    """A sample of its keys; of a deep check alone."""


class DeepCheck(msgspec.Struct, frozen=True):
    """watch_s: how long the counters are watched. keys: how many are looked at on each server. prefix: of our keys."""

    watch_s: float
    keys: int
    prefix: str


def of_server(
    node: ClusterNode | None = None,
    link: ServerLink | None = None,
    deep: DeepCheck | None = None,
    *,
    brief: bool = False,
) -> Flow[ServerFacts]:
    """Ask a server, or this node of a cluster; brief: in 13 commands. Raises Unavailable, and Denied for a wrong
    password."""
    at = node.key if node is not None else ""
    median_ms, slowest_ms = yield from _pings(at, _FEW_PINGS if brief else _PINGS)
    facts = yield from _known(at, node, link, whole=not brief)
    skew_ms = facts.skew_ms if brief else (yield from _skew(at))
    slow, latency, clients = yield from asks.together(asks.slow(at, _SLOW_CALLS), asks.latency(at), asks.clients(at))
    found = {"round_trip_ms": median_ms, "slowest_ms": slowest_ms, "skew_ms": skew_ms}
    facts = msgspec.structs.replace(facts, slow=slow, latency=latency, clients=clients, **found)
    facts = yield from _around(facts, node)
    return (yield from _deeper(facts, at, deep)) if deep is not None else facts


def at_start(node: ClusterNode | None = None, link: ServerLink | None = None) -> Flow[ServerFacts]:
    """What matters when a process starts."""
    facts = yield from _known(node.key if node is not None else "", node, link)
    return (yield from _around(facts, node))


def _known(at: str, node: ClusterNode | None, link: ServerLink | None, *, whole: bool = True) -> Flow[ServerFacts]:
    """In one round trip, and one or two for the rights. whole: a call for each command that a room needs, too."""
    before = time.time()
    info, server_ms, settings, name, absent = yield from asks.together(
        asks.info(at), asks.server_ms(at), asks.settings(at), asks.whoami(at), asks.absent(at)
    )
    after = time.time()
    user = name or ""
    users = asks.user(at, user or "default"), asks.user(at, "default")
    arities = (asks.arities(at, rights(ROOMS).commands),) if whole else ()
    rules, default, *known = yield from asks.together(*users, *arities)
    return ServerFacts(
        info=info or {},
        memory=(memory_of(info or {}) or (yield from _memory(at))),
        user=user,
        skew_ms=round(server_ms - (before + after) * 500) if server_ms else 0,
        round_trip_ms=(after - before) * 1000,
        node=node.name if node is not None else "",
        settings=settings,
        rules=rules if user else None,
        open_default=default.open if default is not None else None,
        missing=(yield from _missing(at, rules if user else None, known[0] if known else None)),
        absent=absent,
        link=link,
    )


def _pings(at: str, most: int) -> Flow[tuple[float, float]]:
    times: list[float] = []
    end = time.perf_counter() + _PINGS_S
    while len(times) < most and (not times or time.perf_counter() < end):
        before = time.perf_counter()
        yield from do(asks.ask(at, bool, "PING"))
        times.append((time.perf_counter() - before) * 1000)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def _skew(at: str) -> Flow[int]:
    before = time.time()
    server_ms = yield from do(asks.server_ms(at))
    return round(server_ms - (before + time.time()) * 500)


def _memory(at: str) -> Flow[MemoryLimit]:
    try:
        return (yield from ask(at))
    except Refused:
        return MemoryLimit(1, "")


def _missing(at: str, rules: UserRules | None, known: dict[str, int] | None) -> Flow[list[str] | None]:
    if rules is not None and rules.unlimited:
        return []
    return None if rules is None or known is None else (yield from asks.missing(at, rules.name, known))


def _around(facts: ServerFacts, node: ClusterNode | None) -> Flow[ServerFacts]:
    """What no server says: the address, the certificate, the machine."""
    link = facts.link
    if link is None:
        return facts
    host, port = (node.host, node.port) if node is not None else (link.host, link.port)
    directory = (facts.settings or {}).get("dir", "")
    ends = (yield from aside(lambda: places.certificate_ends(link, host, port))) if link.tls and host else None
    return msgspec.structs.replace(
        facts,
        private=(yield from aside(lambda: places.private(host))) if host else None,
        certificate_days=places.days_left(ends),
        local=places.look(link, facts.info, directory),
    )


def _deeper(facts: ServerFacts, at: str, deep: DeepCheck) -> Flow[ServerFacts]:
    begun = time.perf_counter()
    (before,) = yield from asks.together(asks.info(at))
    keys = yield from scan(at, deep.prefix, deep.keys, facts.memory)
    yield Sleep(max(0.0, deep.watch_s - (time.perf_counter() - begun)))
    (later,) = yield from asks.together(asks.info(at))
    watched_s = time.perf_counter() - begun
    return msgspec.structs.replace(facts, info=before or facts.info, later=later, watched_s=watched_s, keys=keys)
