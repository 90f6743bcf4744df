"""``hustlex doctor``: is this server fit to hold what it will be trusted with?"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer

from hustlex.cli.client import CacheUrl, Prefix, Url, opened
from hustlex.cli.output import AsJson, print_json, print_table
from hustlex.cli.probe import judged, processes
from hustlex.core.printable import printable
from hustlex.diagnostics import ROOMS, Checkup, doctor_rights, rights
from hustlex.errors import Denied
from hustlex.settings import load_settings

_WARNED, _FAILED = 1, 2
"""Exit codes."""
_COLOURS = {"info": "blue", "ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "cyan"}


def doctor(
    url: Url = None,
    cache_url: CacheUrl = None,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings, and for what cannot be known")] = False,
    health: Annotated[
        list[str] | None,
        typer.Option(help="A process's /health, as http://127.0.0.1:8081/health; repeatable", callback=judged),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Watch the counters for --seconds, and look at a sample of the keys")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0, max=300, help="How long --deep watches")] = 5,
    keys: Annotated[int, typer.Option(min=0, max=100_000, help="How many keys --deep looks at")] = 10_000,
    prefix: Prefix = None,
    acl: Annotated[bool, typer.Option("--acl", help="Print the rights an ACL user needs, and ask no server")] = False,
) -> None:
    """Check the servers (each node of a cluster): version, memory, persistence, replicas, clients, rights, clock,
    speed, what they refused; the jobs: entries that cannot fire, tasks that nobody takes or that wait; and what running
    applications and workers say of themselves (--health).

    Exit codes: 0 nothing failed (there may be warnings); 1 with --strict: there are warnings, or something
    cannot be known; 2 a check failed, the server refused us, or bad settings; 3 a server is unreachable.
    Example: hustlex doctor --json | jq .unsafe_eviction
    """
    if acl:
        _print_rights(load_settings(url=url, cache_url=cache_url, prefix=prefix).prefix, as_json)
        return
    try:
        with opened(url, cache_url, prefix) as hx:
            found = hx.diagnostics.check(deep=deep, watch=timedelta(seconds=seconds), keys=keys)
    except Denied as error:
        print(f"hustlex: {printable(str(error))}", file=sys.stderr)
        raise typer.Exit(_FAILED) from None
    found = Checkup((*found.findings, *processes(health or [])), found.unsafe_eviction)
    report(found, as_json=as_json)
    if not found.ok:
        raise typer.Exit(_FAILED)
    if strict and not found.clean:
        raise typer.Exit(_WARNED)


def report(found: Checkup, *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        answer = {"ok": found.ok, "unsafe_eviction": found.unsafe_eviction, "findings": found.findings}
        print_json("doctor/1", answer)
        return
    rows = [
        (f"{each.role} {each.node}".strip(), each.check, each.level, each.detail, each.hint or " ")
        for each in found.findings
    ]
    print_table(("server", "check", "", "what", "what to do"), rows, _COLOURS, wrap=True)


def _print_rights(prefix: str, as_json: bool) -> None:
    wanted = {room: rights((room,), prefix) for room in ROOMS}
    wanted |= {"all": rights(ROOMS, prefix), "doctor": doctor_rights(prefix)}
    if as_json:
        print_json("doctor.rights/1", {"rules": {room: each.rules() for room, each in wanted.items()}})
        return
    print("# Redis 7.0 does not know client|setinfo and waitaof: leave them out there.", file=sys.stderr)
    for room, each in wanted.items():
        print(f"ACL SETUSER hustlex-{room} on >PASSWORD {' '.join(each.rules())}\n")
