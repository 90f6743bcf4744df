"""``hustlex scheduler``: enqueue periodic jobs when they are due."""

from __future__ import annotations

from hustlex.cli.backend import load_tasks
from hustlex.cli.run import open_driver, run_until_signal
from hustlex.cli.worker import Modules, Url
from hustlex.settings import load_settings
from hustlex.worker import Scheduler


def scheduler(module: Modules, url: Url = None) -> None:
    """Enqueue the periodic jobs of all MODULEs until SIGTERM or Ctrl-C. Several may run: each instant is enqueued once.

    Example: hustlex scheduler examples.gigs
    """
    settings = load_settings(url=url)
    tasks = load_tasks(module)
    driver = open_driver(url, settings.url, "hustlex:scheduler")
    engine = Scheduler(driver, tasks)
    run_until_signal(engine.run, engine.stop, driver, hurry=engine.stop)
