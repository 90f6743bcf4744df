"""Values as JSON and back, so that they arrive as they were: written in one way only, and refused where they would not.

One text for equal values: parameters and fields in their order, keys of dicts and members of sets sorted. Types: what
msgspec knows, and pydantic models (by their aliases). Constraints of both are held.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import cache
from typing import Any, Protocol

import msgspec
from msgspec.inspect import CustomType, type_info

from hustlex.core import constraints

_SAFE = (bool, int, str, type(None))
_PARSED = (str, int, float, list, tuple, dict)
_ANYTHING = (object, Any)


def dumps(value: Any) -> bytes:
    """Compact single-line JSON. Raises TypeError, ValueError, OverflowError or RecursionError; see ``fault``."""
    try:
        return _ENCODER.encode(value)
    except TypeError:  # keys that are no text, or members of a set that cannot be compared
        return _ENCODER.encode(_plain(value))


class Decoder(Protocol):
    """Reads values of one type."""

    def decode(self, data: bytes, /) -> Any:
        """Raises msgspec.DecodeError; ValidationError for a value that is not of the type."""


class CheckedDecoder:
    """For a type with constraints that msgspec reads past."""

    def __init__(self, decoder: Decoder, check: constraints.Check) -> None:
        self._decoder = decoder
        self._check = check

    def decode(self, data: bytes, /) -> Any:
        """See ``Decoder``."""
        value = self._decoder.decode(data)
        if (wrong := self._check(value)) is not None:
            place, _, words = wrong.partition(": ")
            raise msgspec.ValidationError(f"{words} - at `${place}`")
        return value


def settled(value: Any) -> bytes:
    """As ``dumps``, and one text for equal values that have several: moments in UTC, decimals without last zeros."""
    kept = (datetime, Decimal)
    try:
        built = msgspec.to_builtins(value, builtin_types=kept, enc_hook=_to_json, str_keys=True, order="deterministic")
    except TypeError:
        return dumps(value)
    return msgspec.json.encode(_settled(built))


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_settled(item) for item in value]
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    if isinstance(value, Decimal) and value.is_finite():
        digits = len(value.as_tuple().digits)
        return value.normalize(Context(prec=digits)) if value else Decimal(0)
    return 0.0 if isinstance(value, float) and value == 0 else value


def decoder(kind: Any) -> Decoder:
    """Reads what ``dumps`` wrote of a type. Raises TypeError for a type that cannot be read."""
    made: Decoder = msgspec.json.Decoder(kind, dec_hook=_from_json)
    for custom in _customs(type_info(kind), set()):
        if custom not in _ANYTHING and not hasattr(custom, "model_validate"):
            raise TypeError(
                f"{getattr(custom, '__name__', custom)} cannot be read from JSON: take the plain type that it is made"
                " of, or a pydantic model with a field of it"
            )
    check = constraints.checker(kind)
    return CheckedDecoder(made, check) if check else made


def change(given: Any, arrived: Any, at: str = "") -> str | None:
    """Where what arrived is not what was given, as ``at.name[2]``; None = nowhere.

    Text and numbers that the type turned into more than they were are the same; so are lists and tuples.
    """
    if isinstance(given, list | tuple) and isinstance(arrived, list | tuple) and not hasattr(given, "_fields"):
        if len(given) != len(arrived):
            return at
        pairs = zip(given, arrived, strict=True)
        return _first(change(one, other, f"{at}[{n}]") for n, (one, other) in enumerate(pairs))
    if isinstance(given, dict) and isinstance(arrived, Mapping):
        odd = _first(f"{at}[...]" for key in given if key not in arrived)
        return odd or _first(change(value, arrived[key], f"{at}.{_word(key)}") for key, value in given.items())
    if type(given) is int and type(arrived) is float:
        return None if given == arrived else at
    if type(given) in _PARSED and arrived is not None and type(given) is not type(arrived):
        return _unparsed(given, arrived, at) if isinstance(given, dict) else None
    if isinstance(given, set | frozenset) or _fields(given) is None or type(given) is not type(arrived):
        return None if _equal(given, arrived) else at
    theirs = _fields(arrived) or {}
    return _first(change(value, theirs.get(name), f"{at}.{name}") for name, value in (_fields(given) or {}).items())


def fault(value: Any, at: str = "") -> str | None:
    """What in a value no JSON can carry, in words; None = nothing of that kind. ``at``: what the value is called."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{at} is {value!r}, which JSON cannot carry"
    if isinstance(value, str):
        return None if value.isascii() else _half(value, at)
    if isinstance(value, Mapping):
        if isinstance(value, dict) and _lost(value):
            return f"{at} has two keys that are one text in JSON"
        return _first(fault(item, f"{at}.{_word(key)}") or fault(key, f"a key of {at}") for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return _first(fault(item, f"{at}[{n}]") for n, item in enumerate(value))
    if isinstance(value, msgspec.Raw):
        return None if _is_json(value) else f"{at} is a msgspec.Raw that is no JSON"
    if isinstance(value, _SAFE) or (parts := _fields(value)) is None:
        return None
    return _first(fault(item, f"{at}.{name}") for name, item in parts.items())


def _lost(value: dict[Any, Any]) -> bool:
    """Whether keys of several types would be one, as 1 and "1"."""
    if all(type(key) is str for key in value):
        return False
    with suppress(TypeError, ValueError):  # it cannot be written at all, which has words of its own
        return len({_key(key) for key in value}) < len(value)
    return False


def _is_json(raw: msgspec.Raw) -> bool:
    try:
        msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _half(text: str, at: str) -> str | None:
    """In one step of C: megabytes, character by character, would keep a loop for seconds."""
    try:
        str.encode(text)
    except UnicodeEncodeError as fault:
        return f"{at} holds half a character (U+{ord(text[fault.start]):04X})"
    return None


def refusal(value: Any, problem: Exception, at: str) -> str:
    """Why ``dumps`` could not write a value, in words that name its place and never show it."""
    try:
        found = fault(value, at)
    except RecursionError:
        return f"{at} holds itself, or is nested too deep"
    if found is not None:
        return found
    if isinstance(problem, RecursionError):
        return f"{at} is nested too deep"
    return f"{at} cannot be written as JSON: {_reason(problem)}"


def _reason(problem: Exception) -> str:
    own = type(problem) is TypeError or isinstance(problem, msgspec.MsgspecError)
    return str(problem) if own else type(problem).__name__


def _first(found: Iterable[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)


def _word(key: Any) -> str:
    """A key as part of a path, unless it may be anybody's data."""
    return key if isinstance(key, str) and key.isidentifier() and len(key) <= 40 else "..."


def _equal(given: Any, arrived: Any) -> bool:
    if isinstance(given, datetime) and isinstance(arrived, datetime) and given.tzinfo and arrived.tzinfo:
        given, arrived = given.astimezone(UTC), arrived.astimezone(UTC)  # else unequal in an hour that occurs twice
    try:
        return bool(given == arrived)
    except Exception:  # noqa: BLE001 - a user's __eq__
        return False


def _fields(value: Any) -> dict[str, Any] | None:
    """What an object is made of; None for anything that is no model, struct or dataclass."""
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump") and not isinstance(value, type):
        hidden = value.__pydantic_private__ or {}
        return {**value.__dict__, **(value.__pydantic_extra__ or {}), **hidden}
    return None


def _unparsed(given: dict[Any, Any], arrived: Any, at: str) -> str | None:
    """A dict that became an object: each of its keys is still there."""
    built = msgspec.to_builtins(arrived, enc_hook=_to_json, str_keys=True)
    if not isinstance(built, dict):
        return at
    return _first(f"{at}.{_word(key)}" for key in given if key not in built)


def _plain(value: Any) -> Any:
    """Containers as JSON has them; members of sets in the order of their texts."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=_ENCODER.encode)
    if isinstance(value, msgspec.Struct) and not (value.__struct_config__.tag or value.__struct_config__.array_like):
        pairs = zip(value.__struct_encode_fields__, (_fields(value) or {}).values(), strict=True)
        return {name: _plain(item) for name, item in pairs if item is not msgspec.UNSET}
    return msgspec.to_builtins(value, enc_hook=_to_json, str_keys=True, order="deterministic")


def _key(key: Any) -> str:
    (name,) = msgspec.to_builtins({key: None}, str_keys=True)
    return str(name)


def _to_json(value: Any) -> Any:
    """Pydantic models, without importing pydantic: what their own validation reads."""
    if not hasattr(value, "model_dump"):
        raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
    aliases = all(field.validation_alias in (None, field.serialization_alias) for field in _model_fields(value))
    options = {"by_alias": aliases, "round_trip": True, "warnings": False}
    return _ordered(value.model_dump(mode="json", **options), value.model_dump(**options))


def _model_fields(value: Any) -> Iterable[Any]:
    fields: dict[str, Any] = type(value).model_fields
    return fields.values()


def _ordered(written: Any, known: Any) -> Any:
    """Members of sets in one order: pydantic writes them in that of their hashes."""
    if isinstance(known, set | frozenset) and isinstance(written, list):
        return sorted(written, key=dumps)
    if isinstance(known, dict) and isinstance(written, dict) and len(known) == len(written):
        return {key: _ordered(item, other) for (key, item), other in zip(written.items(), known.values(), strict=True)}
    if isinstance(known, list | tuple) and isinstance(written, list) and len(known) == len(written):
        return [_ordered(item, other) for item, other in zip(written, known, strict=True)]
    return written


def _from_json(kind: Any, value: Any) -> Any:
    if kind in _ANYTHING:
        return value
    with suppress(ValueError):
        return kind.model_validate(value, **_names_too(kind))
    try:  # strict models take a date from the text of JSON alone
        return kind.model_validate_json(msgspec.json.encode(value), **_names_too(kind))
    except ValueError:  # its text shows the value
        raise ValueError(f"not a valid {kind.__name__}") from None


@cache
def _names_too(kind: Any) -> dict[str, bool]:
    """Fields may come by name as well, for a model that reads and writes them by different aliases."""
    known = inspect.signature(kind.model_validate).parameters
    return {"by_alias": True, "by_name": True} if "by_name" in known else {}


def _customs(node: Any, seen: set[int]) -> Iterable[Any]:
    """The classes in a type that msgspec leaves to us."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, CustomType):
        yield node.cls
    elif isinstance(node, tuple):
        for item in node:
            yield from _customs(item, seen)
    elif isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            if name not in ("cls", "default", "default_factory"):
                yield from _customs(getattr(node, name), seen)


_ENCODER = msgspec.json.Encoder(enc_hook=_to_json, order="deterministic")
