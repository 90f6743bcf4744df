"""Modules that are slow to import, imported when something of them is first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """Stands for a module: ``ec = Later("cryptography.hazmat.primitives.asymmetric.ec")``.

    For what one room needs and every program that imports the package would pay for. Type checkers are told of the
    real module in an ``if TYPE_CHECKING``. What was used once is as fast as an attribute.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._module), name)
        setattr(self, name, found)
        return found
