"""``hustlex cache``: why is this entry as it is?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hustlex.cache import EntryState, Stats
from hustlex.cli.acts import acting
from hustlex.cli.client import CacheUrl, Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_done, print_fields, print_json

cache = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The cache's name, as user")]
Key = Annotated[list[str], typer.Argument(help="What follows it: one or several parts, as 42")]


@cache.callback()
def group() -> None:
    """Caches: look at an entry, drop it."""


@cache.command()
def get(
    name: Name, key: Key, url: Url = None, cache_url: CacheUrl = None, prefix: Prefix = None, as_json: AsJson = False
) -> None:
    """Age, life, lease, and why an entry is as it is; never its value.

    Example: hustlex cache get user 42
    """
    with opened(url, cache_url, prefix) as hx:
        state = hx.cache.inspector.entry(name, tuple(key))
    _print_entry(state, as_json)


@cache.command()
def why(
    key: Annotated[str, typer.Argument(help="Its name in Redis, as cache:user:42")],
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Why an entry is as it is: its age, its lease, and what has become of its tags; never its value.

    Example: hustlex cache why cache:user:42
    """
    with opened(url, cache_url, prefix) as hx:
        state = hx.cache.inspector.key(key)
    _print_entry(state, as_json)


def _print_entry(state: EntryState, as_json: bool) -> None:
    if as_json:
        print_json("cache.entry/1", fields_of(state))
    else:
        print_fields(fields_of(state))


@cache.command()
def stat(
    name: Name, url: Url = None, cache_url: CacheUrl = None, prefix: Prefix = None, as_json: AsJson = False
) -> None:
    """How many entries a cache has and what they take, and how all processes were served in the last hour.

    Example: hustlex cache stat user
    """
    with opened(url, cache_url, prefix) as hx:
        told = fields_of(hx.cache.inspector.size(name)) | _counted(hx.cache.inspector.fleet().get(name))
    if as_json:
        print_json("cache.stat/1", told)
    else:
        print_fields(told)


def _counted(stats: Stats | None) -> dict[str, Any]:
    """Of the last hour; None where nobody read."""
    if stats is None:
        return {"reads": 0, "hit_ratio": None, "stale_ratio": None, "computed": 0, "load_p99_ms": None}
    shown = {"reads": sum(stats.requests.values()), "hit_ratio": stats.hit_ratio, "stale_ratio": stats.stale_ratio}
    return shown | {"computed": stats.origin.get("ok", 0), "load_p99_ms": stats.load_ms(0.99)}


@cache.command()
def rm(
    name: Name, key: Key, url: Url = None, cache_url: CacheUrl = None, prefix: Prefix = None, as_json: AsJson = False
) -> None:
    """Invalidate an entry: no read that starts later gets a value computed before.

    Example: hustlex cache rm user 42
    """
    with opened(url, cache_url, prefix) as hx:
        there = hx.cache.inspector.entry(name, tuple(key)).kind != "absent"
        with acting(hx, "delete_entry", cache=name, key=":".join(key)):
            hx.cache.delete(name, tuple(key))
    print_done(there, "cache.rm/1", as_json=as_json)


@cache.command()
def invalidate(
    tag: Annotated[list[str], typer.Option(help="A tag, as org:7; may be given several times")],
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    soft: Annotated[bool, typer.Option(help="Stale instead of gone")] = False,
    as_json: AsJson = False,
) -> None:
    """Invalidate all entries with a tag, in all caches: no read that starts later gets a value computed before.

    Example: hustlex cache invalidate --tag org:7
    """
    with opened(url, cache_url, prefix) as hx, acting(hx, "invalidate_tag", tag=",".join(tag)):
        hx.cache.invalidate_tags(*tag, soft=soft)
    print_done(True, "cache.invalidate/1", as_json=as_json)
