"""The Redis layer of an application backend: codes, tokens, limits, idempotency, PINs, cache, jobs, events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hustlex.app import HustleX
    from hustlex.jobs import Tasks

__all__ = ["HustleX", "Tasks", "__version__"]
__version__ = "0.1.0"

_HOMES = {"HustleX": "hustlex.app", "Tasks": "hustlex.jobs"}


def __dir__() -> list[str]:
    """What there is to use: the front and the rooms."""
    from pkgutil import iter_modules

    return sorted({*__all__, *(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))})


def __getattr__(name: str) -> Any:
    """Load the front when it is first asked for, so that importing one room costs only that room."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hustlex' has no attribute {name!r}")
