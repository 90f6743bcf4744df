"""Who is connected to a server, by the names that connections have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Flow, do
from hustlex.core.printable import printable
from hustlex.diagnostics import asks

MOST_LISTED = 2_000
"""Connections from which on their list, some 400 bytes for each, is not asked for."""
_LISTED = 50
_LONGEST = 64


class ClientGroup(msgspec.Struct, frozen=True):
    """Connections of one name."""

    name: str
    """As "hustlex"; of one that has none its library's, or ""."""
    connections: int
    """How many there are."""
    blocked: int
    """Of them, those that wait for something."""
    longest_idle: timedelta
    """Since one of them said something the last time."""
    memory_bytes: int
    """What the server keeps for them."""


class ConnectedClients(msgspec.Struct, frozen=True):
    """Who is connected to a server."""

    node: str
    """Of a cluster: its address."""
    connections: int
    """All of them."""
    groups: tuple[ClientGroup, ...]
    """By name, the most numerous first, 50 at most; none where there are more than 2,000 connections."""
    left_out: int
    """Connections that stand in no group."""


def of_node(at: str, node: str) -> Flow[ConnectedClients]:
    """Ask a server. Raises Denied."""
    info = yield from do(asks.ask(at, lambda reply: fields_of(bytes(reply)), "INFO", "clients"))
    return grouped(node, (yield from do(asks.clients(at)))) if few(info) else crowd(node, info)


def few(info: Mapping[str, str]) -> bool:
    """Whether their list is asked for."""
    return _number(info, "connected_clients") <= MOST_LISTED


def crowd(node: str, info: Mapping[str, str]) -> ConnectedClients:
    """Too many to be listed."""
    number = _number(info, "connected_clients")
    return ConnectedClients(node, number, (), number)


def grouped(node: str, clients: list[dict[str, str]]) -> ConnectedClients:
    """By name."""
    found = defaultdict[str, list[dict[str, str]]](list)
    for each in clients:
        found[printable(each.get("name") or each.get("lib-name", ""))[:_LONGEST]].append(each)
    groups = sorted((_group(name, each) for name, each in found.items()), key=lambda group: -group.connections)
    shown = tuple(groups[:_LISTED])
    return ConnectedClients(node, len(clients), shown, len(clients) - sum(each.connections for each in shown))


def _group(name: str, clients: list[dict[str, str]]) -> ClientGroup:
    blocked = sum("b" in each.get("flags", "") for each in clients)
    idle = max(_number(each, "idle") for each in clients)
    return ClientGroup(
        name, len(clients), blocked, timedelta(seconds=idle), sum(_number(each, "tot-mem") for each in clients)
    )


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text.isdecimal() else 0
