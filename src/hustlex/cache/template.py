"""Key templates of cached functions, as ``user:{user_id}``: checked against the function when it is decorated."""

from __future__ import annotations

import datetime as dt
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from hustlex.cache import keys
from hustlex.errors import Misuse

_PART = re.compile(r"([A-Za-z0-9._~/@+=-]*)(?:\{([^{}]*)\}([A-Za-z0-9._~/@+=-]*))?")
_NO_IDS = (bool, float, complex, bytes, bytearray, tuple, frozenset, dt.date, dt.timedelta, type(None))
_NO_NAME = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class KeyTemplate:
    """A template for one function.

    Parts stand between colons; each holds literal text and at most one ``{parameter}``, so that no two sets of
    arguments meet in one key. The template starts with the cache's name. Raises Misuse for anything else, and for a
    name that is not a parameter of the function.
    """

    def __init__(self, template: str, cache_name: str, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        if template != cache_name and not template.startswith(f"{cache_name}:"):
            raise Misuse(
                f"the key template {template!r} does not start with the cache's name",
                hint=f"write {cache_name}:{{...}}",
            )
        self._hints = _hints(function)
        self._parts = [self._part(part, template) for part in template.split(":")]

    def logical(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        """The key for these arguments, without prefix. Raises TypeError as the call itself would, Misuse for values
        that are not str, int or UUID.
        """
        bound = self._signature.bind(*args, **options)
        bound.apply_defaults()
        values = bound.arguments
        return ":".join(
            keys.component(before + (keys.text(values[field]) if field else "") + after)
            for before, field, after in self._parts
        )

    def _part(self, part: str, template: str) -> tuple[str, str | None, str]:
        found = _PART.fullmatch(part)
        if not part or not found:
            raise Misuse(
                f"{part!r} in the key template {template!r} is not literal text with at most one {{parameter}}",
                hint="write parts of A-Z a-z 0-9 . _ ~ / @ + = - with ':' between them",
            )
        before, field, after = found.groups()
        if field is not None:
            self._check_field(field, template)
        return before, field, after or ""

    def _check_field(self, field: str, template: str) -> None:
        parameter = self._signature.parameters.get(field)
        if parameter is None or parameter.kind in _NO_NAME:
            known = ", ".join(name for name, p in self._signature.parameters.items() if p.kind not in _NO_NAME)
            raise Misuse(
                f"the key template {template!r} names {{{field}}}, which is no parameter of the function",
                hint=f"its parameters are: {known or 'none'}",
            )
        hint = self._hints.get(field)
        kind = typing.get_origin(hint) or hint
        if isinstance(kind, type) and (issubclass(kind, _NO_IDS) or kind.__hash__ is None):
            raise Misuse(
                f"the key template {template!r} names {{{field}}}, but {field} is a {kind.__name__}",
                hint="a part of a key is text, a whole number, a UUID or an enum member",
            )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, as far as they can be resolved now."""
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # noqa: BLE001 - names that only a type checker knows
        return {}
