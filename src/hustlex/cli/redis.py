"""``hustlex redis``: what the server does right now; never what users or applications put into it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from hustlex.cli.client import CacheUrl, Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_fields, print_json, print_table, spoken
from hustlex.cli.plan import size
from hustlex.diagnostics import (
    ClientGroup,
    CommandSample,
    KeyPattern,
    MemorySample,
    Persistence,
    ReplicaState,
    SeenCommand,
    ServerSummary,
)

redis = typer.Typer(no_args_is_help=True)

OfCache = Annotated[bool, typer.Option("--cache", help="Ask the cache's server, not the state server")]
_HEADS = ("when", "command", "script", "key", "words", "bytes")


@redis.callback()
def group() -> None:
    """The server: its figures, slow calls, and a sample of its commands, without what they carry."""


@redis.command()
def info(
    cache: OfCache = False,
    url: Url = None,
    cache_url: CacheUrl = None,
    as_json: AsJson = False,
) -> None:
    """Version, memory, keys, clients, commands a second, files, replicas; of each node of a cluster.

    Example: hustlex redis info --json | jq '.items[].memory_bytes'
    """
    with opened(url, cache_url) as hx:
        found = hx.diagnostics.servers(role=_role(cache))
    if as_json:
        print_json("redis.info.list/1", {"items": found})
        return
    for number, each in enumerate(found):
        if number:
            print()
        print_fields(dict(_figures(each)))


@redis.command()
def memory(
    keys: Annotated[int, typer.Option(min=1, max=1_000, help="How many are looked at")] = 400,
    cache: OfCache = False,
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """What fills the server, by room, and the large and the hot keys as patterns: from keys that chance chooses.

    Where there are no more keys, it is exact. Which are hot is known by an LFU policy (maxmemory-policy) alone.
    Example: hustlex redis memory --keys 200
    """
    with opened(url, cache_url, prefix) as hx:
        found = hx.diagnostics.memory(keys, role=_role(cache))
    if as_json:
        print_json("redis.memory.list/1", {"items": found})
        return
    for each in found:
        _print_memory(each)


@redis.command()
def clients(
    cache: OfCache = False,
    url: Url = None,
    cache_url: CacheUrl = None,
    as_json: AsJson = False,
) -> None:
    """Who is connected, by the names of the connections: how many, who waits, and the longest idle.

    Needs the right +client|list.
    Example: hustlex redis clients
    """
    with opened(url, cache_url) as hx:
        found = hx.diagnostics.clients(role=_role(cache))
    if as_json:
        print_json("redis.clients.list/1", {"items": found})
        return
    rows = [(*_of_name(group), each.node) for each in found for group in each.groups]
    print_table(("name", "connections", "blocked", "longest idle", "memory", "node"), rows)
    left_out = sum(each.left_out for each in found)
    if left_out:
        print(f"\n{left_out:,} connections more, which are not listed")


@redis.command()
def slowlog(
    count: Annotated[int, typer.Option(min=1, max=1_000, help="How many entries")] = 20,
    cache: OfCache = False,
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """The newest calls that took long: command, script and the pattern of its first key, as otp:{*}:*.

    Needs the right +slowlog|get.
    Example: hustlex redis slowlog --count 5
    """
    with opened(url, cache_url, prefix) as hx:
        found = hx.diagnostics.slowlog(count, role=_role(cache))
    if as_json:
        print_json("redis.slowlog.list/1", {"items": found})
        return
    rows = [(each.at, each.took, *_words(each.command), each.client, each.node) for each in found]
    print_table(("when", "took", *_HEADS[1:], "client", "node"), rows)


@redis.command()
def monitor(
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="End after so many commands")] = 100,
    seconds: Annotated[float, typer.Option(min=0.001, max=60, help="End after this time")] = 1,
    cache: OfCache = False,
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """The commands that the server runs in the next moment, and how often each kind came. No keys, no values.

    While it looks, each command costs the server more: look briefly. Needs the right +monitor, which the
    application's user should not have.
    Example: hustlex redis monitor --sample 100 --seconds 0.5
    """
    with opened(url, cache_url, prefix) as hx:
        found = hx.diagnostics.monitor(sample, watch=timedelta(seconds=seconds), role=_role(cache))
    if as_json:
        counts = [{"command": n, "script": s, "key": k, "count": c} for (n, s, k), c in found.counts.items()]
        print_json("redis.monitor/1", {**fields_of(found), "counts": counts})
        return
    _print_sample(found)


def _print_sample(found: CommandSample) -> None:
    rows = [
        (f"{each.at:%H:%M:%S.%f}", *_words(each.command), "script" if each.by_script else "", each.node)
        for each in found.commands
    ]
    print_table((*_HEADS, "by", "node"), rows)
    print(f"\n{len(found.commands)} commands in up to {found.seconds:g} s")
    print_table(("times", *_HEADS[1:4]), [(count, *kind) for kind, count in found.counts.items()])


def _of_name(group: ClientGroup) -> tuple[Any, ...]:
    name, memory = group.name or "no name", size(group.memory_bytes)
    return name, group.connections, group.blocked, group.longest_idle, memory


def _print_memory(found: MemorySample) -> None:
    how = "all of them" if found.complete else f"from {found.looked:,} of them"
    print(f"{found.node}  {found.keys:,} keys, {how}".strip())
    rows = [
        (each.room, each.keys, _sized(each.memory_bytes), _sized(each.tolerance_bytes or None)) for each in found.rooms
    ]
    print_table(("room", "keys", "memory", "give or take"), rows)
    if found.large:
        print_table(("large", "keys", "largest"), _listed(found.large))
    if found.hot is None:
        print("which keys are hot is not counted: maxmemory-policy is no LFU")
    elif found.hot:
        print_table(("hot", "keys", "frequency"), [(each.pattern, each.keys, each.frequency) for each in found.hot])


def _listed(found: tuple[KeyPattern, ...]) -> list[tuple[str, int, str]]:
    return [(each.pattern, each.keys, _sized(each.memory_bytes)) for each in found]


def _sized(number: int | None) -> str:
    return "-" if number is None else size(number)


def _role(cache: bool) -> str:
    return "cache" if cache else "state"


def _words(command: SeenCommand) -> tuple[Any, ...]:
    return command.name, command.script, command.key, command.words, command.bytes


def _figures(server: ServerSummary) -> Iterator[tuple[str, Any]]:
    """For people: sizes in MiB, shares in percent."""
    for name, value in fields_of(server).items():
        if name.endswith("_bytes"):
            yield name.removesuffix("_bytes"), f"{value / 2**20:,.1f} MiB" if value else "none"
        elif name == "hit_share":
            yield "hits", f"{value:.0%}" if value is not None else "-"
        elif name == "persistence":
            yield from _files(value)
        elif name == "replication":
            yield from ((f"replica {each.node}", _words_of(each)) for each in value)
        elif name not in ("node", "source", "source_up") or (value is not None and value != ""):
            yield name, value


def _files(kept: Persistence) -> Iterator[tuple[str, Any]]:
    saved = f"{spoken(kept.saved_at)}, {kept.unsaved:,} changes ago"
    yield "snapshot", saved if kept.save_ok else f"the last one failed; {saved}"
    if kept.append_only:
        wrong = "" if kept.append_ok else ", its last write failed"
        yield "append only file", f"{size(kept.append_bytes)}{wrong}"
    yield "stood still to fork", kept.fork


def _words_of(replica: ReplicaState) -> str:
    silent = "" if replica.silent is None else f", silent for {spoken(replica.silent)}"
    return f"{replica.state}, {size(replica.behind_bytes)} behind{silent}"
