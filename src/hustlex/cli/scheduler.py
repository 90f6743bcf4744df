"""``hustlex scheduler``: enqueue periodic jobs when they are due."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import msgspec
import typer

from hustlex.cli.backend import load_tasks
from hustlex.cli.run import open_driver, run_until_signal
from hustlex.cli.worker import Modules, Url
from hustlex.metrics import process_metrics
from hustlex.metrics.worker import watched
from hustlex.settings import load_settings
from hustlex.telemetry import together, tracing
from hustlex.worker import Scheduler
from hustlex.worker.health_http import Answer, listening, pages_of


class SchedulerReport(msgspec.Struct, frozen=True):
    """What ``/health`` of a scheduler answers."""

    ok: bool
    """Whether it fires what is due."""
    trouble: str
    """What keeps it from that, "" = nothing."""


def scheduler(
    module: Modules,
    url: Url = None,
    health_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Answer GET /health and GET /metrics on this port")
    ] = None,
    health_host: Annotated[str, typer.Option(help="Address for --health-port")] = "127.0.0.1",
) -> None:
    """Enqueue the periodic jobs of all MODULEs until SIGTERM or Ctrl-C. Several may run: each instant is enqueued once.

    Example: hustlex scheduler examples.gigs
    """
    settings = load_settings(url=url)
    tasks = load_tasks(module)
    metrics = process_metrics() if health_port or settings.metrics_dir else None
    driver = open_driver(url, settings.url, "hustlex:scheduler", hook=together(metrics, tracing()))
    engine = Scheduler(driver, tasks)
    pages = pages_of(_answer_of(engine), None if metrics is None else metrics.text)

    async def run() -> None:
        async with (
            watched(metrics, driver),
            listening(pages, health_port, health_host) if health_port else nullcontext(),
        ):
            await engine.run()

    run_until_signal(run, engine.stop, driver, hurry=engine.stop)


def _answer_of(engine: Scheduler) -> Answer:
    async def answer() -> tuple[bool, bytes]:
        trouble = engine.trouble
        return not trouble, msgspec.json.encode(SchedulerReport(not trouble, trouble))

    return answer
