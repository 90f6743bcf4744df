"""A function's parameters as one JSON object: written by the producer, read and checked before the handler runs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from hustlex.errors import Misuse
from hustlex.jobs.placeholders import Slots, is_placeholder
from hustlex.jobs.types import PayloadError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Arguments:
    """Encodes calls of one function and decodes them again. Types: what msgspec knows, and pydantic models.

    Raises Misuse for a function with positional-only or star parameters: their names could not be written.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters.values()
        odd = [parameter.name for parameter in parameters if parameter.kind not in _NAMED]
        if odd:
            raise Misuse(f"the handler of {name!r} takes {', '.join(odd)}", hint="give it plain named parameters")
        self._names = tuple(parameter.name for parameter in parameters)
        kinds = [(parameter.name, parameter.kind) for parameter in parameters]
        self._positional = tuple(name for name, kind in kinds if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._known = frozenset(self._names)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """A call as compact single-line JSON. Raises PayloadError when the worker could not read it back."""
        try:
            payload = _ENCODER.encode(self._by_name(args, kwargs) if args else kwargs)
        except (TypeError, ValueError, RecursionError) as fault:
            raise self._refusal(fault) from None
        if kwargs and not kwargs.keys() <= self._known:
            raise PayloadError(f"{self._name!r} has no parameter {', '.join(sorted(kwargs.keys() - self._known))}")
        self._read(payload)
        return payload

    def _by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name. ``Signature.bind`` costs more than the rest of an encode: it only words the refusal."""
        given = dict(zip(self._positional, args, strict=False))
        if len(given) < len(args) or (kwargs and given.keys() & kwargs.keys()):
            self._signature.bind(*args, **kwargs)
        return {**given, **kwargs} if kwargs else given

    def template(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, Slots]:
        """A call with placeholders: the arguments that are there, and which ones are to come. Raises PayloadError."""
        try:
            given = self._signature.bind(*args, **kwargs).arguments
            payload = _ENCODER.encode({name: value for name, value in given.items() if not is_placeholder(value)})
            self._partial_decoder.decode(payload)
        except (TypeError, ValueError, RecursionError) as fault:
            raise self._refusal(fault) from None
        return payload, tuple((name, value.every) for name, value in given.items() if is_placeholder(value))

    def decode(self, payload: bytes | None) -> dict[str, Any]:
        """Keyword arguments for the function; unknown names are ignored, left-out ones keep the function's default.

        A function without parameters takes any payload. Raises PayloadError, never showing a value.
        """
        if not self._names:
            return {}
        return self._read(payload)

    def _read(self, payload: bytes | None) -> dict[str, Any]:
        try:
            return self._decoder.decode(payload or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise self._refusal(fault) from None

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[dict[str, Any]]:
        """Built at first use, when every name an annotation mentions is defined."""
        return self._make_decoder(partial=False)

    @cached_property
    def _partial_decoder(self) -> msgspec.json.Decoder[dict[str, Any]]:
        return self._make_decoder(partial=True)

    def _make_decoder(self, *, partial: bool) -> msgspec.json.Decoder[dict[str, Any]]:
        """partial: any argument may be missing."""
        hints = typing.get_type_hints(self._function, include_extras=True)
        fields: dict[str, Any] = {}
        for parameter in self._signature.parameters.values():
            kind = hints.get(parameter.name, Any)
            required = parameter.default is inspect.Parameter.empty and not partial
            fields[parameter.name] = typing.Required[kind] if required else typing.NotRequired[kind]
        shape: Any = typing.TypedDict("Arguments", fields)  # type: ignore[misc]
        return msgspec.json.Decoder(shape, dec_hook=_from_json)

    def _refusal(self, fault: Exception) -> PayloadError:
        reason = str(fault) if isinstance(fault, (msgspec.ValidationError, TypeError)) else "it is not JSON"
        return PayloadError(f"the payload of {self._name!r} does not fit: {reason}")


def _to_json(value: Any) -> Any:
    """Pydantic models, without importing pydantic."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _from_json(kind: Any, value: Any) -> Any:
    if not hasattr(kind, "model_validate"):
        raise TypeError(f"a {getattr(kind, '__name__', kind)} cannot be read from JSON")
    try:
        return kind.model_validate(value)
    except ValueError:  # its text shows the value
        raise ValueError(f"not a valid {kind.__name__}") from None


_ENCODER = msgspec.json.Encoder(enc_hook=_to_json)
