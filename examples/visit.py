"""``python -m examples.visit shop``: a visitor of a running example, who tells what happened step by step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TypeVar

import httpx

from examples.run import PORT

T = TypeVar("T")
Walk = Callable[[httpx.Client], Iterator[str]]
_PATIENCE_S = 30.0


def walk_of(name: str) -> Walk:
    """An example's visitor."""
    found: Walk = import_module(f"examples.{name}.walk").walk
    return found


def until(ask: Callable[[], T], *, pause_s: float = 0.05) -> T:
    """What it answers as soon as that counts as true. Raises TimeoutError."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(pause_s)
    raise TimeoutError("it did not happen in time")


def expect(answer: httpx.Response, status: int) -> httpx.Response:
    """The answer, which has this status."""
    if answer.status_code != status:
        raise ValueError(f"{answer.request.url.path} answered {answer.status_code}, not {status}: {answer.text[:200]}")
    return answer


def main(name: str, port: str = PORT) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        for step in walk_of(name)(client):
            print(step)
    print("all as it should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
