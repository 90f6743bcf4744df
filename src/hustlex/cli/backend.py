"""A backend as the command line sees it: modules with ``tasks`` (a ``Tasks``) and, for the API, ``app`` (ASGI)."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from hustlex.core.printable import printable
from hustlex.errors import ConfigurationError, Misuse
from hustlex.jobs import Tasks
from hustlex.worker.lifespans import together

_NONE = object()


class Parts(msgspec.Struct, frozen=True):
    """What some modules bring. app: ``module`` or ``module:name`` of the ASGI application, None without one."""

    app: str | None
    tasks: tuple[str, ...]


def load_tasks(modules: Sequence[str]) -> Tasks:
    """The ``tasks`` of these modules as one set. Raises ConfigurationError with the reason when there are none."""
    found: list[Tasks] = []
    for module in modules:
        tasks = load_attribute(module, "tasks")
        if not isinstance(tasks, Tasks):
            raise ConfigurationError(f"'tasks' in {module} is a {type(tasks).__name__}, not a hustlex.Tasks")
        if not any(tasks is known for known in found):
            found.append(tasks)
    return found[0] if len(found) == 1 else _merged(modules, found)


def _merged(modules: Sequence[str], found: list[Tasks]) -> Tasks:
    try:
        return together(found)
    except Misuse as error:
        raise ConfigurationError(f"{' and '.join(modules)} do not fit together: {error}") from None


def load_app(module: str) -> Any:
    """The ASGI application of a module. Raises ConfigurationError."""
    application = load_attribute(module, "app")
    if not callable(application):
        raise ConfigurationError(f"'app' in {module} is a {type(application).__name__}, not an ASGI application")
    return application


def parts_of(modules: Sequence[str]) -> Parts:
    """Which of the modules have an ``app`` and which have ``tasks``. Raises ConfigurationError for one with neither."""
    found = [_parts(module) for module in modules]
    apps = [app for app, _ in found if app]
    tasks = tuple(dict.fromkeys(tasks for _, tasks in found if tasks))
    if len(apps) > 1:
        raise ConfigurationError(f"{' and '.join(apps)} have an app each, and one is served", hint="name one of them")
    if tasks:
        load_tasks(tasks)
    return Parts(apps[0] if apps else None, tasks)


def _parts(module: str) -> tuple[str | None, str | None]:
    path, _, name = module.partition(":")
    loaded = _load(path)
    app = load_attribute(module, name) if name else _attribute(loaded, path, "app", None)
    if isinstance(app, Tasks):
        return None, module
    tasks = None if _attribute(loaded, path, "tasks", _NONE) is _NONE else path
    if app is None and tasks is None:
        raise ConfigurationError(f"the module {path} has neither 'app' nor 'tasks'", hint="define one, or both")
    return None if app is None else module, tasks


def load_attribute(module: str, name: str) -> Any:
    """``name`` of a module, or what a longer path names: ``package.module:name``."""
    path, _, given = module.partition(":")
    found = _attribute(_load(path), path, given or name, _NONE)
    if found is _NONE:
        raise ConfigurationError(
            f"the module {path} has no {given or name!r}", hint=f"define it, or name it: {path}:<name>"
        )
    return found


def _attribute(loaded: ModuleType, path: str, name: str, default: object) -> Any:
    """What a module has, which may be made when it is asked for."""
    try:
        return getattr(loaded, name, default)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ConfigurationError(f"cannot read {name!r} of {path}: {_described(error)}") from error


def _load(path: str) -> ModuleType:
    if path.endswith(".py") or not all(part.isidentifier() for part in path.split(".")):
        written = path.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"as in: {written}" if all(part.isidentifier() for part in written.split(".")) else "as in: app.jobs"
        raise ConfigurationError(f"{printable(path)!r} is not the name of a module", hint=hint)
    try:
        here = str(Path.cwd())
    except OSError:
        hint = "modules are looked for there: cd to where they are"
        raise ConfigurationError("the working directory does not exist any more", hint=hint) from None
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever user code raises at import is the same to us: no start
        raise ConfigurationError(f"cannot import {path}: {_described(error)}") from error


def _described(error: BaseException) -> str:
    """Kind, first words and place: ``KeyError: 'PORT' (app/settings.py, line 7)``."""
    try:
        text = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    except Exception:  # noqa: BLE001 - it cannot even be told
        text = ""
    if isinstance(error, SyntaxError):
        text, place = error.msg, (error.filename, error.lineno)
    else:
        place = _place(error)
    where = f" ({_short(place[0])}, line {place[1]})" if place[0] else ""
    return printable(f"{type(error).__name__}: {text}".removesuffix(": ") + where)


def _place(error: BaseException) -> tuple[str | None, int | None]:
    """Where it was raised: the innermost line of the user's own code, else the innermost of all outside importing."""
    frames = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen importlib")
    ]
    frames = [frame for frame in frames if not frame[0].endswith("importlib/__init__.py")]
    own = [frame for frame in frames if "site-packages" not in frame[0] and str(Path.cwd()) in frame[0]]
    found = own or frames
    return found[-1] if found else (None, None)


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename
