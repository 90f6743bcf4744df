"""A function's parameters as one JSON object: written by the producer, read and checked before the handler runs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from hustlex.core import codec
from hustlex.core.faults import words
from hustlex.errors import Misuse
from hustlex.jobs import functions
from hustlex.jobs.enqueue.placeholders import Slots, is_placeholder
from hustlex.jobs.types import PayloadError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_EMPTY = inspect.Parameter.empty
_FAULTS = (TypeError, ValueError, OverflowError, RecursionError)
_EXACT = (int, str, bool)
"""Of these each value is read as it was written."""


class Arguments:
    """Encodes calls of one function and decodes them again. Types: see ``core.codec``.

    A call has one text, its arguments in the order of the parameters. Raises Misuse for a function with positional-only
    or star parameters (their names could not be written), and for an annotation that cannot be read, as soon as all
    names in the annotations are defined.
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
        self._positional = sum(parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        self._known = frozenset(self._names)
        self._ready = False
        self.prepare(or_later=True)

    def prepare(self, *, or_later: bool = False) -> None:
        """Build what reads and writes. or_later: at the next use, where an annotation's name is not defined yet."""
        if self._ready:
            return
        try:
            hints = functions.hints(self._function)
        except NameError as fault:
            if or_later:
                return
            raise self._unresolved(fault) from None
        except Exception as fault:  # noqa: BLE001 - an annotation may run anything
            raise Misuse(f"the annotations of {self._name!r} cannot be read: {words(fault)}") from None
        kinds = {name: hints.get(name, Any) for name in self._names}
        parameters = self._signature.parameters
        self._decoder = self._make_decoder(kinds, [name for name in kinds if parameters[name].default is _EMPTY])
        self._partial_decoder = self._make_decoder(kinds, ())
        self._exact = [(name, _exact(kind, parameters[name])) for name, kind in kinds.items()]
        self._call: Any = msgspec.defstruct("Call", [(name, Any, msgspec.UNSET) for name in kinds])
        self._ready = True

    def _unresolved(self, fault: NameError) -> Misuse:
        annotations = {name: str(parameter.annotation) for name, parameter in self._signature.parameters.items()}
        culprits = [name for name, text in annotations.items() if fault.name and fault.name in text]
        place = f"parameter {culprits[0]!r}" if culprits else "the result"
        return Misuse(
            f"the annotation of {place} of {self._name!r} names {fault.name!r}, which is not defined",
            hint="import it outside of TYPE_CHECKING, in the module of the handler",
        )

    def _make_decoder(self, kinds: Mapping[str, Any], required: typing.Collection[str]) -> Any:
        try:
            fields = {
                name: typing.Required[kind] if name in required else typing.NotRequired[kind]
                for name, kind in kinds.items()
            }
            return codec.decoder(typing.TypedDict("Arguments", fields))  # type: ignore[operator]
        except TypeError as fault:
            for name, kind in kinds.items():
                self._check_kind(name, kind)
            raise Misuse(f"the parameters of {self._name!r} cannot be arguments: {fault}") from None

    def _check_kind(self, name: str, kind: Any) -> None:
        try:
            codec.decoder(kind)
        except TypeError as fault:
            raise Misuse(f"parameter {name!r} of {self._name!r} cannot be an argument: {fault}") from None

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """A call as compact single-line JSON. Raises PayloadError when the handler would not get it as it is."""
        call = self._bound(args, kwargs)
        payload = self._written(call)
        for name, kinds in self._exact:
            if type(getattr(call, name)) not in kinds:
                break
        else:  # nothing that would have to be compared
            return payload
        arrived = self._arrived(call, payload)
        try:
            if not args and arrived == kwargs:
                return payload
            for name, value in arrived.items():
                if value != getattr(call, name):
                    break
            else:
                return payload
        except Exception:  # noqa: BLE001, S110 - a user's __eq__
            pass
        self._compare(call, arrived)
        return payload

    def _arrived(self, call: Any, payload: bytes, *, partial: bool = False) -> dict[str, Any]:
        try:
            return self._read(payload, partial=partial)
        except PayloadError:
            faults = (codec.fault(getattr(call, name), self._place(name)) for name in self._names)
            if (reason := next(filter(None, faults), None)) is None:
                raise
            raise PayloadError(reason) from None

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if not self._ready:
            self.prepare()
        try:
            if len(args) <= self._positional:
                return self._call(*args, **kwargs)
            self._signature.bind(*args, **kwargs)
        except TypeError as fault:
            if not kwargs.keys() <= self._known:
                strange = ", ".join(sorted(kwargs.keys() - self._known))
                raise PayloadError(f"{self._name!r} has no parameter {strange}") from None
            raise PayloadError(f"the payload of {self._name!r} does not fit: {fault}") from None
        raise PayloadError(f"{self._name!r} takes {self._positional} arguments by position")

    def _written(self, call: Any) -> bytes:
        try:
            return codec.dumps(call)
        except _FAULTS as fault:
            raise self._unwritable(call, fault) from None

    def _unwritable(self, call: Any, problem: Exception) -> PayloadError:
        """Names the argument that cannot be written."""
        for name in self._names:
            value = getattr(call, name)
            try:
                codec.dumps(value)
            except _FAULTS as fault:
                return PayloadError(codec.refusal(value, fault, self._place(name)))
        return PayloadError(codec.refusal(None, problem, f"the payload of {self._name!r}"))

    def _place(self, name: str) -> str:
        return f"argument {name!r} of {self._name!r}"

    def _compare(self, call: Any, arrived: Mapping[str, Any]) -> None:
        for name, value in arrived.items():
            given, place = getattr(call, name), self._place(name)
            where = codec.change(given, value, place)
            if where is not None:
                reason = codec.fault(given, place) or f"{where} would not arrive as it is"
                raise PayloadError(
                    reason, hint="the handler would get another value; see the types in docs/guides/jobs.md"
                )

    def template(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, Slots]:
        """A call with placeholders: the arguments that are there, and which ones are to come. Raises PayloadError."""
        try:
            given = self._signature.bind(*args, **kwargs).arguments
        except TypeError as fault:
            raise PayloadError(f"the payload of {self._name!r} does not fit: {fault}") from None
        slots = tuple((name, value.every) for name, value in given.items() if is_placeholder(value))
        call = self._bound((), {**given, **{name: msgspec.UNSET for name, _ in slots}})
        payload = self._written(call)
        self._compare(call, self._arrived(call, payload, partial=True))
        return payload, slots

    def canonical(self, payload: bytes | None) -> bytes | None:
        """The same text for all payloads that mean the same call: with the defaults of what was left out."""
        try:
            given = self.decode(payload)
        except PayloadError:
            return payload
        defaults = {name: parameter.default for name, parameter in self._signature.parameters.items()}
        call = self._call(**{name: value for name, value in defaults.items() if value is not _EMPTY} | given)
        with suppress(*_FAULTS):  # a default that is no value of its type
            return codec.settled(call)
        return payload

    def decode(self, payload: bytes | None) -> dict[str, Any]:
        """Keyword arguments for the function; unknown names are ignored, left-out ones keep the function's default.

        A function without parameters takes any payload. Raises PayloadError, never showing a value.
        """
        if not self._names:
            return {}
        if not self._ready:
            self.prepare()
        return self._read(payload or b"{}")

    def _read(self, payload: bytes, *, partial: bool = False) -> dict[str, Any]:
        try:
            read: dict[str, Any] = (self._partial_decoder if partial else self._decoder).decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            reason = str(fault) if isinstance(fault, msgspec.ValidationError) else "it is not JSON"
            raise PayloadError(f"the payload of {self._name!r} does not fit: {reason}") from None
        return read


def _exact(kind: Any, parameter: inspect.Parameter) -> tuple[type, ...]:
    """Of which classes a value arrives as it was given; one that is left out may be."""
    kinds = (kind,) if kind in _EXACT else ()
    return kinds if parameter.default is _EMPTY else (*kinds, msgspec.UnsetType)
