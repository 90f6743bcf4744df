"""``hustlex worker``: run jobs until told to stop."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from hustlex.cli.backend import load_tasks
from hustlex.cli.run import run_until_signal
from hustlex.drivers.aio import Driver, Options
from hustlex.settings import load_settings
from hustlex.worker import Worker

Module = Annotated[str, typer.Argument(help="The module that defines `tasks`, as examples.gigs")]
Url = Annotated[str | None, typer.Option(help="Server URL; default HUSTLEX_URL")]


def worker(
    module: Module,
    url: Url = None,
    queue: Annotated[list[str] | None, typer.Option(help="NAME=WEIGHT, repeatable; default HUSTLEX_QUEUES")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at once; default HUSTLEX_CONCURRENCY")] = None,
) -> None:
    """Run the jobs of MODULE until SIGTERM or Ctrl-C, then finish or hand back what is running.

    Example: hustlex worker examples.gigs --queue critical=6 --queue default=3
    """
    settings = load_settings(url=url, concurrency=concurrency, queues=_queues(queue))
    tasks = load_tasks(module)
    driver = Driver(settings.url, Options(name="hustlex:worker"))
    engine = Worker(
        driver,
        tasks,
        queues=settings.queues,
        concurrency=settings.concurrency,
        shutdown_timeout=timedelta(seconds=settings.shutdown_timeout_s),
    )
    run_until_signal(engine.run, engine.stop, driver)


def _queues(given: list[str] | None) -> dict[str, int] | None:
    if not given:
        return None
    queues = {}
    for one in given:
        name, _, weight = one.partition("=")
        if not name or not (weight or "1").isdecimal():
            raise typer.BadParameter(f"{one!r} is not NAME=WEIGHT")
        queues[name] = int(weight or "1")
    return queues
