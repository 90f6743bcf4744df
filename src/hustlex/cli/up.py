"""``hustlex up``: a whole backend on this machine, for development: server, API, worker, scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from hustlex.cli.backend import Parts, load_app, parts_of
from hustlex.cli.ports import check_free
from hustlex.cli.processes import Processes, cores
from hustlex.cli.serving import has_pages
from hustlex.cli.sources import Sources
from hustlex.cli.supervisor import Child, Supervisor, program
from hustlex.core import private
from hustlex.core.extras import installed, require
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from hustlex.drivers.ports import free_port
from hustlex.errors import ConfigurationError
from hustlex.settings import Settings, load_settings

_SECRET_NAME = "secret"  # noqa: S105 - a file name
_MARKS = frozenset({_SECRET_NAME, "server", "cluster"})
_STOP_SECONDS = 15.0
_CONSOLE_PORT = 8100


def up(
    module: Annotated[
        list[str], typer.Argument(help="Modules that define `app`, `tasks` or both, as examples.gigs, or MODULE:NAME")
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="The API's port")] = 8000,
    redis_port: Annotated[int, typer.Option(min=0, max=65535, help="The server's port; 0: a free one")] = 0,
    cluster: Annotated[bool, typer.Option("--cluster", help="Six servers that form a cluster, instead of one")] = False,
    data: Annotated[Path, typer.Option(help="Where everything is kept between runs")] = Path(".hustlex"),
    processes: Processes = None,
    console: Annotated[
        bool | None, typer.Option("--console/--no-console", help="The web console; default: where it is installed")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when a source file here changes")] = False,
) -> None:
    """Start server, API, worker and scheduler of MODULE; restart what dies; Ctrl-C stops all, nothing is lost.

    A module without `app` gets no API, one without `tasks` neither worker nor scheduler.
    Example: hustlex up examples.gigs
    """
    settings = load_settings(processes=processes)
    parts = parts_of(module)
    if parts.app:
        require("an API", "web", "uvicorn", "fastapi")
        check_free("127.0.0.1", port)
    if console:
        require("a console", "dashboard", "jinja2", "starlette", "uvicorn")
    shown = console if console is not None else installed("jinja2", "starlette", "uvicorn")
    console_port = free_port(_CONSOLE_PORT) if shown else 0
    if cluster and redis_port:
        raise ConfigurationError("--redis-port names one port, and a cluster needs six", hint="leave it out")
    private.directory(data, _MARKS)
    _ready_to_print()
    server = _cluster(data) if cluster else EmbeddedServer(data / "server", port=redis_port, append_only=True)
    with server:
        # By the socket: while the server is down, anybody on this machine may take its port and wait for passwords.
        environment = {
            "HUSTLEX_URL": server.url if isinstance(server, EmbeddedCluster) else server.socket_url,
            "HUSTLEX_SECRET": _secret(data),
            "HUSTLEX_DATA": str(data.resolve()),
        }
        changed = Sources(Path.cwd()).changed if reload else None
        supervisor = Supervisor(server, _children(parts, port, console_port, settings), environment, changed)
        print(f"{', '.join(module)} {'is' if len(module) == 1 else 'are'} starting")
        _announce(parts, port, console_port, server, data, settings)
        failed = asyncio.run(supervisor.run())
    print("stopped; everything is kept in", data)
    raise typer.Exit(1 if failed else 0)


def _children(parts: Parts, port: int, console_port: int, settings: Settings) -> list[Child]:
    """In the order of their start; they are stopped in the same order: first no new requests, then no new jobs."""
    hustlex = program()
    children = []
    if console_port:
        serve = [*hustlex, "dashboard", "--port", str(console_port), "--title", parts.app or parts.tasks[0]]
        children.append(Child("console", serve, ready_port=console_port))
    if parts.app:
        children.append(Child("api", [*hustlex, "api", parts.app, "--port", str(port)], ready_port=port))
    if parts.tasks:
        grace = _STOP_SECONDS + settings.shutdown_timeout_s
        worker = [*hustlex, "worker", *parts.tasks, "--processes", "1"]
        children.append(Child("scheduler", [*hustlex, "scheduler", *parts.tasks], stage=1))
        count = cores(settings.processes)
        names = ["worker"] if count == 1 else [f"worker {number}" for number in range(1, count + 1)]
        children += [Child(name, worker, stage=2, stop_seconds=grace) for name in names]
    return children


def _cluster(data: Path) -> EmbeddedCluster:
    return EmbeddedCluster(data / "cluster", append_only=True)


def _announce(
    parts: Parts, port: int, console_port: int, server: EmbeddedServer | EmbeddedCluster, data: Path, settings: Settings
) -> None:
    if isinstance(server, EmbeddedCluster):
        ports = ", ".join(str(node.port) for node in server.nodes)
        print(f"  cluster    redis on 127.0.0.1, ports {ports}, append-only files in {data / 'cluster'}")
        print(f"  look       {_look(server.nodes[0], clustered=True)}")
    else:
        print(f"  server     redis on 127.0.0.1:{server.port}, append-only file in {data / 'server'}")
        print(f"  look       {_look(server)}")
    if parts.app:
        print(f"  api        http://127.0.0.1:{port}  (documentation at /docs)")
        if has_pages(load_app(parts.app)):
            print(f"  pages      http://127.0.0.1:{port}/")
    else:
        print("  api        none: no module defines `app`")
    if parts.tasks:
        count = cores(settings.processes)
        shares = ", ".join(f"{name} {share}" for name, share in settings.queues.items())
        print("  worker     " + shares + (f"; {count} processes" if count > 1 else ""))
        print("  scheduler  periodic jobs")
    else:
        print("  worker     none: no module defines `tasks`")
    if console_port:
        print(f"  console    http://127.0.0.1:{console_port}  (the link to sign in follows)")
    print("Ctrl-C stops everything; the next start continues where this one ended.", flush=True)


def _look(server: EmbeddedServer, *, clustered: bool = False) -> str:
    """A line for the shell that opens the server, and holds no password itself."""
    password, socket = (_near(path) for path in (server.directory / "password", server.socket))
    return f'REDISCLI_AUTH="$(cat {password})" redis-cli {f"-c -p {server.port}" if clustered else f"-s {socket}"}'


def _near(path: Path) -> str:
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _secret(data: Path) -> str:
    """The root secret of this directory, made at the first start, so that tokens survive a restart."""
    path = data / _SECRET_NAME
    known = private.read(path)
    if not known:
        known = secrets.token_hex(32)
        private.write(path, known)
    return known


def _ready_to_print() -> None:
    """Children write what they like: it must fit, and wait for a slow terminal."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")
    with contextlib.suppress(OSError, ValueError):
        os.set_blocking(sys.stdout.fileno(), True)
