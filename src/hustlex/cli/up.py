"""``hustlex up``: a whole backend on this machine, for development: server, API, worker, scheduler."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from hustlex.cli.backend import load_attribute, load_tasks
from hustlex.cli.ports import check_free
from hustlex.cli.supervisor import Child, Supervisor
from hustlex.drivers.embedded import EmbeddedServer

_SECRET_NAME = "secret"  # noqa: S105 - a file name


def up(
    module: Annotated[str, typer.Argument(help="The module that defines `app` and `tasks`, as examples.gigs")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="The API's port")] = 8000,
    redis_port: Annotated[int, typer.Option(min=0, max=65535, help="The server's port; 0: a free one")] = 0,
    data: Annotated[Path, typer.Option(help="Where everything is kept between runs")] = Path(".hustlex"),
) -> None:
    """Start server, API, worker and scheduler of MODULE; restart what dies; Ctrl-C stops all, nothing is lost.

    Example: hustlex up examples.gigs
    """
    check_free("127.0.0.1", port)
    load_attribute(module, "app")
    load_tasks(module)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = EmbeddedServer(data / "server", port=redis_port, append_only=True)
    with server:
        environment = {"HUSTLEX_URL": server.url, "HUSTLEX_SECRET": _secret(data), "HUSTLEX_DATA": str(data.resolve())}
        supervisor = Supervisor(server, _children(module, port), environment)
        _announce(module, port, server, data)
        failed = asyncio.run(supervisor.run())
    print("stopped; everything is kept in", data)
    raise typer.Exit(1 if failed else 0)


def _children(module: str, port: int) -> list[Child]:
    """In the order of their start; they are stopped in the same order: first no new requests, then no new jobs."""
    hustlex = [sys.executable, "-m", "hustlex.cli.main"]
    return [
        Child("api", [*hustlex, "api", module, "--port", str(port)], ready_port=port),
        Child("scheduler", [*hustlex, "scheduler", module]),
        Child("worker", [*hustlex, "worker", module]),
    ]


def _announce(module: str, port: int, server: EmbeddedServer, data: Path) -> None:
    print(f"{module} is starting")
    print(f"  server     redis on 127.0.0.1:{server.port}, append-only file in {data / 'server'}")
    print(f"  api        http://127.0.0.1:{port}  (documentation at /docs)")
    print("  worker     critical 6, default 3, low 1")
    print("  scheduler  periodic jobs")
    print("Ctrl-C stops everything; the next start continues where this one ended.", flush=True)


def _secret(data: Path) -> str:
    """The root secret of this directory, made at the first start, so that tokens survive a restart."""
    path = data / _SECRET_NAME
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), "utf-8")
    return path.read_text("utf-8").strip()
