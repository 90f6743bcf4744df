"""``hustlex doctor``: is this server fit to hold what it will be trusted with?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hustlex.cli.acl import ROOMS, rights
from hustlex.cli.checks import DoctorFinding, ServerFacts, apart, examine, judge
from hustlex.cli.run import named
from hustlex.cli.work import findings
from hustlex.core.printable import printable
from hustlex.drivers.blocking import Driver
from hustlex.errors import ConfigurationError
from hustlex.settings import load_settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    url: Annotated[str | None, typer.Option(help="State server; default HUSTLEX_URL")] = None,
    cache_url: Annotated[str | None, typer.Option(help="Cache server; default HUSTLEX_CACHE_URL")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table")] = False,
    acl: Annotated[bool, typer.Option("--acl", help="Print the rights an ACL user needs, and ask no server")] = False,
) -> None:
    """Check the servers: version, eviction, memory, persistence, clock, distance, rights, a cache of its own,
    and the jobs: periodic entries that cannot fire or were refused, queues and task types that no worker takes.

    Exit codes: 0 nothing failed (there may be warnings); 1 a check failed, or the server refused us; 2 bad
    settings; 3 a server is unreachable.
    Example: hustlex doctor --json | jq .unsafe_eviction
    """
    settings = load_settings(url=url, cache_url=cache_url)
    if acl:
        _print_rights(settings.prefix, as_json)
        return
    state, work = _facts(settings.url, "--url" if url else "HUSTLEX_URL", findings)
    source = "--cache-url" if cache_url else "HUSTLEX_CACHE_URL"
    cache = _facts(settings.cache_url, source)[0] if settings.cache_url else None
    found = [*judge("state", state), *work, *(judge("cache", cache) if cache else ()), apart(state, cache)]
    report(found, unsafe_eviction=state.memory.evicts, as_json=as_json)
    if any(finding.level == "fail" for finding in found):
        raise typer.Exit(1)


def _facts(
    url: str, source: str, also: Callable[[Driver], list[DoctorFinding]] = lambda _: []
) -> tuple[ServerFacts, list[DoctorFinding]]:
    try:
        driver = Driver(url)
    except ConfigurationError as error:
        raise named(source, error) from None
    with driver:
        return examine(driver), also(driver)


def report(findings: list[DoctorFinding], *, unsafe_eviction: bool, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        shown: dict[str, Any] = {
            "ok": all(finding.level != "fail" for finding in findings),
            "unsafe_eviction": unsafe_eviction,
            "findings": [msgspec.to_builtins(finding) for finding in findings],
        }
        print(json.dumps(shown))
        return
    table = Table("server", "check", "", "what", "what to do", box=None, pad_edge=False)
    for finding in findings:
        level = f"[{_COLOURS[finding.level]}]{finding.level}[/]"
        table.add_row(finding.role, finding.check, level, escape(printable(finding.detail)), escape(finding.hint))
    Console().print(table)


def _print_rights(prefix: str, as_json: bool) -> None:
    wanted = {room: rights((room,), prefix) for room in ROOMS} | {"all": rights(ROOMS, prefix)}
    if as_json:
        print(json.dumps({room: each.rules() for room, each in wanted.items()}))
        return
    print("# Redis 7.0 does not know client|setinfo: leave it out there.", file=sys.stderr)
    for room, each in wanted.items():
        print(f"ACL SETUSER hustlex-{room} on >PASSWORD {' '.join(each.rules())}\n")
