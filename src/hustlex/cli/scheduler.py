"""``hustlex scheduler``: enqueue periodic jobs when they are due."""

from __future__ import annotations

from hustlex.cli.backend import load_tasks
from hustlex.cli.run import run_until_signal
from hustlex.cli.worker import Module, Url
from hustlex.drivers.aio import Driver, Options
from hustlex.settings import load_settings
from hustlex.worker import Scheduler


def scheduler(module: Module, url: Url = None) -> None:
    """Enqueue the periodic jobs of MODULE until SIGTERM or Ctrl-C. Several may run: each instant is enqueued once.

    Example: hustlex scheduler examples.gigs
    """
    settings = load_settings(url=url)
    driver = Driver(settings.url, Options(name="hustlex:scheduler"))
    engine = Scheduler(driver, load_tasks(module))
    run_until_signal(engine.run, engine.stop, driver)
