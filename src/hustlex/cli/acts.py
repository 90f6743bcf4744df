"""What commands change is written down as the console's acts are: before, without which nothing is lost for good, and
again when it is over."""

from __future__ import annotations

import os
import pwd
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import typer

from hustlex.cli.hidden import visible
from hustlex.core.op import Op
from hustlex.core.printable import printable
from hustlex.core.redact import Redacted
from hustlex.errors import Denied, Error, Refused, Unavailable
from hustlex.people.notes import Phase, entry, note, written

HARMLESS = frozenset({
    "pause", "resume", "run", "merge", "clone", "unban", "common_limit", "fire", "pause_entry", "resume_entry",
    "mute", "unmute", "start_bulk", "pause_bulk", "stop_bulk", "undo_bulk", "continue_bulk",
    "enqueue", "edit", "reschedule", "publish",
})  # fmt: skip
"""These are done, and a warning said, where they cannot be written down: what they do can be seen, or undone."""
_LONGEST = 1_000


class Noted(Protocol):
    """A blocking front, as far as acts are written down with it."""

    driver: Any

    @property
    def prefix(self) -> str: ...

    def reference(self, text: str) -> str: ...


class ActNote:
    """How an act ends. count: to how many it was done, None where that is one."""

    def __init__(self) -> None:
        self.count: int | None = None
        self.failed = ""
        """Why it was not done, a word; for outcomes that are no errors."""

    def ended(self, outcome: Any, good: type) -> None:
        """By its outcome, which is good or says by its class why not."""
        self.failed = "" if isinstance(outcome, good) else type(outcome).__name__


@contextmanager
def acting(hx: Noted, verb: str, *, place: str = "", **target: str | None) -> Iterator[ActNote]:
    """While an act runs. place: its queue, where the target does not name it. target: by the names of ``FIELDS``.

    Raises Unavailable, Refused where it cannot be written down, and what it does can neither be seen nor undone.
    """
    given = {name: _plain(value) for name, value in target.items() if value}
    words, places = told(hx, given), _places(given, place)
    write = partial(_write, hx.driver.run, hx.prefix, verb, words, places)
    begun, act = _begun(write, verb, hx.prefix), ActNote()
    try:
        yield act
    except BaseException as error:
        word = "Interrupted" if isinstance(error, KeyboardInterrupt | typer.Exit) else type(error).__name__
        _over(write, "refused" if isinstance(error, Refused) else "failed", of=begun, error=word)
        raise
    if act.failed:
        _over(write, "failed", of=begun, error=act.failed)
    else:
        _over(write, "done", of=begun, count="" if act.count is None else str(act.count))


def told(hx: Noted, given: Mapping[str, str]) -> str:
    """A target, as the audit holds it."""
    return written(given, hx.reference, lambda what: Redacted(visible(what.kind, what.value)))


def typist() -> str:
    """Who types, as the machine knows them, and where: ``ada@ops-1``. Who became root by sudo is told by both names."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid-{os.getuid()}"
    before = os.environ.get("SUDO_USER", "") if os.getuid() == 0 else ""
    return printable(f"{before + '/' if before else ''}{name}@{socket.gethostname()}")


def _plain(text: str) -> str:
    """As it can be kept: what was typed may be no text, and of any length."""
    return text[:_LONGEST].encode("utf-8", "backslashreplace").decode()


def _places(given: Mapping[str, str], place: str) -> dict[str, str]:
    return {"queue": given.get("queue", place)} | ({"to": given["to"]} if "to" in given else {})


def _write(
    run: Callable[[Op[str]], str], prefix: str, verb: str, target: str, places: Mapping[str, str], phase: Phase,
    **more: str,
) -> str:  # fmt: skip
    return run(note(prefix, entry(typist(), "cli", phase, verb, target, **{**places, **more})))


def _begun(write: Callable[..., str], verb: str, prefix: str) -> str:
    try:
        return write("intent")
    except Error as error:
        if verb in HARMLESS:
            print(f"hustlex: this is not in the audit: {printable(error.message)}", file=sys.stderr)
            return ""
        sentence = f"nothing was done: it cannot be written into the audit ({error.message})"
        if not isinstance(error, Refused):
            raise Unavailable(sentence, hint=error.hint) from error
        rule = f"its user needs +xadd ~{prefix}console:*" if isinstance(error, Denied) else error.hint
        raise type(error)(sentence, server_code=error.server_code, hint=rule) from error


def _over(write: Callable[..., str], phase: Phase, **more: str) -> None:
    """What was done is done, whether that can be written down or not."""
    if not more["of"]:
        return
    try:
        write(phase, **{name: value for name, value in more.items() if value})
    except Error as error:
        print(f"hustlex: {phase}, which is not in the audit: {printable(error.message)}", file=sys.stderr)
