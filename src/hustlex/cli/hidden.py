"""What applications put into tasks and events, as a terminal may show it: the same is hidden as in the console."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer

from hustlex.core.redact import Redactor, What, shown

Reveal = Annotated[bool, typer.Option("--reveal", help="Show what is hidden: secrets, phones, addresses, cards")]

_REDACTOR = Redactor()
_LONGEST = 200


def visible(kind: Any, value: Any, *, reveal: bool = False, task_type: str = "") -> Any:
    """A value as far as it may be seen. Bytes that are neither JSON nor text: their number, or ``{"base64": ...}``."""
    parsed = _parsed(value, reveal)
    return parsed if reveal else shown(_REDACTOR, What(kind, parsed, task_type)).value


def line(value: Any) -> str:
    """One line of it, cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _parsed(value: Any, reveal: bool) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode("ascii")} if reveal else f"‹{len(value):,} bytes that are no text›"


def view(*, reveal: bool) -> Callable[[str, Any, str], Any] | None:
    """What a search may look into: what cannot be seen cannot be found. None = all of it."""
    return None if reveal else lambda kind, value, task_type: visible(kind, value, task_type=task_type)
