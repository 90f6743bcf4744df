"""``hustlex doctor``: is this server fit to hold what it will be trusted with?"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hustlex.cli.client import CacheUrl, Url, opened
from hustlex.cli.output import AsJson, print_json, print_table
from hustlex.cli.probe import judged, processes
from hustlex.core.printable import printable
from hustlex.diagnostics import ROOMS, Checkup, rights
from hustlex.errors import Denied
from hustlex.settings import load_settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "cyan"}


def doctor(
    url: Url = None,
    cache_url: CacheUrl = None,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings, and for what cannot be known")] = False,
    health: Annotated[
        list[str] | None,
        typer.Option(help="A process's /health, as http://127.0.0.1:8081/health; repeatable", callback=judged),
    ] = None,
    acl: Annotated[bool, typer.Option("--acl", help="Print the rights an ACL user needs, and ask no server")] = False,
) -> None:
    """Check the servers: version, eviction, memory, persistence, clients, clock, distance, rights, a cache of its own,
    the jobs: periodic entries that cannot fire or were refused, queues and task types that no worker takes, and what
    running applications and workers say of themselves (--health).

    Exit codes: 0 nothing failed (there may be warnings, but with --strict); 1 a check failed, or the server refused
    us; 2 bad settings; 3 a server is unreachable.
    Example: hustlex doctor --json | jq .unsafe_eviction
    """
    if acl:
        _print_rights(load_settings(url=url, cache_url=cache_url).prefix, as_json)
        return
    try:
        with opened(url, cache_url) as hx:
            found = hx.diagnostics.check()
    except Denied as error:
        print(f"hustlex: {printable(str(error))}", file=sys.stderr)
        raise typer.Exit(1) from None
    found = Checkup((*found.findings, *processes(health or [])), found.unsafe_eviction)
    report(found, as_json=as_json)
    if not (found.clean if strict else found.ok):
        raise typer.Exit(1)


def report(found: Checkup, *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        answer = {"ok": found.ok, "unsafe_eviction": found.unsafe_eviction, "findings": found.findings}
        print_json("doctor/1", answer)
        return
    rows = [(each.role, each.check, each.level, each.detail, each.hint or " ") for each in found.findings]
    print_table(("server", "check", "", "what", "what to do"), rows, _COLOURS)


def _print_rights(prefix: str, as_json: bool) -> None:
    wanted = {room: rights((room,), prefix) for room in ROOMS} | {"all": rights(ROOMS, prefix)}
    if as_json:
        print_json("doctor.rights/1", {"rules": {room: each.rules() for room, each in wanted.items()}})
        return
    print("# Redis 7.0 does not know client|setinfo: leave it out there.", file=sys.stderr)
    for room, each in wanted.items():
        print(f"ACL SETUSER hustlex-{room} on >PASSWORD {' '.join(each.rules())}\n")
