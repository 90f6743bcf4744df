"""All commands, each imported and built when it is typed: a worker's start needs nothing of what prints tables."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

_VERBS = {
    "up": "up:up",
    "api": "http:api",
    "scheduler": "scheduler:scheduler",
    "dashboard": "dashboard:dashboard",
    "top": "top:top",
    "doctor": "doctor:doctor",
    "plan": "plan:capacity",
    "exporter": "exporter:exporter",
    "completion": "completion:completion",
    "complete": "completion:complete",
}
"""File and function."""
_NOUNS = {
    "worker": ["fleet:worker"],
    "queue": ["queue:queue"],
    "task": [
        "task:task",
        *(f"task_acts:{verb}" for verb in ("run", "archive", "rm", "cancel", "reschedule", "clone")),
        "follow:follow",
    ],
    "group": ["groups:group"],
    "quarantine": ["quarantine:quarantine"],
    **{name: [f"{name}:{name}"] for name in ("bulk", "error", "cron", "workflow", "user", "otp", "session", "pin")},
    **{name: [f"{name}:{name}"] for name in ("limit", "idem", "cache")},
    "event": ["event:event", "follow:tail"],
    "redis": ["redis:redis"],
    "audit": ["audit:audit"],
}
"""The noun, and verbs of it that stand in other files."""
_FOR_SHELLS: dict[str, Any] = {"hidden": True, "context_settings": {"ignore_unknown_options": True}}
_OPTIONS = {"complete": _FOR_SHELLS}


class Commands(MutableMapping[str, Any]):
    """By the names that are typed; a help looks at them all."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = dict.fromkeys((*_VERBS, *_NOUNS))

    def __getitem__(self, name: str) -> Any:
        if self._built[name] is None:
            self._built[name] = _verb(_VERBS[name], name) if name in _VERBS else _noun(name)
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._built

    def __iter__(self) -> Iterator[str]:
        return iter(self._built)

    def __len__(self) -> int:
        return len(self._built)


def _verb(place: str, name: str | None = None) -> Any:
    alone = typer.Typer(add_completion=False)
    alone.command(name, **_OPTIONS.get(name or "", {}))(_found(place))
    return get_command(alone)


def _noun(name: str) -> Any:
    above, (noun, *elsewhere) = typer.Typer(add_completion=False), _NOUNS[name]
    above.add_typer(_found(noun), name=name)
    group = get_command(above).commands[name]  # type: ignore[attr-defined]
    for place in elsewhere:
        group.add_command(_verb(place))
    return group


def _found(place: str) -> Any:
    file, _, name = place.partition(":")
    return getattr(import_module(f"hustlex.cli.{file}"), name)
