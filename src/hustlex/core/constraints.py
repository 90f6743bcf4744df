"""Constraints of pydantic's outside its models, as ``PositiveInt``: msgspec reads past them, so they are held here.

They are checked on the value that was read, and change nothing: a validator that would make another value of it, as
``StringConstraints(strip_whitespace=True)``, refuses one that it would change.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

Check = Callable[[Any], str | None]
"""Answers where a value breaks a constraint, and how, as ``[2].amount: Input should be greater than 0``; None = it
holds all."""

_HOLDERS = ("annotated_types", "pydantic")
_DESCRIBE = ("Unit", "DocInfo")
_WRAPPERS = (typing.Required, typing.NotRequired, typing.ClassVar, typing.Final)
_UNIONS = (typing.Union, types.UnionType)


def checker(kind: Any) -> Check | None:
    """What holds the constraints of a type; None = it has none. Raises TypeError for one that cannot be held."""
    return _Checkers().of(kind)


class _Checkers:
    """Makes one for each part of a type. A type that holds itself is made once, and met again through ``seen``."""

    def __init__(self) -> None:
        self._seen: dict[Any, list[Check | None]] = {}

    def of(self, kind: Any, known: Mapping[Any, Any] | None = None) -> Check | None:
        """known: what stands for the type variables here."""
        kind = (known or {}).get(kind, kind) if isinstance(kind, typing.TypeVar) else kind
        if hasattr(kind, "__supertype__"):
            return self.of(kind.__supertype__, known)
        if hasattr(kind, "__value__"):
            return self.of(kind.__value__, known)
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            return _both(self.of(args[0], known), _rules(args[0], kind.__metadata__))
        if origin in _WRAPPERS:
            return self.of(args[0], known)
        if origin in _UNIONS:
            return self._union(args, known)
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
            return _mapping(self.of(args[0], known), self.of(args[1], known))
        if origin is tuple and args[-1:] != (Ellipsis,):
            return _parts({n: self.of(arg, known) for n, arg in enumerate(args)}, _item)
        if isinstance(origin, type) and issubclass(origin, Collection):
            return _each(self.of(args[0], known)) if args else None
        return self._fields(origin or kind, args)

    def _union(self, members: tuple[Any, ...], known: Mapping[Any, Any] | None) -> Check | None:
        checks = [(member, self.of(member, known)) for member in members]
        return _one_of(checks) if any(check for _, check in checks) else None

    def _fields(self, kind: Any, args: tuple[Any, ...]) -> Check | None:
        """Of what has named fields; models of pydantic hold their own."""
        if not isinstance(kind, type) or hasattr(kind, "model_validate") or not getattr(kind, "__annotations__", None):
            return None
        key = (kind, args)
        if key in self._seen:
            met = self._seen[key]
            return lambda value: met[0](value) if met and met[0] else None
        met = self._seen[key] = []
        known = dict(zip(getattr(kind, "__parameters__", ()), args, strict=False))
        hints: dict[str, Any] = {}
        with suppress(Exception):  # names that do not resolve are msgspec's to tell
            hints = typing.get_type_hints(kind, include_extras=True)
        read = _entry if typing.is_typeddict(kind) else _attribute
        found = _parts({name: self.of(hint, known) for name, hint in hints.items()}, read)
        met.append(found)
        return found


def _rules(kind: Any, notes: tuple[Any, ...]) -> Check | None:
    ours = [note for note in notes if _is_rule(note)]
    if not ours:
        return None
    from pydantic import TypeAdapter

    try:
        if any(type(note).__name__ == "Timezone" for note in ours):
            raise TypeError("pydantic reads past it, too")
        annotated: Any = typing.Annotated[(kind if _is_plain(kind) else Any, *ours)]
        adapter: Any = TypeAdapter(annotated)
    except Exception:  # noqa: BLE001 - pydantic's own words are about its schemas
        raise TypeError(
            f"the constraint {type(ours[0]).__name__} would hold nothing here: write it as a field of a pydantic model,"
            " or as msgspec.Meta"
        ) from None
    return _held(adapter)


def _is_rule(note: Any) -> bool:
    kind = type(note)
    if kind.__module__.partition(".")[0] not in _HOLDERS or kind.__name__ in _DESCRIBE:
        return False
    return bool(getattr(note, "metadata", True))  # a Field that only describes has none


def _is_plain(kind: Any) -> bool:
    """Whether pydantic may look at the type as well: it has no parts that are msgspec's."""
    if typing.get_origin(kind) in _UNIONS:
        return all(_is_plain(member) for member in typing.get_args(kind))
    made = (msgspec.Struct, list, tuple, set, frozenset, dict)
    return isinstance(kind, type) and not dataclasses.is_dataclass(kind) and not issubclass(kind, made)


def _held(adapter: Any) -> Check:
    from pydantic import ValidationError

    def check(value: Any) -> str | None:
        try:
            made = adapter.validate_python(value)
        except ValidationError as fault:
            return _words(fault.errors(include_url=False, include_context=False, include_input=False)[0])
        except Exception:  # noqa: BLE001 - a user's validator
            return ": its validator raised"
        return None if type(made) is type(value) and made == value else ": its validator would change it"

    return check


def _words(fault: Any) -> str:
    """Without what a user's own validator says: it may show the value."""
    if fault["type"] in ("value_error", "assertion_error"):
        return ": its validator refused it"
    return f": {fault['msg']}"


def _both(first: Check | None, second: Check | None) -> Check | None:
    if first is None or second is None:
        return first or second
    return lambda value: first(value) or second(value)


def _each(check: Check | None) -> Check | None:
    return None if check is None else lambda value: _first((f"[{n}]", check(item)) for n, item in enumerate(value))


def _mapping(keys: Check | None, values: Check | None) -> Check | None:
    if keys is None and values is None:
        return None
    return lambda value: _first(
        ("[...]", part)
        for key, item in value.items()
        for part in (keys(key) if keys else None, values(item) if values else None)
    )


def _parts(checks: Mapping[Any, Check | None], read: Callable[[Any, Any], tuple[str, Any]]) -> Check | None:
    held = {name: check for name, check in checks.items() if check is not None}

    def check(value: Any) -> str | None:
        found = ((place, part, one) for name, one in held.items() for place, part in [read(value, name)])
        return _first((place, one(part)) for place, part, one in found if part is not msgspec.UNSET)

    return check if held else None


def _one_of(members: list[tuple[Any, Check | None]]) -> Check:
    """The first complaint of a member that the value could be, unless another takes it."""

    def check(value: Any) -> str | None:
        found = [one(value) if one else None for kind, one in members if _fits(value, kind)]
        return None if None in found else next(iter(found), None)

    return check


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError):
        return False
    return True


def _first(found: Iterator[tuple[str, str | None]]) -> str | None:
    return next((place + words for place, words in found if words is not None), None)


def _item(value: Any, position: int) -> tuple[str, Any]:
    return f"[{position}]", value[position]


def _attribute(value: Any, name: str) -> tuple[str, Any]:
    return f".{name}", getattr(value, name, msgspec.UNSET)


def _entry(value: Any, name: str) -> tuple[str, Any]:
    return f".{name}", value.get(name, msgspec.UNSET)
