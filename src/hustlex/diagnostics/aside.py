"""What blocks (a name looked up, a certificate fetched) is done beside either driver."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from hustlex.core.op import Flow, Sleep

T = TypeVar("T")
_LOOK_S = 0.002


def aside(function: Callable[[], T]) -> Flow[T]:
    """Its result, from a thread that holds nobody up."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 - raised where it is asked for
            future.set_exception(error)

    Thread(target=run, daemon=True, name="hustlex doctor").start()
    while not future.done():
        yield Sleep(_LOOK_S)
    return future.result()
