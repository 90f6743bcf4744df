"""A backend as the command line sees it: a module with ``tasks`` (a ``Tasks``) and, for the API, ``app`` (ASGI)."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hustlex.errors import ConfigurationError
from hustlex.jobs import Tasks


def load_tasks(module: str) -> Tasks:
    """The ``tasks`` of a module. Raises ConfigurationError with the reason when there are none."""
    found = load_attribute(module, "tasks")
    if not isinstance(found, Tasks):
        raise ConfigurationError(f"'tasks' in {module} is a {type(found).__name__}, not a hustlex.Tasks")
    return found


def load_attribute(module: str, name: str) -> Any:
    """``name`` of a module, or what a longer path names: ``package.module:name``."""
    path, _, given = module.partition(":")
    loaded = _load(path)
    try:
        return getattr(loaded, given or name)
    except AttributeError:
        raise ConfigurationError(
            f"the module {path} has no {given or name!r}", hint=f"define it, or name it: {path}:<name>"
        ) from None


def _load(path: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(path)
    except Exception as error:  # whatever user code raises at import is the same to us: it does not start
        raise ConfigurationError(f"cannot import {path}: {type(error).__name__}: {error}") from error
