"""The Go programs of ``go/`` and ``asynqmon/``, built once per run, started per test; without Go all are skipped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hustlex.drivers.aio import Driver
from hustlex.jobs import Inspector, Jobs
from tests.interop.support import GoClient, Launch, Peer
from tests.support.go import compiled

_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: waits for the library's own intervals; runs only with -m slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Building is not timed. Slow tests must be asked for."""
    inside = {path for path in {item.path for item in items} if path.is_relative_to(_HERE)}
    for item in (item for item in items if item.path in inside):
        item.add_marker(pytest.mark.timeout(600 if item.get_closest_marker("slow") else 300, func_only=True))
        if item.get_closest_marker("slow") and "slow" not in config.getoption("-m"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run it with -m slow"))


@pytest.fixture(scope="session")
def peer_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs around the library."""
    return _built("go", tmp_path_factory)


@pytest.fixture(scope="session")
def asynqmon_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The web UI."""
    return _built("asynqmon", tmp_path_factory)


def _built(name: str, factory: pytest.TempPathFactory) -> Path:
    """A compiled module of this folder."""
    return compiled(factory, _HERE / name, f"interop-{name}")


@pytest.fixture(scope="session")
def codec(peer_binary: Path) -> Iterator[GoClient]:
    """The library's codec, cron and text forms; no server behind it."""
    client = GoClient(peer_binary, "redis://127.0.0.1:1/0")
    yield client
    client.close()


@pytest.fixture
def go(peer_binary: Path, url: str) -> Iterator[GoClient]:
    """The library's client and inspector. New for each test: the client remembers which queues it registered."""
    client = GoClient(peer_binary, url)
    yield client
    client.close()


@pytest.fixture
def jobs(driver: Driver) -> Jobs:
    """Our producer."""
    return Jobs(driver)


@pytest.fixture
def inspector(jobs: Jobs) -> Inspector:
    """Our inspector."""
    return jobs.inspector


@pytest.fixture
def launch(peer_binary: Path, url: str) -> Iterator[Launch]:
    """See ``Launch``. settings: go/serve.go."""
    started: list[Peer] = []

    def begin(language: str, at: str = url, environment: dict[str, str] | None = None, **settings: Any) -> Peer:
        chosen = {"queues": {"default": 1}, "concurrency": 10, "strict": False, "shutdown_ms": 2000} | settings
        programs = {"go": [str(peer_binary), "serve"], "py": [sys.executable, "-m", "tests.interop.worker"]}
        command = [*programs[language], at, json.dumps(chosen)]
        started.append(Peer(command, env=os.environ | (environment or {})))
        return started[-1]

    yield begin
    for peer in started:
        with suppress(ProcessLookupError):
            peer.kill()


@pytest.fixture
def schedule(peer_binary: Path, url: str) -> Iterator[Any]:
    """``schedule([(spec, job), ...])``: the library's scheduler as a process, killed at the end."""
    started: list[Peer] = []

    def begin(entries: list[dict[str, Any]]) -> Peer:
        started.append(Peer([str(peer_binary), "schedule", url, json.dumps({"entries": entries})]))
        return started[-1]

    yield begin
    for peer in started:
        peer.kill()
