"""Key templates of cached functions, as ``user:{user_id}``: checked against the function when it is decorated."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import hashlib
import inspect
import re
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from hustlex.cache import keys
from hustlex.errors import Misuse

_PART = re.compile(r"([A-Za-z0-9._~/@+=-]*)(?:\{([^{}]*)\}([A-Za-z0-9._~/@+=-]*))?")
_NO_IDS = (bool, float, complex, bytes, bytearray, tuple, frozenset, dt.date, dt.timedelta, type(None))
_SPELLED = (int, float, bytes, dt.date, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal)
_NO_KEY = "pass ids, text, numbers, times, bytes, enum members, and lists, sets, dicts, dataclasses or models of those"
_NO_NAME = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Template:
    """Parts between colons; each holds literal text and at most one ``{parameter}``, so that no two sets of arguments
    meet in one text. Raises Misuse for anything else, and for a name that is not a parameter of the function.
    """

    def __init__(self, template: str, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        self._hints = _hints(function)
        self._parts = [self._part(part, template) for part in template.split(":")]

    def logical(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        """The text for these arguments. Raises TypeError as the call itself would, Misuse for values that are not str,
        int or UUID.
        """
        return self.filled(bound(self._signature, args, options))

    def plain(self, values: Mapping[str, Any]) -> str:
        """As a caller would write it, nothing encoded."""
        return ":".join(
            before + (keys.text(values[field]) if field else "") + after for before, field, after in self._parts
        )

    def filled(self, values: Mapping[str, Any]) -> str:
        """The text for these values of parameters."""
        return ":".join(
            keys.component(before + (keys.text(values[field]) if field else "") + after)
            for before, field, after in self._parts
        )

    def _part(self, part: str, template: str) -> tuple[str, str | None, str]:
        found = _PART.fullmatch(part)
        if not part or not found:
            raise Misuse(
                f"{part!r} in the template {template!r} is not literal text with at most one {{parameter}}",
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
                f"the template {template!r} names {{{field}}}, which is no parameter of the function",
                hint=f"its parameters are: {known or 'none'}",
            )
        hint = self._hints.get(field)
        kind = typing.get_origin(hint) or hint
        if isinstance(kind, type) and (issubclass(kind, _NO_IDS) or kind.__hash__ is None):
            raise Misuse(
                f"the template {template!r} names {{{field}}}, but {field} is a {kind.__name__}",
                hint="a part of a key is text, a whole number, a UUID or an enum member",
            )


class KeyTemplate(Template):
    """A template for the keys of one function; it starts with the cache's name."""

    def __init__(self, template: str, cache_name: str, function: Callable[..., Any]) -> None:
        if template != cache_name and not template.startswith(f"{cache_name}:"):
            raise Misuse(
                f"the key template {template!r} does not start with the cache's name",
                hint=f"write {cache_name}:{{...}}",
            )
        super().__init__(template, function)
        self.text = template
        self.shape = ":".join(f"{before}{{}}{after}" if field else before for before, field, after in self._parts)
        """The template whatever its parameters are called: functions with one shape have one set of keys."""


class TagTemplate:
    """The tags of one function, as ``org:{org_id}``."""

    def __init__(self, templates: Sequence[str], function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        self._templates = [Template(template, function) for template in templates]

    def names(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> list[str]:
        """For these arguments. Raises as ``Template.logical``."""
        values = bound(self._signature, args, options)
        return [template.plain(values) for template in self._templates]


class CallKey:
    """Keys of a function without a template: its name, and a digest of its arguments.

    Arguments in another order, or left at their defaults, make the same key; what a partial holds counts too. Raises
    Misuse for what depends on more than its arguments: two such functions would serve each other's values.
    """

    def __init__(self, cache_name: str, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        self._held = function.args if isinstance(function, functools.partial) else ()
        _refuse_state(_inner(function), next(iter(self._signature.parameters), ""))
        self._start = self.text = f"{cache_name}:fn:{keys.component(name_of(function))}"

    def logical(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        """Raises TypeError as the call itself would, Misuse for values that have no one spelling."""
        values = bound(self._signature, args, options)
        return f"{self._start}:{spelled(values | {'*': self._held} if self._held else values)}"


def name_of(function: Callable[..., Any]) -> str:
    """Where a function was written, whatever is around it."""
    inner = _inner(function)
    return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__name__)}"


def _inner(function: Callable[..., Any]) -> Any:
    return inspect.unwrap(getattr(function, "func", function))


def _refuse_state(inner: Any, first: str) -> None:
    if first in ("self", "cls") or not isinstance(inner, types.FunctionType):
        raise Misuse("a method needs a key template", hint="name what counts, as user:{self.id} cannot: user:{id}")
    if inner.__name__ == "<lambda>":
        raise Misuse("a lambda needs a key template", hint="all lambdas of a module have one name; write user:{id}")
    for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
        if _is_bound(cell):
            raise Misuse(
                f"{inner.__name__} needs a key template: it uses {name!r} of the function around it",
                hint="name what counts, as user:{id}, or make it a parameter",
            )


def _is_bound(cell: types.CellType) -> bool:
    """Whether a variable of the function around has a value: a function's own name has none while it is decorated."""
    try:
        cell.cell_contents  # noqa: B018 - it raises
    except ValueError:
        return False
    return True


def bound(signature: inspect.Signature, args: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters with their values, defaults included."""
    found = signature.bind(*args, **options)
    found.apply_defaults()
    return dict(found.arguments)


def spelled(values: Mapping[str, Any]) -> str:
    """A digest: the same for equal values, another for others. Raises Misuse for what cannot be a key."""
    try:
        written = msgspec.msgpack.encode(_plain(values), order="sorted")
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise Misuse("an argument cannot be part of a cache key", hint=_NO_KEY) from None
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """Tagged with its kind where two kinds would be spelled alike: 1 and True, a UUID and its text."""
    if isinstance(value, enum.Enum):
        return [type(value).__qualname__, _plain(value.value)]
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if isinstance(value, Mapping):
        return {"map": sorted(([_plain(key), _plain(each)] for key, each in value.items()), key=repr)}
    if isinstance(value, set | frozenset):
        return ["set", sorted((_plain(each) for each in value), key=repr)]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value != value:
        raise TypeError
    if isinstance(value, _SPELLED):
        return [type(value).__name__, value]
    if isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
        fields = msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else vars(value)
        return [type(value).__qualname__, _plain(fields)]
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return [type(value).__qualname__, _plain(dump())]
    raise TypeError


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, as far as they can be resolved now."""
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # noqa: BLE001 - names that only a type checker knows
        return {}
