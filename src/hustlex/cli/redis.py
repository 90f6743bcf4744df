"""``hustlex redis``: what the server does right now; never what users or applications put into it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from hustlex.cli.client import CacheUrl, Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_fields, print_json, print_table
from hustlex.diagnostics import CommandSample, SeenCommand, ServerSummary

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
    """Version, memory, keys, clients, commands a second, persistence, replicas; of each node of a cluster.

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
        elif name != "node" or value:
            yield name, value
