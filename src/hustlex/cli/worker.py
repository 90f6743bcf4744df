"""``hustlex worker MODULE``: run jobs until told to stop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import timedelta
from typing import Annotated

import typer

from hustlex.cli.backend import load_tasks
from hustlex.cli.collector import freeze_start
from hustlex.cli.processes import Processes, cores, run_processes
from hustlex.cli.run import named, open_driver, run_until_signal
from hustlex.core.durability.level import Level
from hustlex.errors import Misuse
from hustlex.jobs.keys import queue_keys
from hustlex.metrics import process_metrics
from hustlex.metrics.worker import of_worker, watched
from hustlex.settings import RESERVED, Settings, load_settings
from hustlex.telemetry import together, tracing
from hustlex.worker import Reserved, Worker, WorkerOptions, serve_health
from hustlex.worker.health_http import answer_of, listening_at, pages_of

Modules = Annotated[
    list[str], typer.Argument(help="Modules that define `tasks`, as examples.gigs, or MODULE:NAME; all run together")
]
Queues = Annotated[
    list[str] | None,
    typer.Option(help="NAME=WEIGHT or NAME=reserved:SLOTS, repeatable; default HUSTLEX_QUEUES"),
]
Url = Annotated[str | None, typer.Option(help="Server URL; default HUSTLEX_URL")]


def start(
    module: Modules,
    url: Url = None,
    queue: Queues = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at once; default HUSTLEX_CONCURRENCY")] = None,
    cpu_processes: Annotated[int, typer.Option(min=0, help="Tasks with cpu=True at once; 0: as many as CPUs")] = 0,
    health_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Answer GET /health and /metrics there")
    ] = None,
    health_host: Annotated[str, typer.Option(help="Address for --health-port")] = "127.0.0.1",
    processes: Processes = None,
    durability: Annotated[
        Level | None, typer.Option(help="What outcomes wait for: the disk, a replica; default: what the tasks say")
    ] = None,
    health_socket: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs of all MODULEs until SIGTERM or Ctrl-C, then finish or hand back what is running.

    `hustlex worker MODULE` is short for it.

    With --processes N this command keeps N workers running, each with so many jobs at once. Where the
    modules set OpenTelemetry's tracer provider it traces what it runs.

    Example: hustlex worker examples.gigs --queue critical=reserved:20 --queue default=3 --queue low=1
    """
    settings = load_settings(url=url, concurrency=concurrency, queues=_queues(queue), processes=processes)
    _check_names(settings.queues, "--queue" if queue else "HUSTLEX_QUEUES")
    if (count := cores(settings.processes)) > 1:
        open_driver(url, settings.url, "hustlex:worker")
        given = _arguments(module, queue, settings.concurrency, cpu_processes, durability)
        grace_s, environment = settings.shutdown_timeout_s, _environment(settings)
        raise typer.Exit(run_processes(count, given, environment, grace_s=grace_s, port=health_port, host=health_host))
    tasks = load_tasks(module)
    metrics = process_metrics() if health_port or settings.metrics_dir else None
    hook = together(metrics, tracing())
    driver = open_driver(url, settings.url, "hustlex:worker", blocking=len(settings.queues), hook=hook)
    waits: WorkerOptions = {} if durability is None else {"durability": durability}
    engine = Worker(
        driver,
        tasks,
        queues={name: _share(share) for name, share in settings.queues.items()},
        concurrency=settings.concurrency,
        cpu_processes=cpu_processes,
        shutdown_timeout=timedelta(seconds=settings.shutdown_timeout_s),
        **waits,
    )

    text = None if metrics is None else metrics.text

    async def run() -> None:
        async with (
            watched(metrics, driver, of_worker(engine, tasks)),
            serve_health(engine, driver, health_port, health_host, metrics=text) if health_port else nullcontext(),
            listening_at(pages_of(answer_of(engine, driver)), health_socket) if health_socket else nullcontext(),
        ):
            starting = asyncio.create_task(_started(engine, freeze=settings.freeze_gc))
            try:
                await engine.run()
            finally:
                starting.cancel()

    run_until_signal(run, engine.stop, driver, hurry=engine.hurry, grace_s=settings.shutdown_timeout_s)


async def _started(engine: Worker, *, freeze: bool) -> None:
    await engine.started()
    if freeze:
        freeze_start()


def _environment(settings: Settings) -> dict[str, str]:
    """Of each process, beside what this one has."""
    shared = {"HUSTLEX_METRICS_DIR": settings.metrics_dir} if settings.metrics_dir else {}
    return {"HUSTLEX_URL": settings.url, **shared}


def _arguments(
    modules: list[str], queues: list[str] | None, concurrency: int, cpu_processes: int, durability: str | None
) -> list[str]:
    """Of each process; the URL, which may hold a password, is in its environment."""
    shares = [part for one in queues or () for part in ("--queue", one)]
    waits = ["--durability", durability] if durability is not None else []
    return [*modules, *shares, *waits, "--concurrency", str(concurrency), "--cpu-processes", str(cpu_processes)]


def _queues(given: list[str] | None) -> dict[str, int | str] | None:
    """What was given, for the settings to check."""
    if not given:
        return None
    queues: dict[str, int | str] = {}
    for one in given:
        name, _, share = one.partition("=")
        if not name or not (re.fullmatch(RESERVED, share) or (share or "1").isdecimal()):
            raise typer.BadParameter(f"{one!r} is neither NAME=WEIGHT nor NAME=reserved:SLOTS")
        queues[name] = int(share or "1") if (share or "1").isdecimal() else share
    return queues


def _check_names(queues: Iterable[str], source: str) -> None:
    for name in queues:
        try:
            queue_keys(name)
        except Misuse as error:
            raise named(source, error) from None


def _share(share: int | str) -> int | Reserved:
    return share if isinstance(share, int) else Reserved(int(share.partition(":")[2]))
