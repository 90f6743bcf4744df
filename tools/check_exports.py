"""Hold the doors: what a room makes public is documented, belongs to that room, and is all that its doors give.

``__all__`` of a room is where its users import from. Each class and function there has a docstring of its own; none is
another room's (the ground's may be passed on); and what a public method returns stands there too, to be named.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from hustlex import errors

ROOMS = ("cache", "delivery", "diagnostics", "events", "idempotency", "jobs", "otp", "outbox", "pins", "ratelimit")
ROOMS += ("metrics", "otel", "testing", "tokens", "web", "worker")
UNNAMED = {
    "Cache.cached -> Decorator": "given a function at once",
    "OtpCodes.again -> ChallengeOut": "the body of an answer",
    "OtpCodes.ask -> ChallengeOut": "the body of an answer",
    "Periodic.at -> Draft": "for schedulers",
    "Periodic.made -> Draft": "for schedulers",
    "ResponseCache.of -> CachedPage": "for the middleware, which has made the cache",
    "RateLimit.hold -> Hold": "used in a with statement",
}
"""What a method returns and nobody needs to name, each with its reason."""
PASSED_ON = {"worker.WorkerOptions": "arguments of Tasks(worker=...) and of Worker alike"}
"""Of another room, each with its reason."""


def problems(room: str, module: ModuleType, used: set[str]) -> Iterator[str]:
    """One line for each rule that a room's exports break. used: of UNNAMED, what was met."""
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not value.__doc__:
            yield f"hustlex.{room}.{name} has no docstring"
        home = value.__module__.split(".")[1]
        if home in ROOMS and home != room and f"{room}.{name}" not in PASSED_ON:
            yield f"hustlex.{room}.{name} is of hustlex.{home}: export it there alone"
        for given in _given(room, name, value):
            if given.rpartition(" ")[2] not in module.__all__:
                used.add(given)
                if given not in UNNAMED:
                    yield f"hustlex.{room}: {given}: export what it returns"


def _given(room: str, name: str, value: Any) -> Iterator[str]:
    """``Class.method -> Result`` for each class of this room in a return annotation."""
    for method, function in vars(value).items() if inspect.isclass(value) else ():
        if not inspect.isfunction(function) or method.startswith("_"):
            continue
        known = inspect.getmodule(function).__dict__  # type: ignore[union-attr]
        for node in ast.walk(ast.parse(str(function.__annotations__.get("return", "None")), mode="eval")):
            found = known.get(node.id) if isinstance(node, ast.Name) else None
            if inspect.isclass(found) and found.__module__.startswith(f"hustlex.{room}."):
                yield f"{name}.{method} -> {node.id}"  # type: ignore[attr-defined]


def unlisted_errors() -> Iterator[str]:
    """Errors have one home, which the reference lists."""
    for room in ROOMS:
        for name in importlib.import_module(f"hustlex.{room}").__all__:
            value = getattr(importlib.import_module(f"hustlex.{room}"), name)
            if inspect.isclass(value) and issubclass(value, errors.Error) and value.__module__ == errors.__name__:
                yield f"hustlex.{room}.{name}: errors are imported from hustlex.errors alone"


def main() -> int:
    used: set[str] = set()
    found = [line for room in ROOMS for line in problems(room, importlib.import_module(f"hustlex.{room}"), used)]
    found += unlisted_errors()
    found += [f"{name}: is not met any more; take it off the list" for name in UNNAMED.keys() - used]
    print("\n".join(found) or f"exports: {len(ROOMS)} rooms hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
