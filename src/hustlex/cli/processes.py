"""``hustlex worker --processes N``: as many workers, kept running by one process that answers for all of them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hustlex.cli.ending import MARGIN_S
from hustlex.cli.run import log_plainly
from hustlex.cli.supervisor import Child, Supervisor, program
from hustlex.errors import ConfigurationError
from hustlex.metrics.shared import text_of
from hustlex.worker.health_http import listening, pages_of

Processes = Annotated[
    int | None,
    typer.Option(min=0, max=256, help="Worker processes; 0: as many as cores; default HUSTLEX_PROCESSES"),
]

_TMPDIR = "set TMPDIR to one that can be written, with a short path"
_LONGEST_FOLDER = 100
"""Bytes of a path: a socket's has 107 at most."""
_PATIENCE_S = 2.0
_LAST_S = 5.0


class ProcessReport(msgspec.Struct, frozen=True):
    """One of the processes."""

    process: int
    """Its number, from 1."""
    pid: int | None
    """None while it does not run."""
    restarts: int
    """How often it was started again."""
    report: msgspec.Raw
    """What its own ``/health`` says; null when it does not answer within two seconds."""


class ProcessesReport(msgspec.Struct, frozen=True):
    """What ``/health`` answers for several processes."""

    ok: bool
    """Whether every one runs and works."""
    restarts: int
    """Of all of them, since the start."""
    processes: tuple[ProcessReport, ...]


class _Ok(msgspec.Struct):
    ok: bool


def cores(processes: int) -> int:
    """How many processes are meant. 0: as many as there are cores for this one."""
    if processes:
        return processes
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_processes(
    count: int, arguments: Sequence[str], environment: dict[str, str], *, grace_s: float, port: int | None, host: str
) -> int:
    """Run so many ``hustlex worker`` until a signal; the exit code. arguments: of each of them.

    One that ends is started again, after 0.1 to 1.6 s when it ends soon. After five such ends in a row, or when it
    cannot work as it was started, all are stopped.
    """
    log_plainly()
    with _folder() as folder:
        sockets = {f"worker {number}": str(Path(folder) / str(number)) for number in range(1, count + 1)}
        command = [*program(), "worker", *arguments, "--processes", "1"]
        children = [
            Child(
                name,
                [*command, "--health-socket", path],
                ready_path=path,
                leads=number == 0,  # what cannot work is told once
                stop_seconds=grace_s + MARGIN_S + _LAST_S,
            )
            for number, (name, path) in enumerate(sockets.items())
        ]
        shared = environment.get("HUSTLEX_METRICS_DIR") or str(Path(folder) / "metrics")
        if port:
            environment = {**environment, "HUSTLEX_METRICS_DIR": shared}
        supervisor = Supervisor(None, children, environment, relayed=False)
        return asyncio.run(_run(supervisor, sockets, port, host, shared))


def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the processes' sockets are. Raises ConfigurationError where there is no place for them."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="hustlex-")
    except OSError as error:
        raise ConfigurationError(
            f"no directory for temporary files can be used: {error.strerror}", hint=_TMPDIR
        ) from None
    if len(os.fsencode(folder.name)) > _LONGEST_FOLDER:
        folder.cleanup()
        raise ConfigurationError("the path of the directory for temporary files is too long for sockets", hint=_TMPDIR)
    return folder


async def _run(supervisor: Supervisor, sockets: dict[str, str], port: int | None, host: str, shared: str) -> int:
    async def answer() -> tuple[bool, bytes]:
        found = await asyncio.gather(*(_asked(path) for path in sockets.values()))
        pids, restarts = supervisor.pids, supervisor.restarts
        well = all(ok for ok, _ in found)
        rows = [
            ProcessReport(number, pids.get(name), restarts[name], report)
            for number, (name, (_, report)) in enumerate(zip(sockets, found, strict=True), 1)
        ]
        return well, msgspec.json.encode(ProcessesReport(well, sum(restarts.values()), tuple(rows)))

    async with listening(pages_of(answer, partial(text_of, shared)), port, host) if port else nullcontext():
        return await supervisor.run()


async def _asked(path: str) -> tuple[bool, msgspec.Raw]:
    """Whether a process is well, and its report."""
    with suppress(OSError, TimeoutError, msgspec.MsgspecError):
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"GET /health HTTP/1.1\r\n\r\n")
                body = (await reader.read(-1)).partition(b"\r\n\r\n")[2]
            finally:
                writer.close()
        return msgspec.json.decode(body, type=_Ok).ok, msgspec.Raw(body)
    return False, msgspec.Raw(b"null")
