"""``/redis``: is the server fit for what it holds, what fills it, who is there, and is what it holds safe?"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hustlex.dashboard.fills import seen, sees
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.diagnostics import (
    JOB_CHECKS,
    Checkup,
    ConnectedClients,
    KeyPattern,
    MemorySample,
    RoomMemory,
    ServerGlance,
    ServerSummary,
    SlowEntry,
)
from hustlex.diagnostics.contents import room_of
from hustlex.errors import Refused

_ORDER = ("fail", "unknown", "warn", "info", "ok")
_TABS = {"state": "State server", "cache": "Cache's server", "findings": "What the doctor finds"}


class NodeView(msgspec.Struct, frozen=True):
    """A server, or a node of a cluster."""

    name: str
    server: ServerSummary | None
    memory: MemorySample | None
    rooms: tuple[RoomMemory, ...]
    total: int
    """Of the rooms' memory."""
    large: list[KeyPattern]
    hot: list[KeyPattern] | None
    clients: ConnectedClients | None


async def redis(request: PageRequest) -> PageContent:
    """A single server whole; of several one at a time, or what the doctor finds, so that each page keeps its budget."""
    apart = request.hx.cache_driver is not request.hx.driver
    tabs = [tab for tab in _TABS if tab != "cache" or apart]
    show = request.word("show") if request.word("show") in tabs else "state"
    found = await request.hx.diagnostics.glance(role=show) if show != "findings" else None
    several = apart or found is None or found.nodes > 1
    checkup, refusal = await _checkup(request) if show == "findings" or not several else (None, "")
    values = {
        "tabs": [(tab, _TABS[tab]) for tab in tabs] if several else [],
        "show": show,
        "state": _state(checkup),
        "findings": sorted(checkup.findings, key=lambda each: _ORDER.index(each.level)) if checkup else [],
        "refusal": refusal,
        "unchecked": checkup.left_out if checkup else 0,
        "nodes": _nodes(request, found) if found else [],
        "left_out": found.nodes - len(found.servers) if found and found.servers else 0,
        "slow": [each for each in found.slow if sees(request.operator, _room(request, each))] if found else None,
        "refused": found.refused if found else (),
        "unseen": {each.part for each in found.refused} if found else set(),
    }
    return PageContent("redis", "Redis", values)


async def _checkup(request: PageRequest) -> tuple[Checkup | None, str]:
    """What the doctor finds, of jobs for whom sees them all; or why it cannot look."""
    try:
        checkup = await request.hx.diagnostics.check(brief=True)
    except Refused as error:
        return None, f"{error.message}. {error.hint}".rstrip(". ")
    if not (request.operator.sees_all_queues and request.operator.sees_room("jobs")):
        shown = tuple(found for found in checkup.findings if found.check not in JOB_CHECKS)
        checkup = msgspec.structs.replace(checkup, findings=shown)
    return checkup, ""


def _state(checkup: Checkup | None) -> str:
    if checkup is None:
        return ""
    return "ok" if checkup.clean else "warn" if checkup.ok else "fail"


def _nodes(request: PageRequest, found: ServerGlance) -> list[NodeView]:
    servers = {each.node: each for each in found.servers}
    samples = {each.node: each for each in found.memory}
    clients = {each.node: each for each in found.clients}
    names = servers | samples | clients
    return [_node(request, name, servers.get(name), samples.get(name), clients.get(name)) for name in names]


def _node(
    request: PageRequest,
    name: str,
    server: ServerSummary | None,
    memory: MemorySample | None,
    clients: ConnectedClients | None,
) -> NodeView:
    rooms = seen(request.operator, memory.rooms) if memory else ()
    large = _known(request, memory.large) if memory else []
    hot = _known(request, memory.hot) if memory and memory.hot is not None else None
    return NodeView(name, server, memory, rooms, sum(each.memory_bytes or 0 for each in rooms), large, hot, clients)


def _known(request: PageRequest, patterns: Iterable[KeyPattern]) -> list[KeyPattern]:
    return [each for each in patterns if sees(request.operator, each.room)]


def _room(request: PageRequest, slow: SlowEntry) -> str:
    """Whose call it was: of its script, or else of its key."""
    script = slow.command.script
    return script.partition(".")[0] if "." in script else room_of(slow.command.key, request.hx.prefix)
