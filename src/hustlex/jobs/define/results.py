"""What a handler returns, as its task's result: written by the worker, read by whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hustlex.core import codec
from hustlex.errors import Misuse
from hustlex.jobs import functions
from hustlex.jobs.checks import carriable
from hustlex.jobs.types import PayloadError

_FAULTS = (TypeError, ValueError, OverflowError, RecursionError)


class ResultType:
    """Of one function, typed by its return annotation as its arguments are by theirs.

    Without an annotation the result is what JSON makes of it; ``-> None`` says that there is none.
    Raises Misuse for an annotation that cannot be read, as soon as its names are defined.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._ready = False
        self.prepare(or_later=True)

    def prepare(self, *, or_later: bool = False) -> None:
        """As ``Arguments.prepare``, which comes first and has words for names that are not defined."""
        if self._ready:
            return
        try:
            hints = functions.hints(self._function)
        except NameError:
            if or_later:
                return
            raise
        self._typed = "return" in hints
        kind = functions.unawaited(hints.get("return", Any))
        self._nothing = kind is None
        try:
            self._decoder = codec.decoder(Any if kind is None else kind)
        except TypeError as fault:
            raise Misuse(f"the result of {self._name!r} cannot be carried: {fault}") from None
        self._ready = True

    def encode(self, value: Any) -> bytes | None:
        """Compact JSON; None for nothing. Raises PayloadError for what would not come back as it is."""
        self.prepare()
        if value is None or self._nothing:
            return None
        place = f"the result of {self._name!r}"
        try:
            written = codec.dumps(value)
            back = self._decoder.decode(written) if self._typed else value
        except msgspec.ValidationError as fault:
            reason = codec.fault(value, place) or f"{place} is not what its annotation says: {fault}"
            raise PayloadError(reason) from None
        except _FAULTS as fault:
            raise PayloadError(codec.refusal(value, fault, place)) from None
        wrong = codec.fault(value, place)
        if wrong is None and (where := codec.change(value, back, place)) is not None:
            wrong = f"{where} would not come back as it is"
        if wrong is not None:
            raise PayloadError(wrong, hint="see the types in docs/guides/jobs.md")
        return carriable(place, written)

    def decode(self, data: bytes | None) -> Any:
        """The value. Raises PayloadError for bytes that do not fit, as a handler may have written them itself."""
        if not data:
            return None
        self.prepare()
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            reason = str(fault) if isinstance(fault, msgspec.ValidationError) else "it is not JSON"
            raise PayloadError(
                f"the result of {self._name!r} does not fit its annotation: {reason}",
                hint="hx.jobs.result(id, ...) answers with its bytes",
            ) from None


def dumps(value: Any) -> bytes:
    """Bytes as they are, anything else as JSON. Raises PayloadError."""
    if isinstance(value, bytes):
        return carriable("the result", value)
    try:
        written = codec.dumps(value)
    except _FAULTS as fault:
        raise PayloadError(codec.refusal(value, fault, "the result")) from None
    if (wrong := codec.fault(value, "the result")) is not None:
        raise PayloadError(wrong)
    return carriable("the result", written)
